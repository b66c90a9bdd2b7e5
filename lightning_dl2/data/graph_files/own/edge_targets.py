"""Read the labels of edges, and their splits, from the columns of a table of edges.

Shapes: R rows of the table.
"""

from typing import Any

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.own.labels import is_missing
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graph_files.own.tables import Table
from lightning_dl2.data.graph_files.own.targets import read_targets
from lightning_dl2.data.splits import SPLITS


def edge_columns_to_predict(asked: Reading) -> list[str]:
    """Return the names of the columns of edges that are labels or splits, and no features."""
    if not asked.labels_edges:
        return []
    return [*([asked.label or "label"] if asked.labels is None else asked.labels), "split"]


def read_edge_targets(table: Table, asked: Reading) -> tuple[dict[str, Any] | None, str | None]:
    """Read what is to be predicted of the edges, by row of the table, and a note of what is unknown.

    Returns:
        labels, target, class_names, names and splits, as `NodeSet.edge_targets` has them; None: edges are not asked
        for.

    Raises:
        UserError: a column is missing or has no label, or a split is impossible.
    """
    if not asked.labels_edges:
        return None, None
    *names, _ = edge_columns_to_predict(asked)
    for name in names:
        if name not in table.header:
            raise UserError(
                f"{table.path}:1: has no column {name}, which data.level=edge needs; fix: set data.label=NAME"
            )
    columns = {name: table.column(name) for name in names}
    known = [not all(map(is_missing, cells)) for cells in zip(*columns.values(), strict=True)]
    if not any(known):
        raise UserError(f"{table.path}: no edge has a label; allowed: edges with labels")
    read = read_targets(columns, table.place, asked.target)
    splits = _read_splits(table, known) if "split" in table.header else None
    found = {"labels": read.labels, "target": read.target, "class_names": read.class_names, "splits": splits}
    return found | {"names": read.target_names}, read.note and f"edges: {read.note}"


def _read_splits(table: Table, known: list[bool]) -> dict[str, Tensor] | None:
    members: dict[str, list[int]] = {name: [] for name in SPLITS}
    for row, name in enumerate(table.column("split")):
        if not name:
            continue
        if name not in SPLITS:
            raise UserError(f"{table.place(row)}: the split {name}; allowed: {', '.join(SPLITS)} or empty")
        if not known[row]:
            raise UserError(f"{table.place(row)}: an edge of the split {name} has no label; allowed: one that has")
        members[name].append(row)
    if not any(members.values()):
        return None
    if empty := [name for name in SPLITS if not members[name]]:
        raise UserError(
            f"{table.path}: no edge has the split {empty[0]}; allowed: edges of all three, or no column split"
        )
    return {name: torch.tensor(rows) for name, rows in members.items()}
