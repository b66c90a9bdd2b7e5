"""Turn the columns of a table that are to be predicted into classes, numbers or labels, as the user asks.

Shapes: N nodes, T columns.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.targets import Asked
from lightning_dl2.data.graph_files.own.labels import is_missing, number_classes

WORDS = {"true": 1.0, "false": 0.0}  # of a label, in lower case; pandas and Excel write them
LARGEST = torch.finfo(torch.float32).max


class Targets(NamedTuple):
    """Parts of a NodeSet, and a note of what is unknown."""

    labels: Tensor  # int64 [N], float32 [N] or [N, T]
    target: Asked
    class_names: list[str]
    target_names: list[str]
    note: str | None


def read_targets(columns: Mapping[str, Sequence[str]], describe: Callable[[int], str], target: Asked | None) -> Targets:
    """Read T columns of N cells; one that stands for nothing is unknown.

    Args:
        columns: by name.
        describe: names the place of a row in a message.
        target: None: one column of classes, where a number with a fraction is refused.

    Raises:
        UserError: several columns of classes, or a cell of another kind.
    """
    names = list(columns)
    if target in (None, "classification"):
        if len(names) > 1:
            raise UserError(
                f"data.labels={names}: several columns are no class; fix: data.target=regression for numbers,"
                " data.target=multilabel for labels of 0 and 1"
            )
        classes = number_classes(columns[names[0]], describe, target)
        return Targets(torch.tensor(classes.numbers), "classification", classes.names, [], classes.note)
    assert target is not None
    read = _number if target == "regression" else _label
    rows = []
    for row, cells in enumerate(zip(*columns.values(), strict=True)):
        values = []
        for name, cell in zip(names, cells, strict=True):
            if (value := math.nan if is_missing(cell) else read(cell)) is None:
                allowed = "a finite number" if target == "regression" else "0 or 1"
                raise UserError(f"{describe(row)}: {name}={cell[:40]!r}; allowed: {allowed}, or empty for unknown")
            values.append(value)
        rows.append(values)
    labels = torch.tensor(rows, dtype=torch.float32)
    counts = zip(names, labels.isnan().sum(0).tolist(), strict=True)
    unknown = ", ".join(f"{name} of {count} nodes" for name, count in counts if count)
    labels = labels.squeeze(1) if target == "regression" and len(names) == 1 else labels
    return Targets(labels, target, [], names, f"unknown: {unknown}" if unknown else None)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None  # neither infinite nor NaN


def _label(cell: str) -> float | None:
    value = WORDS.get(cell.lower(), _number(cell))
    return value if value in (0.0, 1.0) else None
