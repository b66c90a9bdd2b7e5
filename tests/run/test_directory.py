"""Test that a run directory is a function of the configuration, held by one process, and never mixes runs."""

import os
import subprocess
import sys

import pytest
import yaml

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.compose import compose
from lightning_dl2.config.identity import config_hash
from lightning_dl2.run.directory import Run, variant


def claimed(config):
    """Return the run of `config` as if training had begun."""
    run = Run.of(config)
    with run.locked(config):
        run.begin(config, [])
    return run


@pytest.mark.slow
def test_path_is_a_function_of_the_configuration(tmp_path):
    default = Run.of(compose())
    assert str(default.path) == "runs/palindrome/default-44136fa3/seed=0"
    assert Run.of(compose("seed=7", f"root={tmp_path}")).path == tmp_path / "palindrome/default-44136fa3/seed=7"
    assert Run.of(compose("trainer.max_steps=9", "logger=wandb", "resume=never")).path == default.path
    assert Run.of(compose("task.cell=lstm")).path == default.path  # typed, but equal to the default


@pytest.mark.slow
def test_name_says_what_differs():
    name = variant(compose("task.hidden_size=64", "task.forget_bias=null", "data.curriculum.enabled=true"))
    assert name.startswith("curriculum.enabled=true,forget_bias=null,hidden_size=64-")
    assert variant(compose("debug=fast")).startswith("debug=fast-")
    assert variant(compose("+optimizer.arguments.betas=[0.9,0.98]")).startswith("betas=_0.9,0.98_-")

    assert variant(compose("optimizer=sgd")).startswith("optimizer.name=SGD-")
    assert variant(compose("callbacks.solved.enabled=false")) == "solved.enabled=false-8f3ee7a3"
    rates = {
        "0.0026310116275539163": "0.002631-27bc6933",
        "0.004": "0.004-",
        "1.25e-05": "1.25e-05-",
        "0.00012": "0.00012-",
    }
    for rate, shown in rates.items():
        assert variant(compose(f"optimizer.learning_rate={rate}")).startswith(f"learning_rate={shown}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "former"),
    [
        (("callbacks.solved.enabled=false",), "enabled=false-8f3ee7a3"),
        (("optimizer.learning_rate=0.0026310116275539163",), "learning_rate=0.0026310116275539163-27bc6933"),
        (("task.hidden_size=64",), None),
    ],
)
def test_a_directory_that_an_older_version_named_is_found_again(tmp_path, words, former):
    """Every seed finds the directory that an older version named, resumes its run or finds it finished."""
    config = compose(*words, "seed=3", f"root={tmp_path}")
    new = Run.of(config).path
    if former is None:
        assert new == tmp_path / "palindrome" / variant(config) / "seed=3"
        return
    old = tmp_path / "palindrome" / former
    (old / "seed=0").mkdir(parents=True)
    run = claimed(config)
    assert run.path == old / "seed=3" and not new.exists()
    written = run.write_result(config, **RESULT | {"steps": 10**9})
    assert written["variant"] == former and Run.of(config).finished(config)
    assert Run.of(compose(*words, f"root={tmp_path}/other")).path.parent.name == variant(config)


@pytest.mark.slow
def test_runs_that_differ_never_share_a_directory():
    """Different runs never share a directory, because the hash tells shortened and cleaned names apart."""
    words = [
        (),
        ("experiment=baum_sweet",),
        ("data=baum_sweet",),
        ("debug=fast",),
        ("debug=overfit",),
        ("debug=profile",),
        ("callbacks.solved.enabled=false",),
        ("callbacks.early_stopping.enabled=true",),
        ("callbacks.solved.threshold=0.5",),
        ("data.curriculum={enabled:true,threshold:0.5}",),
        ("+optimizer.arguments.betas=[0.9,0.98]",),
        ("+optimizer.arguments.betas=[0.9,0.99]",),
        ("trainer.overfit_batches=1",),
        ("trainer.num_threads=1",),
        ("seed=1",),
    ]
    configs = [compose(*each) for each in words]
    assert len({Run.of(config).path for config in configs}) == len({config_hash(config) for config in configs})
    assert len({Run.of(config).path for config in configs}) == len(words)


