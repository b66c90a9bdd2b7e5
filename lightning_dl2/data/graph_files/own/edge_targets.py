"""Read the labels of edges, and their splits, from the columns of a table of edges.

Shapes: R rows of the table.
"""

from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.own.labels import is_missing
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graph_files.own.split_table import split_of_column
from lightning_dl2.data.graph_files.own.tables import Table
from lightning_dl2.data.graph_files.own.targets import read_targets


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
    trains = asked.for_run is None
    for name in names:
        if trains and name not in table.header:
            have = ", ".join(table.header[2:]) or "nothing"
            raise UserError(
                f"{table.path}: has no column {name}, which data.level=edge needs; the edges have: {have};"
                " fix: set data.label=NAME"
            )
    columns = {name: table.column(name) if name in table.header else [""] * len(table.rows) for name in names}
    known = [not all(map(is_missing, cells)) for cells in zip(*columns.values(), strict=True)]
    if trains and not any(known):
        raise UserError(f"{table.path}: no edge has a label; allowed: edges with labels")
    read = read_targets(columns, table.place, asked.target)
    rows = range(len(table.rows))
    splits = split_of_column(table, "split", rows, known, trains, "edge") if "split" in table.header else None
    found = {"labels": read.labels, "target": read.target, "class_names": read.class_names, "splits": splits}
    return found | {"names": read.target_names}, read.note and f"edges: {read.note}"
