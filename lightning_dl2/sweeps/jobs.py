"""One run of a sweep: its words, its directory, how it stands. All of it is read from the run directory."""

import math
from typing import Literal

from lightning_dl2 import lock
from lightning_dl2.cli import UserError
from lightning_dl2.config import compose
from lightning_dl2.run import Run
from lightning_dl2.run_files import Damaged, read_metrics

State = Literal["completed", "interrupted", "failed", "missing", "held", "pruned"]

DIGITS = 9  # a number drawn from an interval has about 17


class Job:
    """A run that is to be trained.

    Args:
        number: in the order of the sweep, from 1.
        varies: swept key to its value as typed.
        words: of `python -m lightning_dl2.train`.

    Raises:
        UserError: the words are no valid configuration; the line says of which job.
    """

    def __init__(self, number: int, varies: dict[str, str], words: list[str]) -> None:
        self.number, self.varies, self.words = number, varies, words
        try:
            self.config = compose(*words, begun=lambda config: Run.of(config).config_file.is_file())
        except UserError as error:
            raise UserError(f"{error} (job {number}: {self.told})") from error
        self.run = Run.of(self.config)
        self.code: int | None = None  # with which its process ended, in this sweep's process
        self.pruned = False

    @property
    def told(self) -> str:
        """What varies, in words."""
        return " ".join(f"{key}={shown(value)}" for key, value in self.varies.items()) or "its only words"

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


def shown(value: str) -> str:
    """A value as typed, but a number with many digits to a few."""
    try:
        return value if len(value) < DIGITS else f"{float(value):.4g}"
    except ValueError:
        return value
