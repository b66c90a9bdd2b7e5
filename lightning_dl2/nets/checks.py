"""Check constructor arguments: a ValueError names the argument, its value and the allowed ones."""

from collections.abc import Iterable
from typing import Any


def check_choice(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raise ValueError unless `value` is one of the names `allowed`."""
    names = tuple(allowed)
    if value not in names:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(names)}")


def check_sizes(**sizes: int) -> None:
    """Raise ValueError for the first size below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; it must be >= 1")


def check_dropouts(**probabilities: float) -> None:
    """Raise ValueError for the first probability outside of [0, 1)."""
    for name, p in probabilities.items():
        if not 0 <= p < 1:
            raise ValueError(f"{name} is {p}; it must be in [0, 1)")
