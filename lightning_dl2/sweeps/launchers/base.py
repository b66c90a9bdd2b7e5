"""Define the interface of a launcher, and the command and environment that its jobs share."""

import os
import sys
from pathlib import Path
from signal import Signals
from typing import Protocol

from lightning_dl2.common.system import python_path
from lightning_dl2.config.conf_files import conf_dirs
from lightning_dl2.sweeps.jobs import Job

RANKS = "RANK LOCAL_RANK GROUP_RANK NODE_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT".split()
LAUNCHERS = ("SLURM_", "TORCHELASTIC_", "OMPI_", "PMI_")  # prefixes of their variables


class Handle(Protocol):
    """A job that was started."""

    def poll(self) -> int | None:
        """Return the exit code; None while the job runs."""

    def stop(self, number: Signals) -> None:
        """Send a signal that makes the job save and exit."""

    def kill(self) -> None:
        """Kill the job without a chance to save."""


class Launcher(Protocol):
    """An object that starts jobs."""

    jobs: int  # most jobs at a time

    def start(self, job: Job, log: Path) -> Handle | None:
        """Start a job whose output goes to `log`; return None where it has no room yet."""


def command(overrides: list[str]) -> list[str]:
    """Return the command that trains a job in a process of its own, wherever and whenever that starts."""
    own = [word for directory in conf_dirs()[-2::-1] for word in ("--config-dir", str(directory))]
    return [sys.executable, "-m", "lightning_dl2.train", *own, *overrides]


def environment() -> dict[str, str]:
    """Return the environment without variables that make a job a rank of another run, or requeue the sweep's job."""
    kept = {key: value for key, value in os.environ.items() if key not in RANKS and not key.startswith(LAUNCHERS)}
    encoding = {"PYTHONIOENCODING": "utf-8:backslashreplace"}  # of the log, whatever the locale
    return encoding | kept | {"PYTHONPATH": python_path()}
