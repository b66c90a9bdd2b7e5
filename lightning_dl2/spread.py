"""What several runs of the same came to: mean and standard deviation, as a person would write them."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation (of the sample; None for one value) and number of the values that are finite."""

    mean: float
    deviation: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread | None":
        """None where there is no value."""
        finite = [value for value in values if value is not None and math.isfinite(value)]
        if not finite:
            return None
        return cls(statistics.mean(finite), statistics.stdev(finite) if len(finite) > 1 else None, len(finite))

    def __str__(self) -> str:
        """The mean to the digit that the deviation's second one has."""
        if not self.deviation:
            return _short(self.mean) + (" ± 0" if self.deviation == 0 else "")
        digits = min(6, max(0, 1 - math.floor(math.log10(self.deviation))))
        if abs(self.mean) >= 1e7:
            return f"{self.mean:.3g} ± {self.deviation:.2g}"
        return f"{self.mean:,.{digits}f} ± {self.deviation:,.{digits}f}"


def _short(value: float) -> str:
    """Four digits, or all before the point."""
    whole = 1e4 <= abs(value) or value == int(value)
    return f"{value:,.0f}" if whole and abs(value) < 1e10 else f"{value:.4g}"
