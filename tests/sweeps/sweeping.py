"""Run sweeps whose jobs are forked from a process that has loaded torch: real runs and signals without imports."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_dl2.sweeps import sweep
from lightning_dl2.sweeps.jobs import Job
from lightning_dl2.sweeps.launchers.base import command
from lightning_dl2.train import main
from tests.conftest import TINY
from tests.processes import ForkedProcess

LONG = ("trainer.max_steps=100000", "callbacks.solved.enabled=false")  # until it is stopped


def _train(overrides: list[str], log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.exit(main(overrides))


class Forked:
    """A handle of a forked job."""

    def __init__(self, overrides: list[str], log: Path) -> None:
        self.process = ForkedProcess(target=_train, args=(overrides, log))
        self.process.start()

    def poll(self) -> int | None:
        return self.process.exitcode

    def stop(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()


class ForkingLauncher:
    """A launcher that records the jobs it starts."""

    def __init__(self, jobs: int, wrap: Callable[[Job, Forked], Forked] = lambda job, handle: handle) -> None:
        self.jobs, self.wrap = jobs, wrap
        self.started: list[Job] = []

    def start(self, job: Job, log: Path) -> Forked:
        self.started.append(job)
        return self.wrap(job, Forked(command(job.overrides)[3:], log))  # without `python -m lightning_dl2.train`


class Sweeper:
    """Run `train -m` on tiny runs below `root` by `sweeper("task.cell=lstm,gru", ...)`; record the result."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.wrap: Callable[[Job, Forked], Forked] = lambda job, handle: handle
        self.launcher: ForkingLauncher | None = None
        monkeypatch.setattr(sweep, "build_launcher", self._launcher)

    def _launcher(self, config, directory):
        self.launcher = ForkingLauncher(config.jobs, self.wrap)
        return self.launcher

    def overrides(self, *overrides: str) -> list[str]:
        keys = {word.partition("=")[0] for word in overrides}
        return [*(word for word in (*TINY, f"root={self.root}") if word.partition("=")[0] not in keys), *overrides]

    def __call__(self, *overrides: str) -> int:
        self.launcher = None
        return main(["-m", *self.overrides(*overrides)])

    @property
    def started(self) -> list[str]:
        """Return the varied overrides of the started jobs, in order."""
        return [job.description for job in self.launcher.started]

    def runs(self) -> list[Path]:
        """Return the existing run directories."""
        return sorted(path.parent for path in self.root.rglob("config.yaml"))
