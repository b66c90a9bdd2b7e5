"""Read a metrics.csv of any length in bounded memory, row by row.

Buckets of equal width group the steps of a long run. Each keeps the lowest and the highest point of every metric, so
that neither a spike nor the best value is lost.
"""

import csv
import math
from io import TextIOWrapper
from pathlib import Path

from lightning_dl2.common.files import open_regular
from lightning_dl2.common.run_files import Damaged
from lightning_dl2.common.statistics import is_number

BUCKETS = 2048  # at most for each metric of a run; a figure could not show more

Point = tuple[int, float]  # step and value
Pair = tuple[Point, Point]  # the lowest and the highest of a bucket


class History:
    """The logged metrics of a run.

    Attributes:
        width: of a bucket, in optimiser steps, a power of two; 1: every point is kept.
        steps: the step of the last row; 0 without rows.
        last: the last logged value of each metric, finite or not.
    """

    def __init__(self) -> None:
        self.width, self.steps = 1, 0
        self.last: dict[str, float] = {}
        self._ends: dict[str, Point] = {}  # last finite points
        self._buckets: dict[str, dict[int, Pair]] = {}

    def add(self, step: int, values: dict[str, float]) -> None:
        """Add a row; the last one of several values at a step counts."""
        self.steps = step
        self.last.update(values)
        for name, value in values.items():
            if is_number(value):
                self._ends[name] = point = step, value
                buckets = self._buckets.setdefault(name, {})
                number = step // self.width
                buckets[number] = _with(point, buckets.get(number))
                if len(buckets) > BUCKETS:
                    self._widen()

    def points(self, name: str) -> dict[int, float]:
        """Return step to value, by step; nothing for a metric without a finite value."""
        kept = [point for pair in self._buckets.get(name, {}).values() for point in pair]
        return dict(sorted([*kept, self._ends[name]])) if kept else {}

    def names(self) -> list[str]:
        """Return the metrics that have points."""
        return list(self._buckets)

    def _widen(self) -> None:
        self.width *= 2
        for name, buckets in self._buckets.items():
            merged: dict[int, Pair] = {}
            self._buckets[name] = merged
            for number, pair in buckets.items():
                for point in pair:
                    merged[number // 2] = _with(point, merged.get(number // 2))


def _with(point: Point, pair: Pair | None) -> Pair:
    """Return the lowest and the highest of a pair and a point, which replaces a point of the same step."""
    if pair is None:
        return point, point
    low, high = pair
    if point[0] in (low[0], high[0]):
        others = [other for other in pair if other[0] != point[0]] or [point]
        low = high = others[0]
    return (point if point[1] < low[1] else low), (point if point[1] > high[1] else high)


def read_history(path: Path) -> History:
    """Read a metrics.csv, without a last row that was cut short; a missing file has no points.

    Raises:
        Damaged: it is no such table, or cannot be read.
    """
    history = History()
    try:
        with TextIOWrapper(open_regular(path), encoding="utf-8", newline="") as file:
            rows = csv.reader(line for line in file if line.endswith("\n"))
            header = next(rows, [])
            for row in filter(None, rows):
                values = {name: float(value) for name, value in zip(header, row, strict=False) if value}
                step = values.pop("step", math.nan)
                if len(row) > len(header) or not math.isfinite(step):
                    raise ValueError("a row is longer than the header, or has no step")
                history.add(int(step), values)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Damaged(path, f"cannot be read: {error.strerror}") from error
    except (csv.Error, ValueError) as error:
        raise Damaged(path, "is damaged") from error
    return history
