"""Read what older versions of the built-in experiments wrote into result.json."""

import math
from typing import Any

from lightning_dl2.builtin.data import test_split
from lightning_dl2.builtin.graph_data import GRAPH_SETS


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
    """Name the data of test/* for a result.json without it; `choices` are flat, as `data.name`."""
    name, fraction, length = (choices.get(f"data.{key}") for key in ("name", "test_fraction", "sequence_length"))
    return test_split(str(name), fraction, length if isinstance(length, int) else math.inf)
