"""Compare values of several runs, and summarise them by mean and standard deviation, rounded for a reader."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass


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
