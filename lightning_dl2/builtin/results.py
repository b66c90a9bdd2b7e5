"""Read the results of the built-in experiments, of older versions too, and say which keys lay them out.

The arguments `choices` are the flat values of a run's config.yaml, as `data.name`, unchecked.
"""

from typing import Any, NamedTuple

from lightning_dl2.builtin.graph_data import GRAPH_SETS
from lightning_dl2.builtin.sequence_data import MINIMUM_HELD_OUT, NOT_HELD_OUT
from lightning_dl2.builtin.text_data import NO_TEST
from lightning_dl2.config.schema.component import HELD_OUT

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


def present_name(data: dict[str, Any], metric: str) -> str:
    """Rename a metric: older versions had one name for bpc and bits per byte, and one for two linear models.

    Args:
        data: the group of a config.yaml, unchecked.
    """
    if data.get("tokens") == "bytes":
        metric = metric.replace("/bpc", "/bits_per_byte")
    if data.get("name") in GRAPH_SETS and data.get("name") != "pattern":
        metric = metric.replace("/no_graph_baseline", "/counts_baseline")
    return metric


def former_test_split(choices: dict[str, Any]) -> str:
    """Name the data of test/* for a result.json without it."""
    if choices.get("data.test_fraction") == 0:
        return NO_TEST
    length, least = choices.get("data.sequence_length"), MINIMUM_HELD_OUT.get(str(choices.get("data.name")))
    return NOT_HELD_OUT if least is not None and isinstance(length, int) and length < least else HELD_OUT