@pytest.mark.slow
def test_held_writes_what_was_asked_for(tiny):
    config = tiny()
    run = Run.of(config)
    with run.locked(config):
        run.begin(config, ["seed=0", "task.cell=gru"])
        assert run.config() == config
        assert (run.path / "overrides.txt").read_text() == "seed=0\ntask.cell=gru\n"
        assert run.checkpoints.is_dir()


@pytest.mark.slow
def test_second_process_is_told_who_holds_it(tiny, tmp_path):
    config = tiny()
    code = f"""
import sys
from lightning_dl2 import compose
from lightning_dl2.run.directory import Run
from tests.conftest import TINY
config = compose(*TINY, "root={tmp_path}/runs")
with Run.of(config).locked(config):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        for resume in ("auto", "restart"):
            with pytest.raises(UserError, match=f"is held by process {other.pid} on "):
                claimed(tiny(f"resume={resume}"))
        other.kill()
    assert claimed(config).path.is_dir()  # the lock ends with its holder


def test_never_and_restart(tiny):
    run = claimed(tiny())
    (run.path / "mark").touch()
    with pytest.raises(UserError, match="resume=never: .* holds a run; allowed: auto, restart"):
        claimed(tiny("resume=never"))
    assert (run.path / "mark").exists()
    for number in (1, 2):
        claimed(tiny("resume=restart"))
        assert not (run.path / "mark").exists()
        assert (run.path.with_name(f"seed=0.old-{number}") / "config.yaml").exists()
    assert (run.path.with_name("seed=0.old-1") / "mark").exists()
    claimed(tiny("resume=never", "seed=1"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"), [("SLURM_JOB_ID", "SLURM_RESTART_COUNT"), ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")]
)
@pytest.mark.parametrize("resume", ["restart", "never"])
def test_what_a_cluster_starts_again_goes_on(tiny, monkeypatch, resume, name, count):
    """A job restarted by its cluster resumes its run, neither starting over nor refusing it."""
    if resume == "restart":
        claimed(tiny())
    for key in (name, count):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv(name, "7")
    monkeypatch.setenv(count, "1")  # its first start was killed before training
    run = claimed(tiny(f"resume={resume}"))
    asides = len([*run.path.parent.glob("*.old-*")])
    assert asides == (resume == "restart")
    (run.path / "mark").touch()
    run.write_result(tiny(), status="completed", metrics={}, steps=10**9, stopped_by="limit")
    assert run.finished(tiny(f"resume={resume}"))
    assert claimed(tiny(f"resume={resume}")).path == run.path and (run.path / "mark").exists()
    monkeypatch.setenv(count, "0")  # a user types it again in an interactive job
    assert not run.finished(tiny(f"resume={resume}"))
    if resume == "never":
        with pytest.raises(UserError, match="resume=never"):
            claimed(tiny("resume=never"))
    else:
        claimed(tiny("resume=restart"))
        assert not (run.path / "mark").exists()


def test_what_was_gone_on_with_by_hand_is_no_more_the_jobs(tiny, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    run = claimed(tiny())
    assert run.launch_file.exists()
    monkeypatch.delenv("SLURM_JOB_ID")
    assert not claimed(tiny()).launch_file.exists()
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with pytest.raises(UserError, match="resume=never"):
        claimed(tiny("resume=never"))


def test_run_of_another_conf_is_not_mixed(tiny):
    """A run is refused if conf/ has changed its values under the same path."""
    run = claimed(tiny())
    values = run.config().model_dump()
    values["optimizer"]["learning_rate"] = 0.5
    run.config_file.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match="optimizer.learning_rate=.*: .* was begun with optimizer.learning_rate=0.5"):
        claimed(tiny())
    claimed(tiny("resume=restart"))


def test_root_that_cannot_be_written(tiny, tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UserError, match=r"root: .*file/palindrome.* cannot be written"):
        claimed(tiny(f"root={tmp_path}/file"))
    assert (tmp_path / "file").read_text() == "a file"


@pytest.mark.parametrize(
    ("text", "says"), [("a: [", "is not YAML"), ("", "is empty"), ("\xff", "is not YAML"), ("seed: 0\n", "is missing")]
)
def test_broken_config_is_told(tiny, text, says):
    run = claimed(tiny())
    run.config_file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=says):
        run.config()


def test_existing(tmp_path):
    with pytest.raises(UserError, match=f"run={tmp_path}: holds no run"):
        Run.existing(str(tmp_path))


RESULT = {"status": "completed", "metrics": {}, "steps": 24, "epochs": 4, "stopped_by": "limit"}


@pytest.mark.parametrize(
    ("words", "result", "is_done"),
    [
        ((), {}, True),
        (("trainer.max_steps=10",), {}, True),
        (("trainer.max_steps=25",), {}, False),
        (("trainer.max_steps=25",), {"stopped_by": "solved"}, True),
        (("trainer.max_steps=25",), {"stopped_by": "early_stopping"}, True),
        (("trainer.max_steps=-1", "trainer.max_epochs=4"), {}, True),
        (("trainer.max_steps=-1", "trainer.max_epochs=5"), {}, False),
        ((), {"status": "interrupted"}, False),
        ((), {"status": "failed"}, False),
        (("resume=restart",), {}, False),
        (("resume=never",), {}, False),
    ],
)
def test_finished(tiny, words, result, is_done):
    claimed(tiny()).write_result(tiny(), **RESULT | result)
    config = tiny(*words)
    assert (Run.of(config).finished(config) is not None) == is_done


def test_result_of_another_configuration_does_not_count(tiny):
    run = claimed(tiny())
    run.write_result(tiny("task.cell=gru"), **RESULT)
    assert run.finished(tiny()) is None


@pytest.mark.parametrize("content", [b'{"status": "compl', b"", b"\xff\0", b"[1]", b'{"status": "completed"}'])
def test_damaged_result_does_not_count_and_is_told_before_it_is_replaced(tiny, content, capsys):
    run = claimed(tiny())
    run.result_file.write_bytes(content)
    assert run.finished(tiny()) is None and capsys.readouterr().err == ""
    claimed(tiny())
    told = capsys.readouterr().err
    assert told.startswith(f"warning: {run.result_file}: is ") and told.endswith("; going on, and writing it anew\n")
    assert told.count("\n") == 1 and not run.result_file.exists()


def test_what_killed_processes_left_is_removed_by_who_holds_the_run(tiny):
    run = claimed(tiny())
    left = [run.path / ".config.yaml.1a2b3c4d.tmp", run.checkpoints / ".last.ckpt.1a2b3c4d.tmp"]
    for path in left:
        path.touch()
    claimed(tiny())
    assert not any(path.exists() for path in left) and run.config_file.exists()


def test_a_metric_that_is_no_number_is_null(tiny):
    config = tiny()
    run = claimed(config)
    written = run.write_result(
        config, status="failed", metrics={"a": float("nan"), "b": float("-inf"), "c": 1.5}, seconds=float("inf")
    )
    text = run.result_file.read_text()
    assert run.result() == written and "NaN" not in text and "Infinity" not in text
    assert (written["metrics"], written["seconds"]) == ({"a": None, "b": None, "c": 1.5}, None)


def test_wandb_id_is_chosen_once(tmp_path):
    first = Run(tmp_path).wandb_id()
    assert Run(tmp_path).wandb_id() == first and len(first) == 8


def test_other_ranks_write_nothing(tiny, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not claimed(tiny()).path.exists()
    assert os.environ["LOCAL_RANK"] == "1"


@pytest.mark.slow
def test_of_a_path_the_name_shows_the_file():
    words = ("experiment=text", "data.path='/a/long/way/to/the book.txt'", "seed=1")
    assert variant(compose(*words)).startswith("path=_the_book.txt_-")
    other = compose(*words, "data.path='/b/the book.txt'")
    assert variant(other).rpartition("-")[0] == "path=_the_book.txt_" and variant(other) != variant(compose(*words))
