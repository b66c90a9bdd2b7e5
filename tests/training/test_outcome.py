"""Test how a run ends for the shell: exit codes and messages."""

from dataclasses import replace

import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import WriteError
from lightning_dl2.resume.preemption import Interrupted
from lightning_dl2.run.directory import Run
from lightning_dl2.training.outcome import ROWS, print_table, run_and_report
from lightning_dl2.training.session import Session

REPORT = """2026 INFO pytorch_lightning.profilers.profiler: FIT Profiler Report

------
|  Action  \t|  Mean duration (s)\t|  Num calls \t|  Total time (s) \t|  Percentage %  \t|
------
|  Total  \t|  -  \t|  32 \t|  3.5 \t|  100 %  \t|
------
|  run_training_epoch  \t|  2.5 \t|  1  \t|  2.5  \t|  71.4 \t|
|  optimizer_step  \t|  0.5 \t|  3  \t|  1.5  \t|  42.9 \t|
------
2026 INFO pytorch_lightning.profilers.profiler: TEST Profiler Report
"""


@pytest.mark.slow
@pytest.mark.parametrize(("last", "says"), [("0.01", "it vanishes"), ("1.5", "it has not vanished: more steps")])
def test_a_debug_preset_says_what_it_was_asked_for(tiny, capsys, last, says):
    config = tiny("debug=overfit", "trainer.profiler=simple")
    run = Run.of(config)
    result = dict.fromkeys((*ROWS, "variant", "status")) | {"experiment": "e", "seed": 0, "metrics": {}}

    def train(session):
        run.path.mkdir(parents=True)
        run.metrics_file.write_text(f"step,train/loss,val/loss\n2,2.0,\n2,,3.0\n4,{last},\n")
        run.log_file.write_text(REPORT)
        return result, {}

    assert run_and_report(train, Session.open(config)) == 0
    out = capsys.readouterr().out
    assert f"train/loss on the fixed batches: 2 at step 2, {float(last):.4g} at step 4: {says}" in out
    assert "optimizer_step" in out and "1.5000" in out and "Total" not in out
    assert out.splitlines()[-2:] == [f"the whole profile: at the end of {run.log_file}", str(run.path)]


@pytest.mark.parametrize(("report", "says"), [("", False), (REPORT.replace("|", ""), True)])
def test_only_a_training_that_was_profiled_has_a_profile(tiny, capsys, report, says):
    """A complete run asked for again with a profiler has no profile, and an advanced profile has no table."""
    config = tiny("trainer.profiler=simple")
    run = Run.of(config)
    run.path.mkdir(parents=True)
    run.log_file.write_text("2026 INFO lightning_dl2.fit: from step 0\n" + report)
    result = dict.fromkeys((*ROWS, "variant", "status")) | {"experiment": "e", "seed": 0, "metrics": {}}
    assert run_and_report(lambda session: (result, {}), Session.open(config)) == 0
    assert ("the whole profile" in capsys.readouterr().out) == says


def raising(error: BaseException):
    def train(session):
        raise error

    return train


ENDINGS = [
    (Interrupted("SIGTERM at step 3", 143), 143, "stopped by SIGTERM at step 3; the same command resumes"),
    (Interrupted("the time limit at step 3", 75), 75, "stopped by the time limit at step 3; the same command resumes"),
    (KeyboardInterrupt(), 130, "stopped at once; the same command resumes from the last checkpoint"),
    (ValueError("a\nb"), 1, "error: ValueError: a b (traceback in {log})"),
]


def logging_and(error: BaseException, run: Run):
    def train(session):
        run.log_file.parent.mkdir(parents=True)
        run.log_file.write_text("what has happened")
        raise error

    return train


@pytest.mark.parametrize(("error", "code", "says"), ENDINGS)
def test_endings(tiny, capsys, error, code, says):
    run = Run.of(tiny())
    assert run_and_report(logging_and(error, run), Session.open(tiny())) == code
    assert capsys.readouterr() == (f"{run.path}\n", says.format(log=run.log_file) + "\n")


def test_what_fails_before_there_is_a_log_is_told_in_full(tiny, capsys):
    run = Run.of(tiny())
    assert run_and_report(raising(ValueError("a\nb")), Session.open(tiny())) == 1
    out, err = capsys.readouterr()
    assert out == f"{run.path}\n" and "Traceback" in err and err.endswith("\nerror: ValueError: a b\n")


def test_an_interrupt_before_anything_is_begun_names_no_run(tiny):
    with pytest.raises(KeyboardInterrupt):  # the command prints the message
        run_and_report(raising(KeyboardInterrupt()), Session.open(tiny()))


def test_user_errors_are_left_to_the_command(tiny):
    with pytest.raises(UserError):
        run_and_report(raising(UserError("a=1: no")), Session.open(tiny()))


def test_other_ranks_are_silent(tiny, capsys):
    """Other ranks are silent and exit with 0 when all stop together, because Lightning kills rank 0 otherwise."""
    other = replace(Session.open(tiny()), is_rank_zero=False)
    assert run_and_report(raising(Interrupted("another rank", 75)), other) == 0
    assert run_and_report(raising(ValueError()), other) == 1
    assert capsys.readouterr() == ("", "")


def test_table(capsys):
    print_table("a [red]title[/red] " + "x" * 100, {"loss": 0.12345, "steps": 12345, "none": None, "device": "cpu"})
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "a [red]title[/red] " + "x" * 100
    assert "0.1235" in out and "12,345" in out and "none" not in out and "cpu" in out


def test_a_run_directory_that_is_gone_is_told(tiny, capsys):
    """A run directory moved or deleted during training is reported."""
    config = tiny()
    run, error = Run.of(config), WriteError("metrics.csv cannot be written: No such file or directory")
    assert run_and_report(raising(error), Session.open(config)) == 1
    fix = "fix: move it back, the same command resumes"
    assert capsys.readouterr().err == f"error: {error}; {run.path} has been moved or deleted; {fix}\n"
    assert run_and_report(logging_and(error, run), Session.open(config)) == 1
    assert capsys.readouterr().err == f"error: {error}; the same command resumes from the last checkpoint\n"
