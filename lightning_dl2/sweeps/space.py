"""What a search draws from: Optuna's distributions, and values as they are typed."""

from typing import TYPE_CHECKING, Any

from lightning_dl2.sweeps.words import Swept

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def distribution(swept: Swept) -> "BaseDistribution":
    """Numbers of a range or an interval; else one of the values, as they are typed."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    span = swept.span
    if span is None:
        return CategoricalDistribution(swept.values)
    if isinstance(span.low, int) and isinstance(span.high, int):
        return IntDistribution(span.low, span.high, log=span.log, step=span.step or 1)
    return FloatDistribution(span.low, span.high, log=span.log, step=span.step)


def typed(value: Any) -> str:
    """What was drawn, as it is typed: a number with all its digits."""
    return value if isinstance(value, str) else repr(value)


def corners(space: list[Swept]) -> list[dict[str, str]]:
    """Values that show whether a space is valid: each choice and each end once, the other keys at their first."""
    ends = {}
    for swept in space:
        span = swept.span
        ends[swept.name] = [typed(span.low), typed(span.high)] if span else list(swept.values)
    first = {name: values[0] for name, values in ends.items()}
    return [first, *({**first, name: value} for name, values in ends.items() for value in values[1:])]
