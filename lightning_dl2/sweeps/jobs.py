"""One run of a sweep: its words, its directory, how it stands. All of it is read from the run directory."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.run_files import Damaged, read_metrics
from lightning_dl2.config.compose import NoEffect, compose
from lightning_dl2.config.schema import Config
from lightning_dl2.run import lock
from lightning_dl2.run.directory import Run

State = Literal["completed", "interrupted", "failed", "missing", "held", "pruned"]

IDLE = "-"  # in the place of a value that has no effect
DIGITS = 9  # a number drawn from an interval has about 17


class Job:
    """A run that is to be trained.

    Args:
        number: in the order of the sweep, from 1.
        varies: swept key to its value as typed.
        words: of `python -m lightning_dl2.train`.

    Attributes:
        asked: `varies` as given. In `varies` itself `IDLE` stands for a value that has no effect.
        idle: key to the line that says why it has no effect in this job, which is trained without it. Other jobs of
            the sweep may need it: task.dropout=0.3 with task.num_layers=1,2.

    Raises:
        UserError: the words are no valid configuration; the line says of which job.
    """

    def __init__(self, number: int, varies: dict[str, str], words: list[str]) -> None:
        self.number, self.asked, self.varies, self.words = number, varies, dict(varies), words
        self.idle: dict[str, str] = {}
        try:
            self.config = self._composed()
        except UserError as error:
            raise UserError(f"{error} (job {number}: {self.told})") from error
        self.run = Run.of(self.config)
        self.code: int | None = None  # with which its process ended, in this sweep's process
        self.pruned = False

    def _composed(self) -> Config:
        """Compose the words, and leave out those without effect."""
        while True:
            try:
                return compose(*self.words, begun=lambda config: Run.of(config).config_file.is_file())
            except NoEffect as error:
                kept = [word for word in self.words if key_of(word) not in error.keys]
                if len(self.words) - len(kept) != len(error.keys):  # a word sets a whole group of keys
                    raise
                self.words = kept
                self.idle |= dict.fromkeys(error.keys, str(error))
                self.varies |= {key: IDLE for key in error.keys if key in self.varies}

    @property
    def told(self) -> str:
        """What varies, in words."""
        return _in_words(self.varies)

    @property
    def asked_in_words(self) -> str:
        """Say in words what was to vary."""
        return _in_words(self.asked)

    @property
    def finished(self) -> bool:
        return self.run.finished(self.config) is not None

    @property
    def state(self) -> State:
        """As the run directory tells it."""
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
        """Return a metric of the best checkpoint; None where there is none yet, or it is no number."""
        value = (self.run.result() or {"metrics": {}})["metrics"].get(name)
        return value if value is not None and math.isfinite(value) else None

    def seconds(self) -> float | None:
        """Of training, all processes of the run together."""
        return (self.run.result() or {}).get("seconds")

    def history(self, name: str) -> dict[int, float]:
        """Step to the metric's value, as far as it is logged."""
        try:
            rows = read_metrics(self.run.metrics_file)
        except Damaged:  # training tells it
            return {}
        return {int(row["step"]): float(row[name]) for row in rows if row.get(name)}


def _in_words(varies: dict[str, str]) -> str:
    return " ".join(f"{key}={shown(value)}" for key, value in varies.items()) or "its only words"


def key_of(word: str) -> str:
    """Return the key that a word sets."""
    return word.partition("=")[0].lstrip("+")


def check_idle(jobs: Sequence[Job], others: Iterable[Job] = ()) -> list[str]:
    """Say in a line a key which keys have no effect in some jobs, which are trained without them.

    Args:
        jobs: of a sweep, all or examples.
        others: further examples; asked for only where a key makes no difference between `jobs`.

    Raises:
        UserError: a key makes a difference nowhere.
    """
    if _makes_no_difference(jobs) and (found := _makes_no_difference([*jobs, *others])):
        job = next(job for job in jobs if found[0] in job.idle)
        raise UserError(f"{job.idle[found[0]]} (job {job.number}: {job.asked_in_words}; and so in every other)")
    return [
        f"{key}: has no effect in {count} of {len(jobs)} combinations; these are trained without it"
        for key, count in Counter(key for job in jobs for key in job.idle).items()
    ]


def _makes_no_difference(jobs: Sequence[Job]) -> list[str]:
    """Return the keys that have no effect in some jobs, and at most one of several values in the others."""
    found = []
    for key in dict.fromkeys(key for job in jobs for key in job.idle):
        asked = {job.asked.get(key) for job in jobs}
        used = {job.asked.get(key) for job in jobs if key not in job.idle}
        if len(used) < min(2, len(asked)):
            found.append(key)
    return found


def shown(value: str) -> str:
    """A value as typed, but a number with many digits to a few."""
    try:
        return value if len(value) < DIGITS else f"{float(value):.4g}"
    except ValueError:
        return value
