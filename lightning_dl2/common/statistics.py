"""Read the names of metrics, compare values of several runs, and summarise them by mean and standard deviation.

A metric is named after the split on which it is measured, as `val/loss`, `val_loss` or `loss/val`.
"""

import math
import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

SPLITS = {"train": "train", "training": "train", "test": "test"} | dict.fromkeys(("val", "valid", "validation"), "val")
_FIRST = re.compile(rf"({'|'.join(SPLITS)})([/_.\- ])(.+)", re.IGNORECASE)
_LAST = re.compile(rf"(.+)([/_.\- ])({'|'.join(SPLITS)})", re.IGNORECASE)
_PART = re.compile(r"(.+)_(step|epoch)")  # Lightning's suffixes of a metric that is logged by step and by epoch


def split_of(metric: str) -> str | None:
    """Return the split of a metric: train, val or test; None: its name does not say."""
    word = _parts(metric)[0]
    return SPLITS[word.lower()] if word else None


def bare_name(metric: str) -> str:
    """Return the name of a metric without its split: `loss` for `val/loss`, `val_loss` and `train_loss_epoch`."""
    name = _parts(metric)[2]
    return found[1] if (found := _PART.fullmatch(name)) else name


def in_split(metric: str, split: str) -> str:
    """Return the name that a metric has on another split: `test_loss` for `val_loss`, `test/f1` for `f1`."""
    word, between, name = _parts(metric)
    if word and _FIRST.fullmatch(metric):
        return f"{split}{between}{name}"
    return f"{name}{between}{split}" if word else f"{split}/{name}"


def with_split(metric: str, split: str) -> str:
    """Return the name of a metric that is measured on a split: `test/f1` for `f1`; one that says a split stays."""
    return metric if split_of(metric) else in_split(metric, split)


def find_metric(metrics: Iterable[str], name: str, split: str) -> str | None:
    """Return the one of `metrics` with this bare name and split; of several, that of epochs; None: there is none."""
    found = [metric for metric in metrics if split_of(metric) == split and bare_name(metric) == name]
    return min(found, key=lambda metric: (metric.endswith("_step"), len(metric), metric), default=None)


def _parts(metric: str) -> tuple[str, str, str]:
    """Return the word for the split (empty: there is none), what stands between, and the rest of the name."""
    if found := _FIRST.fullmatch(metric):
        return found[1], found[2], found[3]
    if found := _LAST.fullmatch(metric):
        return found[3], found[2], found[1]
    return "", "", metric


def is_number(value: float) -> bool:
    """Tell whether a value and its square are finite; larger values, of diverged runs, have no deviation."""
    return math.isfinite(value) and abs(value) < 1e150


def by_quality(value: float | None, mode: str) -> tuple[bool, float]:
    """Return a sort key for values of a metric whose `mode` is "min" or "max": the best is first, None last."""
    return value is None, (-1 if mode == "max" else 1) * (value or 0.0)


@dataclass(frozen=True)
class MeanStd:
    """Mean, standard deviation (of the sample; None for one value) and number of the finite values."""

    mean: float
    deviation: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "MeanStd | None":
        """Summarise the finite values; return None if there are none."""
        finite = [value for value in values if value is not None and is_number(value)]
        if not finite:
            return None
        return cls(statistics.mean(finite), statistics.stdev(finite) if len(finite) > 1 else None, len(finite))

    def __str__(self) -> str:
        """Round the mean to the second significant digit of the deviation."""
        if not self.deviation:
            return _short(self.mean) + (" ± 0" if self.deviation == 0 else "")
        last = math.floor(math.log10(self.deviation)) - 1  # the power of ten of that digit
        digits = max(0, -last)
        if max(abs(self.mean), self.deviation) >= 1e7 or digits > 6:
            first = math.floor(math.log10(abs(self.mean))) if self.mean else last
            return f"{self.mean:.{min(max(first - last + 1, 1), 15)}g} ± {self.deviation:.2g}"
        return f"{self.mean:,.{digits}f} ± {self.deviation:,.{digits}f}"


def _short(value: float) -> str:
    """Write a number with four significant digits, or all digits of a whole number."""
    whole = 1e4 <= abs(value) or value == int(value)
    return f"{value:,.0f}" if whole and abs(value) < 1e10 else f"{value:.4g}"
