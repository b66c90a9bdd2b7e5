"""Test the requests of a SLURM job to its controller; scripts/test_slurm_cluster.py uses a real controller."""

import signal

import pytest

from lightning_dl2 import compose, train
from lightning_dl2.common.command import REQUEUE
from lightning_dl2.distributed import slurm
from lightning_dl2.resume import keep_checkpoints
from lightning_dl2.resume.preemption import Interrupted
from lightning_dl2.run.directory import Run
from lightning_dl2.tasks import SequenceClassifier
from lightning_dl2.train import main
from tests.conftest import TINY
from tests.small import signalled


@pytest.fixture
def controller(tmp_path, monkeypatch, as_before):
    """Return a function that makes up a SLURM job; its scontrol records each request and the state of the run."""
    calls, tools = tmp_path / "calls", tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("SLURM_JOB_ID", "12")

    def install(run: Run, ends: str = "exit 0"):
        stands = f"$(cd {run.checkpoints}; ls last.ckpt; grep -o interrupted {run.result_file})"
        script = f"#!/bin/sh\nPATH=/usr/bin:/bin\necho $* {stands} >> {calls}\n{ends}\n"
        (tools / "scontrol").write_text(script)
        (tools / "scontrol").chmod(0o755)
        return calls

    return install


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "environment", "asked"),
    [
        (signal.SIGUSR1, {}, "requeue 12"),
        (signal.SIGUSR1, {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}, "requeue 12_3"),
        (signal.SIGTERM, {}, None),
        (signal.SIGINT, {}, None),
    ],
)
def test_slurm_is_asked_when_all_is_saved(tiny, monkeypatch, controller, number, environment, asked):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = tiny("trainer.max_steps=14")
    run = Run.of(config)
    calls = controller(run)
    signalled(monkeypatch, SequenceClassifier, "training_step", number)
    with pytest.raises(Interrupted) as stopped:
        train(config)
    assert (stopped.value.exit_code == REQUEUE) is bool(asked)
    said = run.log_file.read_text()
    if asked:
        assert calls.read_text() == f"{asked} last.ckpt interrupted\n"
        assert f"job {asked.split()[1]} is requeued" in said
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN  # set by the requeue
    else:
        assert not calls.exists() and "requeued" not in said


def test_the_time_limit_asks_slurm_too(tiny, controller):
    config = tiny("trainer.max_time='00:00:00:00'")
    calls = controller(Run.of(config))
    with pytest.raises(Interrupted, match="the time limit at step 0"):
        train(config)
    assert calls.read_text() == "requeue 12 interrupted\n"


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ("echo 'Requested operation is presently disabled for job 12' >&2; exit 1", "presently disabled"),
        (None, "No such file"),
    ],
)
def test_slurm_refuses(tmp_path, capsys, controller, ends, why):
    """A refused requeue is one line on stderr and in the log; the exit code stays 75."""
    words = [*TINY, f"root={tmp_path}/runs", "trainer.max_time='00:00:00:00'"]
    run = Run.of(compose(*words))
    if ends:
        controller(run, ends)
    assert main(words) == 75
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: job 12 is not requeued: ") and why in first
    assert second.startswith("stopped by the time limit at step 0")
    assert first in run.log_file.read_text()


@pytest.mark.slow
def test_a_job_that_never_comes_further_is_given_up(tiny, controller, capsys):
    """A job whose time ends before its first step is not requeued for ever; a manual start resets the count."""
    config = tiny("trainer.max_time='00:00:00:00'")
    run = Run.of(config)
    calls = controller(run)
    for given_up in (False, False, True, False):
        with pytest.raises(Interrupted):
            train(config)
        said = capsys.readouterr().err
        assert ("job 12 is not requeued: 3 starts in a row came no step further" in said) is given_up
    assert calls.read_text().count("requeue 12") == 3
    train(tiny())
    assert run.result()["status"] == "completed"


def test_progress_begins_a_new_count(tmp_path, controller):
    counter = tmp_path / "fruitless_starts"
    calls = controller(Run(tmp_path))
    for progressed in (False, False, True, False, False):
        slurm.requeue(progressed, counter)
    assert calls.read_text().count("requeue 12") == 5 and counter.read_text() == "2\n"


def test_outside_of_slurm_nothing_is_done(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    handler = signal.getsignal(signal.SIGTERM)
    slurm.requeue(False, tmp_path / "fruitless_starts")
    assert list(tmp_path.iterdir()) == [] and signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.slow
def test_a_job_that_comes_no_further_than_it_was_is_given_up(tiny, monkeypatch, controller, capsys):
    config = tiny("trainer.max_steps=14")
    calls = controller(Run.of(config))
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="at step 11"):
        signalled(patch, SequenceClassifier, "training_step", signal.SIGUSR1)
        train(config)
    for given_up in (False, False, True):
        with pytest.raises(Interrupted, match="the time limit at step 11"):
            train(tiny("trainer.max_steps=14", "trainer.max_time='00:00:00:00'"))
        assert ("3 starts in a row came no step further" in capsys.readouterr().err) is given_up
    assert calls.read_text().count("requeue 12") == 3


@pytest.mark.slow
def test_a_validation_longer_than_the_job_is_given_up(tiny, monkeypatch, controller, capsys):
    """Starts that only repeat the step before a validation are no progress."""
    monkeypatch.setattr(keep_checkpoints, "LONG", 0.0)
    signalled(monkeypatch, SequenceClassifier, "on_validation_start", signal.SIGUSR1, step=5)
    config = tiny("trainer.max_steps=14")
    calls = controller(Run.of(config))
    for given_up in (False, False, False, True):
        with pytest.raises(Interrupted, match="SIGUSR1 at step 5, within the validation"):
            train(config)
        assert ("3 starts in a row came no step further" in capsys.readouterr().err) is given_up
    assert calls.read_text().count("requeue 12") == 3
