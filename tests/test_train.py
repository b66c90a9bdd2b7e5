"""Test that the same command starts, resumes, requeues or does nothing, in one directory, to the last bit."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_dl2 import compose, evaluate, train
from lightning_dl2.builtin import SequenceData, TextData
from lightning_dl2.common import command
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import read_rows
from lightning_dl2.config.compose import validate
from lightning_dl2.config.schema import Config
from lightning_dl2.resume.checkpoint_file import sidecar
from lightning_dl2.run.directory import Run
from lightning_dl2.train import main
from lightning_dl2.training.finished import Objects
from tests.comparison import checkpoint_differences, has_reached, leaves, metrics_differences
from tests.config.test_compose import ONE_OF_EACH
from tests.conftest import TINY, TINY_GRAPH, TINY_TEXT
from tests.graph_files import write_heterophilous, write_planar_sat, write_planetoid, write_ten_fold
from tests.processes import ForkedProcess, fork_interpreters, redirect
from tests.small import write_graph, write_molecules

KEYS = (
    "experiment variant seed status metrics steps epochs seconds steps_per_second parameters config_hash versions"
    " device world_size stopped_by solved_at best_step error test_split encoding data_digest"
).split()
LONG = [*(word for word in TINY if not word.startswith("trainer.max_steps=")), "trainer.max_steps=400"]


def differences(one: Run, other: Run) -> list:
    return checkpoint_differences(one, other) + metrics_differences(one, other)


def _call(words: list[str], out: Path) -> None:
    redirect(out), fork_interpreters()
    sys.exit(main(words))


class Command:
    """`python -m lightning_dl2.train words...` in a process of its own, and its other ranks in theirs."""

    def __init__(self, words: list[str], out: Path) -> None:
        self.out, self.run = out, Run.of(compose(*words))
        self.process = ForkedProcess(target=_call, args=(words, out))
        self.process.start()

    def reached(self, step: int) -> "Command":
        """Wait until the run can be resumed and metrics.csv has a row of this step or a later one."""
        deadline = time.monotonic() + 60
        while not has_reached(self.run, step):
            assert self.process.is_alive() and time.monotonic() < deadline, (self.out / "stderr").read_text()
            time.sleep(0.01)
        return self

    def ended(self, by: signal.Signals | None = None) -> int:
        """Send a signal, and return the exit code."""
        if by:
            os.kill(self.process.pid, by)
        self.process.join(60)
        return self.process.exitcode

    def told(self) -> tuple[list[str], list[str]]:
        """Return the lines of stdout and stderr."""
        return tuple((self.out / name).read_text().splitlines() for name in ("stdout", "stderr"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    """Return the uninterrupted run."""
    return train(compose(*LONG, f"root={tmp_path_factory.mktemp('whole')}"))[1]["run"]


@pytest.mark.slow
def test_stopped_by_every_signal_and_still_equal(whole, tmp_path):
    words = [*LONG, f"root={tmp_path}/runs"]
    step = 0
    for number, code, status in (
        (signal.SIGTERM, 143, "interrupted"),
        (signal.SIGKILL, -9, None),
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGUSR1, 75, "interrupted"),
    ):
        command = Command(words, tmp_path).reached(step + 20)
        assert command.ended(number) == code
        run = command.run
        if status:
            result = run.result()
            assert result["status"] == status and result["steps"] >= step + 20
            stdout, stderr = command.told()
            assert stdout == [str(run.path)]
            assert stderr == [f"stopped by {number.name} at step {result['steps']}; the same command resumes"]
        else:
            assert run.result() is None
        step = torch.load(run.last, weights_only=True)["global_step"]
        assert step < 400
    command = Command(words, tmp_path)
    assert command.ended() == 0
    assert command.told()[0][-1] == str(run.path)
    assert differences(whole, run) == []
    assert run.result()["metrics"] == whole.result()["metrics"]
    assert len(list((tmp_path / "runs").rglob("config.yaml"))) == 1


@pytest.mark.slow
def test_a_killed_text_still_equals(tmp_path, book):
    """A killed text run resumes with equal bits: carried state, averaged weights and samples."""
    words = [*TINY_TEXT, f"data.path={book}", f"data.cache_dir={book.parent}", "trainer.max_steps=240"]
    words += ["trainer.val_check_interval=20"]
    words += [f"callbacks.{name}.enabled=true" for name in ("weight_averaging", "samples")]
    whole = train(compose(*words, f"root={tmp_path}/whole"))[1]["run"]
    words += [f"root={tmp_path}/runs"]
    step = 0
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        command = Command(words, tmp_path).reached(step + 20)
        assert command.ended(number) == code
        step = torch.load(command.run.last, weights_only=True)["global_step"]
        assert step < 240
    command = Command(words, tmp_path)
    assert command.ended() == 0
    assert differences(whole, command.run) == []
    written = [sorted((run.path / "samples").iterdir())[-1].read_text() for run in (whole, command.run)]
    assert written[0] == written[1]


@pytest.mark.slow
def test_the_command_itself(tmp_path):
    """A real `python -m` prints what it should, and does nothing the second time.

    In an ASCII locale, files are UTF-8 all the same, and no line of the log is lost.
    """
    words = [*TINY, f"root={tmp_path}/runs", "seed=3"]
    command = [sys.executable, "-m", "lightning_dl2.train", *words]
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, capture_output=True, encoding="ascii", env=ascii_only)
    assert done.returncode == 0 and done.stderr == ""
    run = Run.of(compose(*words))
    assert done.stdout.splitlines()[-1] == str(run.path)
    assert "test/accuracy" in done.stdout and "completed" in done.stdout
    result = json.loads(run.result_file.read_text())
    assert set(result) == set(KEYS)
    assert (result["status"], result["steps"], result["seed"], result["world_size"]) == ("completed", 24, 3, 1)
    assert result["test_split"] == "held out" and "held out" in done.stdout
    assert (run.path / "overrides.txt").read_text().splitlines() == words
    assert {path.name for path in run.path.iterdir()} == {
        ".lock", "checkpoints", "config.yaml", "metrics.csv", "overrides.txt", "result.json", "train.log",
    }  # fmt: skip

    here = train(compose(*TINY, "seed=3", f"root={tmp_path}/here"))[1]["run"]
    assert differences(run, here) == []  # so what other tests train in this process is what a command trains

    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    assert subprocess.run(command, capture_output=True, encoding="ascii", env=ascii_only).stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


@pytest.mark.slow
def test_two_processes_on_the_cpu(tmp_path):
    """Two DDP ranks share one directory and one output, stop together and resume together."""
    words = ["trainer=ddp_cpu", f"root={tmp_path}/runs", *LONG[:-1], "trainer.max_steps=3000"]
    command = [sys.executable, "-m", "lightning_dl2.train"]
    process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run = Run.of(compose(*words))
    while not has_reached(run, 10):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    stdout, stderr = process.communicate(timeout=60)
    steps = run.result()["steps"]
    assert (process.returncode, stdout.splitlines()) == (75, [str(run.path)])
    assert f"stopped by SIGUSR1 at step {steps}" in stderr

    words[-1] = f"trainer.max_steps={steps + 5}"
    resumed = Command(words, tmp_path)
    assert resumed.ended() == 0, resumed.told()
    result, (lines, _) = run.result(), resumed.told()
    assert (result["world_size"], result["steps"], result["status"]) == (2, steps + 5, "completed")
    assert lines.count(str(run.path)) == 1 and lines[-1] == str(run.path)
    assert len(list((tmp_path / "runs").rglob("config.yaml"))) == 1
    assert [row["step"] for row in read_rows(run.metrics_file)] == sorted(
        (row["step"] for row in read_rows(run.metrics_file)), key=int
    )


# Graph sets from files, which are generated here, so nothing is downloaded.
WRITTEN = {
    "cora": write_planetoid,
    "citeseer": partial(write_planetoid, name="citeseer"),
    "minesweeper": partial(write_heterophilous, name="minesweeper"),
    "chameleon_filtered": partial(write_heterophilous, name="chameleon_filtered"),
    "mutag": write_ten_fold,
    "proteins": partial(write_ten_fold, name="PROTEINS"),
    "exp": write_planar_sat,
    "cexp": write_planar_sat,
    "zinc": lambda directory: write_molecules(directory.with_suffix(".npz")),
}


def small_graphs(config: Config, directory: Path) -> dict[str, Any]:
    """Return overrides for a fast graph experiment: a small generated graph or set in `directory`, a shallow net."""
    name = config.data.name
    changes = {"task.hidden_size": 16, "task.num_layers": min(config.task.num_layers, 4)}
    if name == "sbm":
        sizes = {"data.train_per_class": 20, "data.validation_size": 64, "data.block_model.num_nodes": 500}
        return changes | sizes
    if name in ("csl", "minigc", "pattern", "karate_club", "tastes"):
        return changes
    return changes | {"data.path": str(WRITTEN[name](directory))}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ONE_OF_EACH)
def test_every_experiment_trains(experiment, tmp_path, book):
    config = compose(f"experiment={experiment}", "debug=fast", f"root={tmp_path}", "callbacks.progress_bar=false")
    if isinstance(config.data, TextData):  # offline, and short: windows of the experiment in streams that fit
        changes = {
            "data.path": str(book),
            "data.cache_dir": str(tmp_path),
            "data.batch_size": 4,
            "task.hidden_size": 32,
        }
    elif isinstance(config.data, SequenceData):
        sizes = {"data.validation_size": 64, "data.test_size": 64, "data.length_test_size": 2}
        changes = sizes | {"data.batch_size": 8, "task.hidden_size": 8}
    elif config.data.name == "sequence_file":
        (tmp_path / "words.txt").write_text("".join(f"{n % 2}\t{'AB' * (n % 7 + 1)}\n" for n in range(60)))
        changes = {"data.path": str(tmp_path / "words.txt")}
    elif config.data.name == "mnist1d":
        changes = {"task.hidden_size": 16}
    else:
        changes = small_graphs(config, tmp_path / "files")
    values = config.model_dump()
    for key, value in changes.items():
        *groups, name = key.split(".")
        reduce(getitem, groups, values)[name] = value
    config = validate(values)
    result, objects = train(config)
    assert (result["status"], result["experiment"], result["steps"]) == ("completed", experiment, 4)
    assert objects["run"].path.parent.parent == tmp_path / experiment
    assert "debug=fast" in objects["run"].path.parent.name


def test_wrong_input_creates_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "SILENCE", 60)  # two of these errors need torch, which may take a second to load
    monkeypatch.chdir(tmp_path)
    for words in (
        ["data.batch_size=0"],
        ["trainer.devices=1000"],
        ["optimizer.name=Foo"],
        ["seed=1,2"],
        ["experiment=nothing"],
    ):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith(f"error: {words[-1].partition('=')[0]}") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_larger_max_steps_extends(tiny, tmp_path):
    for steps in (10, 17, 24):
        _, parts = train(tiny(f"trainer.max_steps={steps}", f"root={tmp_path}/parts"))
    _, once = train(tiny(f"root={tmp_path}/once"))
    assert differences(once["run"], parts["run"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("averaging", [False, True])
def test_double_precision_is_exact_too(tiny, tmp_path, averaging):
    words = ("trainer.precision=64", f"callbacks.weight_averaging.enabled={averaging}", "optimizer.learning_rate=0.05")
    train(tiny("trainer.max_steps=10", f"root={tmp_path}/parts", *words))
    result, parts = train(tiny(f"root={tmp_path}/parts", *words))
    _, once = train(tiny(f"root={tmp_path}/once", *words))
    assert differences(once["run"], parts["run"]) == []
    weights = torch.load(parts["run"].last, weights_only=True)["state_dict"].values()
    assert any((value != value.float()).any() for value in weights)  # more digits than single precision holds
    assert evaluate(parts["run"]).items() <= result["metrics"].items()


@pytest.mark.parametrize("root", ["file", "x" * 300])
def test_a_root_that_cannot_be_is_one_line(tmp_path, monkeypatch, capsys, root):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main([*TINY, f"root={root}"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: root: ") and err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["experiment=text", "data=text", f"data.path={'x' * 300}"], "data.path=xxx"),
        (["experiment=text", "data=text", "data.path='~nobody_at_all/x.txt'"], "data.path=~nobody_at_all/x.txt: is no"),
        (["experiment=graph", "data=graph_csv", f"data.path={'x' * 300}"], "data.path=xxx"),
        (["experiment=mutag", "data.path='~nobody_at_all'"], "data.path=~nobody_at_all: is not a path"),
    ],
)
def test_what_is_no_path_is_told(words, says, tmp_path, capsys):
    assert main([*words, f"root={tmp_path}/runs"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"error: {says}") and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


WRONG_PATHS = {
    "experiment=text data=text data.path=nothing": "data.path=nothing: there is no such file",
    "experiment=graph data=graph_csv data.path=nothing": "data.path=nothing: there is no such file",
    "experiment=mutag data=zinc": "data.path=null: data.name=zinc cannot be downloaded",
    f"experiment=text data=text data.path={'x' * 300}": "data.path=xxx",
}


@pytest.mark.slow
def test_a_wrong_path_is_told_before_torch_is_loaded(tmp_path):
    program = f"""
