"""What a search draws from: Optuna's distributions, and values as they are typed."""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

from lightning_dl2.sweeps.overrides import Swept

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def distribution(swept: Swept) -> "BaseDistribution":
    """Numbers of a range or an interval; else one of the values, as they are typed."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    span = swept.span
    if span is None:
        return CategoricalDistribution(swept.values)
    if isinstance(span.low, int) and isinstance(span.high, int):
        return IntDistribution(span.low, span.high, log=span.log, step=int(span.step or 1))
    return FloatDistribution(span.low, span.high, log=span.log, step=span.step)


def typed(value: Any) -> str:
    """What was drawn, as it is typed: a number with all its digits."""
    return value if isinstance(value, str) else repr(value)


def corners(space: list[Swept]) -> list[dict[str, str]]:
    """Values that show whether a space is valid: each choice and each end once, the other keys at their first."""
    ends = _ends(space)
    first = {name: values[0] for name, values in ends.items()}
    return [first, *({**first, name: value} for name, values in ends.items() for value in values[1:])]


def combinations(space: list[Swept]) -> Iterator[dict[str, str]]:
    """Yield each combination of choices and ends."""
    ends = _ends(space)
    return (dict(zip(ends, values, strict=True)) for values in product(*ends.values()))


def _ends(space: list[Swept]) -> dict[str, list[str]]:
    """Return the choices of each key, or the ends of its interval."""
    spans = ((swept, swept.span) for swept in space)
    return {each.name: [typed(span.low), typed(span.high)] if span else list(each.values) for each, span in spans}
