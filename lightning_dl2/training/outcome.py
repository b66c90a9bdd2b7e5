"""End a run towards the shell: print its table and directory, and return the exit code."""

import sys
import traceback
from collections.abc import Callable
from typing import Any

from rich.table import Table

from lightning_dl2.common.command import console
from lightning_dl2.common.errors import ProcessError, UserError
from lightning_dl2.common.files import WriteError, read_rows
from lightning_dl2.config.schema import Config
from lightning_dl2.run.directory import Run
from lightning_dl2.training.session import Session

VANISHED = 0.05  # share of the first loss below which a net has memorised its batches
LONGEST = 8  # number of actions of a profile that are printed
ROWS = "solved_at best_step steps epochs seconds steps_per_second parameters world_size device".split()


def run_and_report(train: Callable[[Session], Any], session: Session) -> int:
    """Call `train`, print the result and the run directory, and return the exit code."""
    config, run = session.config, session.run
    before = _log_time(run)
    again = "the same command" + (" with resume=auto" if config.resume != "auto" else "") + " resumes"
    try:
        result, _ = train(session)
    except UserError:
        raise
    except KeyboardInterrupt:
        if not run.path.exists():
            raise  # nothing has been written
        return _say(session, f"stopped at once; {again} from the last checkpoint", 130)
    except Exception as error:
        from lightning_dl2.resume.preemption import Interrupted

        if isinstance(error, Interrupted):
            return _say(session, f"stopped by {error}; {again}", error.exit_code)
        if isinstance(error, WriteError) and not run.path.is_dir():
            return _say(session, f"error: {error}; {run.path} has been moved or deleted; fix: move it back, {again}", 1)
        if isinstance(error, WriteError):  # a traceback would add nothing
            return _say(session, f"error: {error}; {again} from the last checkpoint", 1)
        what = str(error) if isinstance(error, ProcessError) else f"{type(error).__name__}: {error}"
        if _log_time(run) == before:  # it failed before the log was open
            if session.is_rank_zero:
                traceback.print_exception(error)
            return _say(session, f"error: {what}", 1)
        return _say(session, f"error: {what} (traceback in {run.log_file})", 1)
    if session.is_rank_zero:
        title = f"{config.experiment}/{run.path.parent.name} seed {config.seed}: {result['status']}"
        rows = {key.replace("_", " "): result.get(key) for key in ROWS}
        print_table(title, result["metrics"] | {"test split": config.test_split} | rows)
        _print_debugged(config, run)
        print(run.path)
    return 0


def _print_debugged(config: Config, run: Run) -> None:
    """Print the results of a debug preset: whether the loss has vanished, and the times of a profile."""
    if config.trainer.overfit_batches and (losses := _losses(run)):
        (first, before), (last, after) = losses[0], losses[-1]
        losses_text = f"train/loss on the fixed batches: {before:.4g} at step {first}, {after:.4g} at step {last}"
        vanishes = "it vanishes" if after <= VANISHED * before else "it has not vanished: more steps, or a fault"
        print(f"{losses_text}: {vanishes}")
    if config.trainer.profiler and (actions := _profile(run)) is not None:
        if actions:
            print_table("seconds of training by action; each includes the actions within it", actions)
        print(f"the whole profile: at the end of {run.log_file}")


def _losses(run: Run) -> list[tuple[str, float]]:
    """Return the training losses that were logged, each with its step."""
    rows = (row for row in read_rows(run.metrics_file) if row.get("train/loss"))
    return [(row["step"], float(row["train/loss"])) for row in rows]


def _profile(run: Run) -> dict[str, float] | None:
    """Read the longest actions of the training that was profiled last from train.log.

    Returns:
        Seconds by action, empty for an advanced profile; None: no training was profiled.
    """
    try:
        text = run.log_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    _, found, report = text.rpartition("FIT Profiler Report\n")
    rows = [[cell.strip() for cell in line.split("|")] for line in report.splitlines() if line.startswith("|  ")]
    # The first two rows are the header and the total; an advanced profile has no such rows.
    return {row[1]: float(row[4]) for row in rows[2 : 2 + LONGEST]} if found else None


def _log_time(run: Run) -> int | None:
    """Return the time at which train.log was written last, in ns; None: it does not exist."""
    try:
        return run.log_file.stat().st_mtime_ns
    except OSError:
        return None


def _say(session: Session, text: str, code: int) -> int:
    if session.is_rank_zero:
        print(" ".join(text.split()), file=sys.stderr)
        print(session.run.path)
        return code
    return code if code == 1 else 0  # the ranks have stopped together: rank 0 alone has the exit code


def print_table(title: str, values: dict[str, Any]) -> None:
    """Print a title and a table of names and values on stdout; values of None, as of a NaN metric, are left out."""
    print(title)
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in values.items():
        if value is not None:
            text = (
                f"{value:,.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
            )
            table.add_row(name, text)
    console().print(table)
