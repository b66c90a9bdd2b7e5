"""Say how the results of the built-in tasks are laid out: the keys of their matrix, and the lengths of training.

The arguments `choices` are the flat values of a run's config.yaml, as `data.name`, unchecked: runs of older versions
are read, too.
"""

from typing import Any, NamedTuple

_NET = ("task.cell", "task.layer")  # what a task's net is built of: each built-in task has one of them


class Sizes(NamedTuple):
    """The sizes that a net was trained on, both ends included."""

    unit: str  # such as "length"
    low: float
    high: float


def matrix_keys(choices: dict[str, Any]) -> tuple[str, str] | None:
    """Return the keys of the rows and columns of the matrix of a task's runs; None: nobody knows."""
    return next((("data.name", key) for key in _NET if "task.name" in choices and key in choices), None)


def training_sizes(choices: dict[str, Any]) -> Sizes | None:
    """Return the lengths of the training sequences; None: the data has no lengths, or is the user's own."""
    high = choices.get("data.sequence_length")
    if "data.name" not in choices or not isinstance(high, int):
        return None
    low = choices.get("data.shortest_length")
    if choices.get("data.curriculum.enabled"):
        low = choices.get("data.curriculum.start")
    return Sizes("length", low if isinstance(low, int) else high, high)
