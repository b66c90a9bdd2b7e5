"""Test W&B against a local server: one W&B run for all starts, and no harm from failures of W&B."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from wandb.sdk import wandb_setup

from lightning_dl2 import compose, evaluate, train
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import read_rows
from lightning_dl2.loggers import wandb_logger
from lightning_dl2.loggers.wandb_logger import STEP
from lightning_dl2.loggers.wandb_login import check_login
from lightning_dl2.run.directory import Run
from lightning_dl2.train import main
from lightning_dl2.training.finished import Objects
from tests.conftest import TINY
from tests.processes import ForkedProcess, redirect
from tests.test_train import Command, _call, differences
from tests.wandb_server import SentRun, serving

ONLINE = ("logger=wandb", "logger.init_timeout=60", "logger.finish_timeout=60")  # enough for a busy machine


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Change to a home and a directory without W&B settings, and reset W&B around the test."""
    for key in list(os.environ):
        if key.startswith("WANDB_") or key == "NETRC":
            monkeypatch.delenv(key)
    for name in ("home", "cwd"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.chdir(tmp_path / "cwd")
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def server(monkeypatch):
    """Serve a made-up W&B on this machine, with a login; yield the server."""
    with serving() as running:
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", running.url)
        yield running


def _offline(words: list[str], out: Path) -> None:
    os.environ |= {"WANDB_MODE": "offline", "HOME": str(out / "home")}
    os.chdir(out / "cwd")
    _call(words, out)


class Offline(Command):
    """A command that sets its own variables, because it is forked from a process without them."""

    def __init__(self, words: list[str], out: Path) -> None:
        self.out, self.run = out, Run.of(compose(*words))
        self.process = ForkedProcess(target=_offline, args=(words, out))
        self.process.start()


def rows(sent: SentRun) -> dict[tuple[int, str], set[float]]:
    """Return the values that W&B would draw by step and metric."""
    found: dict[tuple[int, str], set[float]] = {}
    for row in sent.history:
        for key, value in row.items():
            if "/" in key and key != STEP:
                found.setdefault((row[STEP], key), set()).add(value)
    return found


def logged(run: Run) -> dict[tuple[int, str], set[float]]:
    """Return the values of metrics.csv by step and metric."""
    return {
        (int(row["step"]), key): {float(value)}
        for row in read_rows(run.metrics_file)
        for key, value in row.items()
        if value and "/" in key
    }


def without_test(values: dict[tuple[int, str], set[float]]) -> dict[tuple[int, str], set[float]]:
    """Leave test metrics out, of which metrics.csv keeps the last only."""
    return {key: value for key, value in values.items() if not key[1].startswith("test/")}


def sync(path: Path) -> str:
    """Run the command that the documentation gives for `wandb sync`."""
    command = [sys.executable, "-m", "wandb", "sync", str(path / "wandb")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_online_a_resumed_run_is_one_run(server, tiny, tmp_path, capsys):
    named = ("logger.run_name=first", "logger.job_type=training", "logger.notes='a, b'")
    for steps in (10, 24):
        words = (*ONLINE, *named, "logger.artifacts=[checkpoint]", f"trainer.max_steps={steps}")
        result, objects = train(tiny(*words))
        run = objects["run"]
        objects["trainer"].loggers[1].finish({})  # W&B has finished already
    assert capsys.readouterr().err.count("W&B") == 0
    ((name, sent),) = server.runs.items()
    assert name == (run.path / "wandb_id").read_text()
    assert without_test(rows(sent)) == without_test(logged(run))
    assert [row["_step"] for row in sent.history] == list(range(len(sent.history)))
    assert sent.exit_codes == [0, 0]
    assert {key: sent.summary[key] for key in result["metrics"]} == result["metrics"]
    assert (sent.summary["status"], sent.summary["steps"]) == ("completed", 24)
    assert sent.config["trainer"]["value"]["max_steps"] == 24
    assert sent.about["groupName"] == f"palindrome/{run.path.parent.name}"
    assert [sent.about[key] for key in ("displayName", "jobType", "notes")] == ["first", "training", "a, b"]
    assert (sent.summary["best/val/loss"], sent.summary["best_step"]) == (
        result["metrics"]["val/loss"], result["best_step"]
    )  # fmt: skip
    assert [each["artifactCollectionName"] for each in sent.artifacts] == [f"run-{name}"] * 2
    assert wandb.run is None
    _, without = train(tiny(f"root={tmp_path}/csv"))
    assert differences(without["run"], run) == []


@pytest.mark.slow
def test_offline_then_sync(server, tmp_path):
    """Each offline start logs all steps of earlier starts again, which it replaces when synced."""
    words = [*TINY, *ONLINE, f"root={tmp_path}/runs", "trainer.max_steps=300"]
    killed = Offline(words, tmp_path).reached(30)
    assert killed.ended(signal.SIGKILL) == -9
    assert Offline(words, tmp_path).reached(60).ended(signal.SIGTERM) == 143
    run = killed.run
    assert Offline(words, tmp_path).ended() == 0
    name = (run.path / "wandb_id").read_text()
    assert len(list(run.path.glob(f"wandb/offline-run-*-{name}/*.wandb"))) == 1
    assert server.requests == 0

    sync(run.path)
    ((sent_name, sent),) = server.runs.items()
    assert sent_name == name
    assert without_test(rows(sent)) == without_test(logged(run))
    assert sent.exit_codes[-1:] == [0] and sent.summary["status"] == "completed"
    assert sent.config["seed"]["value"] == 0
    count = len(sent.history)
    sync(run.path)
    assert len(sent.history) == count


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["refused", "mute", "broken"])
def test_no_server_at_the_start(server, tiny, capsys, monkeypatch, trouble):
    if trouble == "refused":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    else:
        server.mood = trouble
    # With a nanosecond, W&B itself would wait for ever, and then for its own process.
    result, objects = train(tiny("logger=wandb", f"logger.init_timeout={1e-9 if trouble == 'mute' else 2}"))
    run = objects["run"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: W&B: cannot start: ")
    assert line.endswith(f"; logging offline; to send it later: wandb sync {run.path}/wandb")
    assert line.removeprefix("warning: ") in run.log_file.read_text()
    assert result["status"] == "completed" and server.runs == {}
    assert len(list(run.path.glob("wandb/offline-run-*/*.wandb"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["mute", "gone", "killed"])
def test_trouble_in_the_middle(server, tiny, capsys, monkeypatch, trouble):
    """Neither an outage after the start nor a kill of W&B's process ends the training."""
    from lightning_dl2.tasks import SequenceClassifier

    good = SequenceClassifier.training_step

    def step(self, batch, batch_idx):
        if self.global_step == 8:
            if trouble == "killed":
                os.kill(wandb.setup()._connection._proc._process.pid, signal.SIGKILL)
            elif trouble == "gone":
                server.server_close()
            else:
                server.mood = trouble
        return good(self, batch, batch_idx)

    monkeypatch.setattr(SequenceClassifier, "training_step", step)
    result, objects = train(tiny(*ONLINE, "logger.finish_timeout=2"))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "W&B" in line]
    if trouble == "killed":
        assert line.startswith("warning: W&B: stopped logging: ")
    else:
        path = objects["run"].path
        assert line.endswith(f"within 2 s; to send it later: wandb sync --include-online {path}/wandb")
    assert (result["status"], result["steps"]) == ("completed", 24)
    assert [row["step"] for row in read_rows(objects["run"].metrics_file)][-1] == "24"


@pytest.mark.slow
def test_failed_and_stopped_runs_say_so(server, tiny, monkeypatch):
    """Failed and stopped runs have their state in W&B, and the next run of the process is separate."""
    from lightning_dl2.tasks import SequenceClassifier

    with monkeypatch.context() as patch:
        patch.setattr(SequenceClassifier, "training_step", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(tiny(*ONLINE, "seed=1"))
    train(tiny(*ONLINE, "seed=2"))
    first, second = server.runs.values()
    assert (first.exit_codes, first.summary["status"]) == ([1], "failed")
    assert (second.exit_codes, second.summary["status"]) == ([0], "completed")
    assert not set(key for _, key in rows(first)) & {"train/loss"}


@pytest.mark.slow
def test_artifacts_offline(tiny_text, tmp_path, monkeypatch, capsys):
    """Figures and samples are logged, and the checkpoint's artifact holds a run directory."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    kept = {}

    def keep(self, artifact, **options):
        kept.update(name=artifact.name, files=dict(artifact.manifest.entries), **options)

    monkeypatch.setattr(wandb.Run, "log_artifact", keep)
    words = ("logger.artifacts=[figures,samples,checkpoint]", "callbacks.samples.enabled=true", "callbacks.curves=true")
    result, objects = train(tiny_text("logger=wandb", *words))
    run = objects["run"]
    told = f"note: W&B: logged offline; to send it later: wandb sync {run.path}/wandb"
    assert [line for line in capsys.readouterr().err.splitlines() if "W&B" in line] == [told]
    (media,) = run.path.glob("wandb/offline-run-*/files/media")
    assert [file.name.split("_")[0] for file in media.glob("images/figures/*.png")] == ["curves"]
    (table,) = media.glob("table/samples*.table.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["step", "text"] and [row[0] for row in content["data"]] == [8, 16, 24]
    assert kept["name"] == f"run-{(run.path / 'wandb_id').read_text()}" and kept["aliases"] == ["best"]
    for name, entry in kept["files"].items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(entry.local_path, tmp_path / "copy" / name)
    assert list((tmp_path / "cwd").iterdir()) == []
    assert evaluate(Run(tmp_path / "copy"))["test/loss"] == result["metrics"]["test/loss"]


@pytest.mark.slow
def test_under_an_agent_the_run_is_the_agents(server, tiny, monkeypatch):
    for key, value in {"SWEEP_ID": "s1", "RUN_ID": "agents", "PROJECT": "theirs"}.items():
        monkeypatch.setenv(f"WANDB_{key}", value)
    _, objects = train(tiny(*ONLINE))
    assert list(server.runs) == ["agents"] and (objects["run"].path / "wandb_id").read_text() == "agents"
    assert (server.runs["agents"].about["project"], server.runs["agents"].about["sweep"]) == ("theirs", "s1")


@pytest.mark.slow
def test_an_agent_that_asks_for_a_finished_run_gets_its_values(server, tiny, monkeypatch):
    """An agent that proposes a finished run again gets its metrics at once instead of waiting for them."""
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    for name in ("first", "second"):
        monkeypatch.setenv("WANDB_RUN_ID", name)
        wandb.teardown()  # an agent starts a process for each run
        result, objects = train(tiny(*ONLINE))
    assert isinstance(objects, Objects)  # nothing was trained
    assert list(server.runs) == ["first", "second"]
    first, second = server.runs.values()
    assert rows(second) == rows(first) == logged(objects["run"])
    assert second.exit_codes == [0] and second.summary["val/loss"] == result["metrics"]["val/loss"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["online", "offline", "disabled"])
def test_a_complete_run_is_sent_from_its_files(server, tiny, monkeypatch, capsys, mode):
    """A complete run is sent once from its files, without training."""
    result, objects = train(tiny("trainer.max_steps=4"))
    run = objects["run"]
    monkeypatch.setenv("WANDB_MODE", mode)
    capsys.readouterr()
    for _ in range(2):
        assert train(tiny("trainer.max_steps=4", *ONLINE))[0] == result == run.result()
    told = capsys.readouterr().err
    if mode == "disabled":
        assert told == "" and server.runs == {}
        return
    *offline, line = told.splitlines()
    assert line == "note: logger=wandb: has got the complete run from its files"
    later = f"note: W&B: logged offline; to send it later: wandb sync {run.path}/wandb"
    assert offline == [later] * (mode == "offline")
    if mode == "offline":
        sync(run.path)
    ((name, sent),) = server.runs.items()
    assert name == (run.path / "wandb_id").read_text()
    assert rows(sent) == logged(run) and sent.exit_codes == [0]
    assert sent.summary["steps"] == 4 and sent.config["task"]["value"]["hidden_size"] == 8


def _on_a_terminal(words: list[str], out: Path, terminal: str) -> None:
    os.environ["HOME"] = str(out / "home")
    redirect(out)
    for descriptor in (0, 1):
        os.dup2(os.open(terminal, os.O_RDWR), descriptor)
    sys.stdin, sys.stdout = (open(each, mode, encoding="utf-8", closefd=False) for each, mode in enumerate("rw"))
    assert sys.stdin.isatty() and sys.stdout.isatty()
    sys.exit(main(words))


@pytest.mark.slow
def test_a_terminal_is_not_asked(tmp_path):
    """Without a login the command fails in one line and creates nothing, even on a terminal that could prompt."""
    controller, terminal = pty.openpty()
    words = ["logger=wandb", f"root={tmp_path}/runs", "callbacks.progress_bar=false"]
    process = ForkedProcess(target=_on_a_terminal, args=(words, tmp_path, os.ttyname(terminal)))
    process.start()
    process.join(60)
    os.close(terminal)
    os.close(controller)
    told = [line for line in (tmp_path / "stderr").read_text().splitlines() if line != "loading torch ..."]
    assert (process.exitcode, told) == (
        2,
        ["error: logger=wandb: not logged in; fix: run `wandb login`, or set WANDB_API_KEY or WANDB_MODE=offline"],
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("mode", ["offline", "dryrun", "disabled"])
def test_local_modes_need_no_login(monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    check_login()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [("API_KEY", "short", "40"), ("MODE", "nowhere", "mode=nowhere: .*'offline'"), ("API_KEY", "", "not logged in")],
)
def test_wrong_settings(monkeypatch, variable, value, says):
    monkeypatch.setenv(f"WANDB_{variable}", value)
    with pytest.raises(UserError, match=f"^logger=wandb: .*{says}"):
        check_login()


@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("name", ["RUN_ID", "PROJECT"])
def test_a_name_that_wandb_refuses_is_told_before_anything_is_written(tmp_path, monkeypatch, capsys, name, mode):
    monkeypatch.setenv(f"WANDB_{name}", "a/b")
    monkeypatch.setenv("WANDB_MODE", mode)
    assert main([*TINY, "logger=wandb", f"root={tmp_path}/runs"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: WANDB_{name}=a/b: allowed: ") and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_wandbs_own_process_is_ended_if_it_does_not_end_by_itself(monkeypatch):
    """W&B's process is ended if it waits for a server, and its exit code does not become the training's."""
    process = subprocess.Popen(["sleep", "600"])
    connection = SimpleNamespace(_proc=SimpleNamespace(_process=process))
    monkeypatch.setattr(wandb_setup, "singleton", lambda: SimpleNamespace(_connection=connection))
    with monkeypatch.context() as patch:
        patch.setattr(wandb, "teardown", lambda: sys.exit(process.wait()))
        patch.setattr(wandb_logger, "TEARDOWN", 0.01)
        wandb_logger._end_process()
    assert process.returncode == -signal.SIGKILL


class Experiment:
    """A made-up W&B run that keeps metrics."""

    def __init__(self):
        self.summary, self.logged = {}, []

    def log(self, row):
        self.logged.append(row)


def test_the_best_so_far_is_in_the_summary_while_training_lasts(tiny, tmp_path):
    logger = wandb_logger.Wandb(
        tiny("logger=wandb"), Run(tmp_path), [{"step": "5", "val/loss": "2.0", "train/loss": ""}]
    )
    logger._experiment = experiment = Experiment()
    logger._catch_up(experiment)
    assert experiment.summary == {"best/val/loss": 2.0, "best_step": 5}
    for step, loss in ((10, 1.5), (15, float("nan")), (20, 1.5), (25, 1.75)):
        logger.log_metrics({"train/loss": 0.5}, step)
        logger.log_metrics({"val/loss": loss, "val/accuracy": step / 100}, step)
    assert experiment.summary == {"best/val/loss": 1.5, "best/val/accuracy": 0.1, "best_step": 10}


def test_a_login_in_a_file(tmp_path, monkeypatch):
    (tmp_path / "home/.netrc").write_text(f"machine api.wandb.ai login user password {'0' * 40}\n")
    monkeypatch.setenv("WANDB_BASE_URL", "https://api.wandb.ai")
    check_login()


@pytest.mark.slow
def test_disabled_sends_nothing(server, tiny, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    _, objects = train(tiny(*ONLINE, "logger.artifacts=[checkpoint,figures,samples]"))
    assert server.requests == 0 and not list(objects["run"].path.glob("wandb/*run-*"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["logger.artifacts=[figures]"], r"logger.artifacts=\[figures\]: logger=csv keeps none; allowed: \[\]"),
        (["logger.artifacts=[weights]"], "logger.artifacts.*: allowed: 'figures', 'samples' or 'checkpoint'"),
        (["logger.project=a/b"], "logger.project=a/b: allowed: a name without /"),
        (["logger.init_timeout=0"], "logger.init_timeout=0: allowed"),
    ],
)
def test_wrong_words(words, says):
    with pytest.raises(UserError, match=f"^{says}"):
        compose(*words)
