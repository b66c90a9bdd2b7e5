"""What the studies share: training many runs side by side, and the spread of their figures."""

import multiprocessing
import os
import signal
import statistics
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from rich.progress import Progress  # noqa: E402

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.cli import console  # noqa: E402
from lightning_dl2.run import Run  # noqa: E402
from lightning_dl2.train import main  # noqa: E402

# Forked from one that has torch and Lightning loaded, which takes longer than many a run.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["lightning_dl2.fit", "lightning_dl2.train"])


def _train(words: list[str], said: Path) -> None:
    """`python -m lightning_dl2.train words...`, in a process of its own; what it says goes to a file."""
    threading.Thread(target=_stop_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.exit(main(words))


def _stop_with(study: BaseProcess) -> None:
    """Saves and stops when the study is killed. Its server of forks would be no sign: that lives as long as we do."""
    study.join()
    os.kill(os.getpid(), signal.SIGTERM)


def train_all(lines: list[list[str]], jobs: int, threads: int) -> None:
    """Trains what each line asks for, one process a job; a finished run is skipped, a stopped one gone on with."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before the first process, which the others are forked from

    def train(words: list[str]) -> tuple[list[str], int, str]:
        with TemporaryDirectory() as directory:
            said = Path(directory) / "said"
            process = PROCESSES.Process(target=_train, args=(words, said))
            process.start()
            process.join()
            return words, process.exitcode, said.read_text().strip().rpartition("\n")[2]

    configs = [compose(*words) for words in lines]
    missing = [words for words, config in zip(lines, configs, strict=True) if not Run.of(config).finished(config)]
    with ThreadPoolExecutor(jobs) as pool, Progress(console=console(stderr=True)) as progress:
        bar = progress.add_task(f"{len(missing)} of {len(lines)} runs to do", total=len(missing))
        for future in as_completed([pool.submit(train, words) for words in missing]):
            words, code, last = future.result()
            if code:
                progress.console.print(f"exit {code}: {' '.join(words)}: {last}")
            progress.advance(bar)


def spread(values: list[float], digits: int) -> str:
    """Mean and standard deviation over seeds."""
    if not values:
        return "-"
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"


def markdown(header: tuple[str, ...], lines: list[list[str]]) -> str:
    """The table as it stands in the README."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *lines))