import sys
from lightning_dl2.train import main
for words in {[*WRONG_PATHS]}:
    assert main([*words.split(), 'root={tmp_path}/runs']) == 2 and 'torch' not in sys.modules, words
"""
    package = Path(__file__).parents[1]
    ended = subprocess.run([sys.executable, "-c", program], cwd=package, capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stdout == "", ended.stderr
    lines = ended.stderr.splitlines()
    assert [line.startswith(f"error: {says}") for line, says in zip(lines, WRONG_PATHS.values(), strict=True)] == [
        True
    ] * 4


def test_a_sweep_in_a_file_is_told(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["-m", "seed=0,1", f"root={tmp_path}/file"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: root: {tmp_path}/file")


@pytest.mark.slow
def test_a_run_of_an_older_version_goes_on_and_stays_finished(tiny, tmp_path, capsys):
    """A run from before the key `trainer.gradient_clip_val`, which affects learning, resumes and stays finished."""

    def age(run: Run) -> None:
        text = run.config_file.read_text()
        run.config_file.write_text("".join(line for line in text.splitlines(True) if "gradient_clip_val" not in line))
        result = json.loads(run.result_file.read_text())
        run.result_file.write_text(json.dumps(result | {"config_hash": "of fewer keys"}))
        assert run.config_file.read_text() != text

    _, half = train(tiny("trainer.max_steps=10", f"root={tmp_path}/parts"))
    age(half["run"])
    _, parts = train(tiny(f"root={tmp_path}/parts"))
    assert "is of an older version; added: trainer.gradient_clip_val=" in capsys.readouterr().err
    _, once = train(tiny(f"root={tmp_path}/once"))
    assert differences(once["run"], parts["run"]) == []
    age(parts["run"])
    assert isinstance(train(tiny(f"root={tmp_path}/parts"))[1], Objects)  # nothing was done


@pytest.mark.slow
def test_of_a_key_that_decides_nothing_today_decides_and_no_note_is_made(tiny, tmp_path, capsys):
    run = train(tiny("trainer.max_steps=10"))[1]["run"]
    text = run.config_file.read_text()
    run.config_file.write_text("".join(line for line in text.splitlines(True) if "flush_denormal" not in line))
    assert not run.config().trainer.flush_denormal and "trainer.flush_denormal=false" in capsys.readouterr().err
    train(tiny("trainer.max_steps=12"))
    assert "older version" not in capsys.readouterr().err and run.config().trainer.flush_denormal


@pytest.mark.slow
def test_time_limit_asks_for_a_requeue(tiny, tmp_path, capsys):
    words = [*TINY, f"root={tmp_path}/limited"]
    assert main([*words, "trainer.max_time='00:00:00:00'"]) == 75
    assert "the time limit at step 0" in capsys.readouterr().err
    assert main(words) == 0
    _, once = train(tiny(f"root={tmp_path}/once"))
    assert differences(once["run"], Run.of(compose(*words))) == []


@pytest.mark.slow
def test_restart_moves_aside(tiny):
    _, first = train(tiny())
    run = first["run"]
    mark = run.path / "mark"
    mark.touch()
    result, _ = train(tiny("resume=restart"))
    aside = Run(run.path.with_name("seed=0.old-1"))
    assert (aside.path / "mark").exists() and not mark.exists()
    assert differences(aside, run) == [] and result["status"] == "completed"


@pytest.mark.slow
def test_solved_is_the_end(tiny):
    words = ("callbacks.solved.threshold=0.0", "callbacks.solved.times=2")
    result, _ = train(tiny(*words))
    assert (result["stopped_by"], result["solved_at"], result["steps"]) == ("solved", 5, 10)
    again, objects = train(tiny(*words, "trainer.max_steps=48"))
    assert again == result and isinstance(objects, Objects)  # nothing was done


@pytest.mark.slow
def test_damaged_last_falls_back_to_best(tiny, tmp_path, capsys):
    _, once = train(tiny(f"root={tmp_path}/once"))
    _, objects = train(tiny("trainer.max_steps=12"))
    run = objects["run"]
    content = bytearray(run.last.read_bytes())
    content[len(content) // 2] ^= 1
    run.last.write_bytes(content)
    train(tiny())
    assert capsys.readouterr().err.count(f"warning: {run.last} is damaged") == 1
    assert differences(once["run"], run) == []


@pytest.mark.slow
def test_failure_is_told_and_harms_nothing(tiny, tmp_path, capsys, monkeypatch):
    words = [*TINY, f"root={tmp_path}/runs"]
    step = "lightning_dl2.tasks.SequenceClassifier.training_step"
    from lightning_dl2.tasks import SequenceClassifier

    good = SequenceClassifier.training_step

    def bad_at_10(self, batch, batch_idx):
        outputs = good(self, batch, batch_idx)
        return outputs | {"loss": outputs["loss"] * (float("nan") if self.global_step == 10 else 1)}

    monkeypatch.setattr(step, bad_at_10)
    assert main(words) == 1
    run = Run.of(compose(*words))
    out, err = capsys.readouterr()
    assert out == f"{run.path}\n"
    assert err.startswith("error: NonFiniteError: step 11") and err.count("\n") == 1 and "train.log" in err
    assert "Traceback" in run.log_file.read_text()
    assert run.result()["status"] == "failed" and run.result()["steps"] == 10
    state = torch.load(run.last, weights_only=True)
    assert state["global_step"] == 8 and sidecar(run.last).exists()
    assert all(value.isfinite().all() for _, value in leaves(state) if isinstance(value, torch.Tensor))
    monkeypatch.undo()
    assert main(words) == 0
    _, once = train(tiny(f"root={tmp_path}/once"))
    assert differences(once["run"], run) == []


@pytest.mark.slow
def test_overfit_learns_its_batch(tmp_path):
    config = compose("debug=overfit", f"root={tmp_path}", "callbacks.progress_bar=false", "callbacks.curves=false",
                     "data.sequence_length=6", "data.batch_size=16", "data.validation_size=16", "data.test_size=16",
                     "task.hidden_size=32", "optimizer.learning_rate=0.01")  # fmt: skip
    _, objects = train(config)
    losses = [float(row["train/loss"]) for row in read_rows(objects["run"].metrics_file) if row.get("train/loss")]
    assert losses[-1] < 0.02 < losses[0]


@pytest.mark.slow
def test_overfit_validates_as_any_run(tiny_text):
    """Two batches give every metric of a text; Lightning would validate as many batches as it trains on."""
    monitored = ("callbacks.checkpoint.monitor=val/loss_cold", "trainer.max_steps=4", "trainer.val_check_interval=2")
    result, _ = train(tiny_text("debug=overfit", *monitored))
    assert {"val/loss", "val/loss_cold"} <= result["metrics"].keys()


@pytest.mark.slow
def test_overfit_learns_its_graphs(tiny_graphs):
    config = tiny_graphs("debug=overfit", "data.max_nodes=7", "task.hidden_size=32",
                         "trainer.max_steps=60", "trainer.val_check_interval=60")  # fmt: skip
    _, objects = train(config)
    losses = [float(row["train/loss"]) for row in read_rows(objects["run"].metrics_file) if row.get("train/loss")]
    assert losses[-1] < 0.1 < losses[0]


@pytest.mark.slow
def test_profile_leaves_a_table(tiny):
    _, objects = train(tiny("debug=profile", "trainer.max_steps=10"))
    assert "run_training_batch" in objects["run"].log_file.read_text()


def held_in(run):
    """Return every file of a run except the log, which records each attempt."""
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path != run.log_file}


@pytest.mark.slow
def test_other_data_are_refused(tiny_text, tmp_path):
    """An edited text is refused, for training and for testing."""
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question. " * 100)
    words = (f"data.path={text}", f"data.cache_dir={tmp_path}")
    _, objects = train(tiny_text(*words, "trainer.max_steps=10"))
    before = held_in(objects["run"])
    text.write_text("to be or not to be, that was the question. " * 100)
    for call in (lambda: train(tiny_text(*words)), lambda: evaluate(objects["run"])):
        with pytest.raises(UserError, match="is not what it was"):
            call()
    assert held_in(objects["run"]) == before


@pytest.mark.slow
def test_another_graph_is_refused(tiny_graph, tmp_path):
    """A graph with one more edge is refused, for training and for testing."""
    edges, labels, splits = [(0, 1), (1, 2), (2, 3)], "abab", "ttve"
    words = ("data=graph_csv", f"data.path={write_graph(tmp_path / 'graph', edges, labels, splits)}")
    _, objects = train(tiny_graph(*words, "trainer.max_steps=10"))
    before = held_in(objects["run"])
    write_graph(tmp_path / "graph", [*edges, (0, 3)], labels, splits)
    for call in (lambda: train(tiny_graph(*words)), lambda: evaluate(objects["run"])):
        with pytest.raises(UserError, match=r"the content is not what it was .*changed: edges 6 -> 8, ends of edges\)"):
            call()
    assert held_in(objects["run"]) == before


@pytest.mark.slow
def test_graphs_that_cannot_be_had_create_nothing(tmp_path, capsys, monkeypatch):
    """Graphs that cannot be loaded, or that a net does not fit, give one line, exit code 2 and no files."""
    monkeypatch.setattr(command, "SILENCE", 60)  # these errors need torch, which may take a second to load
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    one_class = write_graph(tmp_path / "one_class", [(0, 1)], "aaa", "tve")
    no_split = write_graph(tmp_path / "no_split", [(0, 1)], "abab")
    for words, says in (
        (["data=graph_csv"], "data.path=null: data.name=graph_csv cannot be downloaded"),
        (["data=graph_csv", "data.path=nothing"], "data.path=nothing: there is no such file"),
        (["data=graph_csv", f"data.path={one_class}"], "data.name=graph_csv: has one class only"),
        (["data=graph_csv", f"data.path={no_split}"], "data.split=public"),
        (["data=cora", "data.path=empty"], "data.path=empty"),
        (["data.train_per_class=30"], "data.train_per_class=30: class 0 has 30 nodes"),
        (["data.block_model.average_degree=80"], "data.block_model.average_degree=80"),
        (
            ["trainer.check_val_every_n_epoch=1", "trainer.val_check_interval=9"],
            "trainer.val_check_interval=9: an epoch",
        ),
        (["task.layer=gcnii"], "task: layer='gcnii' needs input_layer=True"),
        (["+optimizer.weight_decay_of.layer=1"], "optimizer.weight_decay_of: the net has no part layer"),
    ):
        own = [word for word in TINY_GRAPH if "data=" not in words[0] or not word.startswith("data.")]
        assert main([*own, *words]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith(f"error: {says}") and err.count("\n") == 1
        assert "; allowed: " in err or "; fix: " in err or "needs" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_text_that_cannot_be_read_creates_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "SILENCE", 60)  # these errors need torch, which may take a second to load
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").touch()
    (tmp_path / "image.png").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "short.txt").write_text("a word")
    for name in ("nothing.txt", "empty.txt", "image.png", "short.txt", "."):
        assert main(["experiment=text", "data=text", f"data.path={name}", f"data.cache_dir={tmp_path}/cache"]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error: data.") and err.count("\n") == 1
        assert "; allowed: " in err or "; fix: " in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_overrides_can_be_typed_again(tiny, tmp_path):
    """The overrides in overrides.txt lead to the same run when typed."""
    config = tiny("task.forget_bias=null", "+optimizer.arguments.betas=[0.9,0.98]")
    _, objects = train(config)
    words = (objects["run"].path / "overrides.txt").read_text().splitlines()
    assert Run.of(compose(*words, f"root={config.root}")).path == objects["run"].path


@pytest.mark.slow
def test_tensorboard(tiny):
    _, objects = train(tiny("logger=tensorboard"))
    assert list((objects["run"].path / "tensorboard").glob("events.out.*"))
