"""The interface of a launcher, and the command and environment that its jobs share."""

import os
import sys
from pathlib import Path
from signal import Signals
from typing import Protocol

from lightning_dl2.sweeps.jobs import Job

RANKS = "RANK LOCAL_RANK GROUP_RANK NODE_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT".split()
LAUNCHERS = ("SLURM_", "TORCHELASTIC_", "OMPI_", "PMI_")  # what their variables begin with


class Handle(Protocol):
    """A job that was started."""

    def poll(self) -> int | None:
        """Its exit code; None: it has not ended."""

    def stop(self, number: Signals) -> None:
        """Sends it a signal, for which it saves and ends."""

    def kill(self) -> None:
        """Ends it now."""


class Launcher(Protocol):
    """Starts jobs."""

    jobs: int  # at most so many at a time

    def start(self, job: Job, log: Path) -> Handle | None:
        """Starts a job that says what it says in `log`; None: there is no room yet, try again."""


def command(words: list[str]) -> list[str]:
    """What trains `words`, in a process of its own."""
    return [sys.executable, "-m", "lightning_dl2.train", *words]


def environment() -> dict[str, str]:
    """Ours, without what would make a job a rank of some other run, or have it requeue the job that we are in."""
    kept = {key: value for key, value in os.environ.items() if key not in RANKS and not key.startswith(LAUNCHERS)}
    package = str(Path(__file__).parents[3])
    path = kept.get("PYTHONPATH", "").split(os.pathsep)
    said = {"PYTHONIOENCODING": "utf-8:backslashreplace"}  # what a job says goes to a file, whatever the locale
    return said | kept | {"PYTHONPATH": os.pathsep.join(dict.fromkeys([package, *filter(None, path)]))}
