"""Start the ranks of a run as a launcher does, each in its own process."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lightning_dl2.distributed import group, store
from lightning_dl2.run import directory as run_module
from lightning_dl2.run.directory import Run
from lightning_dl2.train import main
from tests.comparison import has_reached
from tests.conftest import TINY
from tests.processes import ForkedProcess, redirect

SECONDS = 120  # enough for all ranks to end on a busy machine; without the tested code it would be half an hour


DDP = [*TINY, "trainer=ddp_cpu", "trainer.num_threads=1"]


LONG = [*DDP, "trainer.max_steps=120"]


VARIABLES = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT",
    "SLURM_STEP_NUM_TASKS", "SLURM_PROCID",
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _call(words: list[str], out: Path, environment: dict[str, str], prepare: Callable[[], None] | None) -> None:
    redirect(out)
    os.environ.update(environment)
    os.chdir(out)
    if prepare:
        prepare()
    sys.exit(main(words))


class Ranks:
    """The processes that a launcher starts, each in its own directory.

    Args:
        words: overrides of each rank.
        out: parent of the directories 0, 1, ...
        environment: variables that differ from those of a correct launcher.
        prepare: function that each process calls first.
    """

    def __init__(self, words: list[list[str]], out: Path, prepare=None, **environment: str) -> None:
        self.out, self.processes = out, []
        common = {"WORLD_SIZE": str(len(words)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        for rank, own in enumerate(words):
            directory = out / str(rank)
            directory.mkdir(parents=True, exist_ok=True)
            numbers = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            process = ForkedProcess(target=_call, args=(own, directory, common | numbers | environment, prepare))
            process.start()
            self.processes.append(process)

    def kill(self, rank: int) -> None:
        os.kill(self.processes[rank].pid, signal.SIGKILL)

    def ended(self) -> list[int]:
        """Return the exit codes when all processes have ended within seconds of one another."""
        end = time.monotonic() + 2 * SECONDS
        while all(process.is_alive() for process in self.processes):
            assert time.monotonic() < end
            time.sleep(0.05)
        for process in self.processes:
            process.join(SECONDS)
        codes = [process.exitcode for process in self.processes]
        for process in self.processes:
            process.kill()
        return codes

    def errors(self) -> list[tuple[int, str]]:
        """Return the lines of stderr as (rank, line)."""
        said = [(out / "stderr").read_text().splitlines() for out in sorted(self.out.iterdir()) if out.name.isdigit()]
        return [(rank, line) for rank, lines in enumerate(said) for line in lines if line.startswith("error")]

    def printed(self, rank: int) -> list[str]:
        return (self.out / str(rank) / "stdout").read_text().splitlines()


def reached(run: Run, step: int) -> None:
    end = time.monotonic() + 2 * SECONDS
    while not has_reached(run, step):
        assert time.monotonic() < end
        time.sleep(0.01)


def hasty() -> None:
    store.ANSWERING = store.MEETING = group.MEETING = run_module.SEEN_LATEST = 1.0
