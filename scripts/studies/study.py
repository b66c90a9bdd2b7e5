"""Select the rows of a study, train their runs in parallel, and format the results."""

import multiprocessing
import os
import signal
import statistics
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeVar

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from rich.progress import Progress  # noqa: E402

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.common.arguments import Arguments, Text, parse, split_names, whole  # noqa: E402
from lightning_dl2.common.command import console  # noqa: E402
from lightning_dl2.run.directory import Run  # noqa: E402
from lightning_dl2.train import main  # noqa: E402

# Runs are forked from a server that has loaded torch and Lightning: the import takes longer than many runs.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["lightning_dl2.training.fit", "lightning_dl2.train"])


class StudyArguments(Arguments):
    """Hold the key=value arguments of a study."""

    jobs: Annotated[int, whole(1)] = 1
    threads: Annotated[int, whole(1)] = 1
    root: Text = "runs"
    only: Text = "all"
    seeds: Annotated[int, whole()] = 0  # at most, for each row; 0: no limit


S = TypeVar("S", bound=StudyArguments)


def read_study(argv: list[str], studies: dict[str, Callable[[], list]], model: type[S]) -> tuple[list[Any], S]:
    """Read the command line of a study: [STUDY ...] [key=value ...].

    Args:
        studies: functions by name that build rows: dataclasses with a `name` and a number of `seeds`.
        model: class of the key=value arguments.

    Returns:
        The chosen rows, and the arguments.

    Raises:
        UserError: a study, key or value is unknown.
    """
    names, rest = split_names(argv, studies)
    arguments = parse(model, rest)
    limit, only = arguments.seeds or sys.maxsize, arguments.only
    rows = [row for name in names for row in studies[name]() if only == "all" or f" {only} " in f" {row.name} "]
    return [replace(row, seeds=min(row.seeds, limit)) for row in rows], arguments


def _train(overrides: list[str], said: Path) -> None:
    """Run `python -m lightning_dl2.train overrides...` in this process, with stdout and stderr in a file."""
    threading.Thread(target=_stop_when_study_ends, args=(multiprocessing.parent_process(),), daemon=True).start()
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.exit(main(overrides))


def _stop_when_study_ends(study: BaseProcess) -> None:
    """Save and stop when the study is killed. The fork server is no sign of that: it lives as long as this process."""
    study.join()
    os.kill(os.getpid(), signal.SIGTERM)


def train_all(lines: list[list[str]], jobs: int, threads: int) -> None:
    """Train the run of each line in a process, `jobs` at a time; skip finished runs, resume interrupted ones.

    When the study is interrupted, running trainings save and stop, and no further one starts.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before the first process, from which all others are forked
    running, over = set[BaseProcess](), threading.Event()

    def train(overrides: list[str]) -> tuple[list[str], int, str]:
        with TemporaryDirectory() as directory:
            said = Path(directory) / "said"
            process = PROCESSES.Process(target=_train, args=(overrides, said))
            process.start()
            running.add(process)
            if over.is_set():
                process.terminate()
            process.join()
            running.remove(process)
            return overrides, process.exitcode, said.read_text("utf-8").strip().rpartition("\n")[2]

    configs = [compose(*overrides) for overrides in lines]
    missing = [
        overrides for overrides, config in zip(lines, configs, strict=True) if not Run.of(config).finished(config)
    ]
    with ThreadPoolExecutor(jobs) as pool, Progress(console=console(stderr=True)) as progress:
        bar = progress.add_task(f"{len(missing)} of {len(lines)} runs to do", total=len(missing))
        try:
            for future in as_completed([pool.submit(train, overrides) for overrides in missing]):
                overrides, code, last = future.result()
                if code:
                    progress.console.print(f"exit {code}: {' '.join(overrides)}: {last}")
                progress.advance(bar)
        except BaseException:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                process.terminate()
            raise


def format_spread(values: list[float], digits: int) -> str:
    """Format the mean and the standard deviation over seeds."""
    if not values:
        return "-"
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"


def format_markdown(header: tuple[str, ...], lines: list[list[str]]) -> str:
    """Format a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *lines))
