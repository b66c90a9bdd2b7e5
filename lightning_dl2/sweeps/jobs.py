"""Describe the jobs of a sweep: overrides, run directory, and the state that is read from there."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.run_files import Damaged, read_metrics
from lightning_dl2.common.statistics import by_quality
from lightning_dl2.config.compose import NoEffect, compose
from lightning_dl2.config.schema import Config
from lightning_dl2.config.schema.component import Mode
from lightning_dl2.run import lock
from lightning_dl2.run.directory import Run

State = Literal["completed", "interrupted", "failed", "missing", "held", "pruned"]

INACTIVE = "-"  # stands for a value that has no effect
DIGITS = 9  # a number drawn from an interval has about 17


class Objective(NamedTuple):
    """The metric by which jobs are compared, and the direction in which it improves."""

    metric: str
    mode: Mode

    def quality(self, value: float | None) -> tuple[bool, float]:
        """Return a key that sorts values from the best to the worst, None last."""
        return by_quality(value, self.mode)


class Job:
    """A run to train.

    Args:
        number: in the order of the sweep, from 1.
        varies: swept key to its value as typed.
        overrides: of `python -m lightning_dl2.train`.

    Attributes:
        requested: `varies` as given. In `varies` itself `INACTIVE` stands for a value that has no effect.
        inactive: key to the line that says why it has no effect in this job, which is trained without it. Other jobs
            of the sweep may need it: task.dropout=0.3 with task.num_layers=1,2.

    Raises:
        UserError: the overrides are no valid configuration; the line names the job.
    """

    def __init__(self, number: int, varies: dict[str, str], overrides: list[str]) -> None:
        self.number, self.requested, self.varies, self.overrides = number, varies, dict(varies), overrides
        self.inactive: dict[str, str] = {}
        try:
            self.config = self._compose()
        except UserError as error:
            raise UserError(f"{error} (job {number}: {self.description})") from error
        self.run = Run.of(self.config)
        self.code: int | None = None  # exit code of its process, in this call of the sweep
        self.pruned = False

    def _compose(self) -> Config:
        """Compose the overrides, and leave out those without effect."""
        while True:
            try:
                return compose(*self.overrides, begun=Run.has_begun)
            except NoEffect as error:
                keys = {override: override.partition("=")[0].lstrip("+") for override in self.overrides}
                kept = [override for override in self.overrides if keys[override] not in error.keys]
                if len(self.overrides) - len(kept) != len(error.keys):  # one override sets a whole group of keys
                    raise
                self.overrides = kept
                self.inactive |= dict.fromkeys(error.keys, str(error))
                self.varies |= {key: INACTIVE for key in error.keys if key in self.varies}

    @property
    def description(self) -> str:
        """Describe the job by the values that vary."""
        return describe(self.varies)

    @property
    def finished(self) -> bool:
        return self.run.finished(self.config) is not None

    @property
    def state(self) -> State:
        """Read the state from the run directory."""
        if self.finished:
            return "completed"
        if lock.holder(self.run.path):
            return "held"
        if self.pruned:
            return "pruned"
        result = self.run.result()
        if self.code == 2 or (result and result["status"] == "failed"):
            return "failed"
        return "interrupted" if self.run.config_file.exists() else "missing"

    def metric(self, name: str) -> float | None:
        """Return a metric of the best checkpoint; None where it is missing or not finite."""
        value = (self.run.result() or {"metrics": {}})["metrics"].get(name)
        return value if value is not None and math.isfinite(value) else None

    def seconds(self) -> float | None:
        """Return the seconds of training over all processes of the run."""
        return (self.run.result() or {}).get("seconds")

    def history(self, name: str) -> dict[int, float]:
        """Map each step at which a metric was logged to its value."""
        try:
            rows = read_metrics(self.run.metrics_file)
        except Damaged:  # the training reports it
            return {}
        return {int(row["step"]): float(row[name]) for row in rows if row.get(name)}


class Plan(Protocol):
    """The jobs to train: a grid or a search."""

    jobs: list[Job]
    examples: list[Config]  # configurations of present or future jobs
    notes: list[str]  # for the user, before anything is trained

    @property
    def total(self) -> int:
        return len(self.jobs)

    def open(self, directory: Path, objective: Objective, *, dry: bool) -> None:
        """Open the files of the plan in the sweep's directory; `dry` only reads."""
        return None

    def to_come(self) -> list[str]:
        """Describe in lines the jobs that are not in `jobs`, or will not be trained."""

    def next(self) -> Job | None:
        """Return the next job to train; None when all are done."""

    def watch(self, job: Job) -> bool:
        """Return True where a running job should be stopped early."""
        return False

    def ended(self, job: Job) -> None:
        """Learn from a job that has ended."""
        return None


def describe(varies: dict[str, str]) -> str:
    """Write key=value for each key that varies."""
    return " ".join(f"{key}={shorten(value)}" for key, value in varies.items()) or "the only job"


def check_inactive(jobs: Sequence[Job], others: Iterable[Job] = ()) -> list[str]:
    """Return a line for each key that has no effect in some jobs, which are trained without it.

    Args:
        jobs: of a sweep, all or examples.
        others: further examples; consumed only where a key makes no difference between `jobs`.

    Raises:
        UserError: a key makes no difference in any job.
    """
    if _without_difference(jobs) and (found := _without_difference([*jobs, *others])):
        job = next(job for job in jobs if found[0] in job.inactive)
        raise UserError(
            f"{job.inactive[found[0]]} (job {job.number}: {describe(job.requested)}; and so in every other)"
        )
    return [
        f"{key}: has no effect in {count} of {len(jobs)} combinations; these are trained without it"
        for key, count in Counter(key for job in jobs for key in job.inactive).items()
    ]


def _without_difference(jobs: Sequence[Job]) -> list[str]:
    """Return the keys that have no effect in some jobs, and at most one of several values in the others."""
    found = []
    for key in dict.fromkeys(key for job in jobs for key in job.inactive):
        requested = {job.requested.get(key) for job in jobs}
        used = {job.requested.get(key) for job in jobs if key not in job.inactive}
        if len(used) < min(2, len(requested)):
            found.append(key)
    return found


def shorten(value: str) -> str:
    """Return a value as typed; round a number with many digits to a few."""
    try:
        return value if len(value) < DIGITS else f"{float(value):.4g}"
    except ValueError:
        return value
