"""Read the splits of nodes from a column of their table, or from a table of their own with a split in each column.

Shapes: N nodes, R rows.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.own.tables import Table, read_table
from lightning_dl2.data.splits import SPLITS


def split_of_column(
    table: Table, column: str, nodes: Sequence[int], known: Sequence[bool], trains: bool = True, item: str = "node"
) -> dict[str, Tensor] | None:
    """Return the numbers of the nodes or edges of each split; None: the column is empty.

    Args:
        nodes: R, the node or edge of each row.
        known: N, whether it has a label.
        trains: False: the graph is not to be trained on, and needs neither all splits nor labels of their nodes, which
            are in no split without one.
        item: "node" or "edge".

    Raises:
        UserError: another word than a split's name, a node without a label in a split, or a split without a node.
    """
    members: dict[str, list[int]] = {name: [] for name in SPLITS}
    for row, (node, split) in enumerate(zip(nodes, table.column(column), strict=True)):
        if not split:
            continue
        if split not in SPLITS:
            raise UserError(f"{table.place(row)}: the split {split}; allowed: {', '.join(SPLITS)} or empty")
        if not known[node] and not trains:
            continue
        if not known[node]:
            name = f"node {table.column('id')[row]}" if item == "node" else "an edge"
            raise UserError(f"{table.place(row)}: {name} of the split {split} has no label; allowed: one that has")
        members[split].append(node)
    if not any(members.values()):
        return None
    if trains and (empty := [name for name in SPLITS if not members[name]]):
        raise UserError(
            f"{table.path}: no {item} has the split {empty[0]}; allowed: {item}s of all three, or no column {column}"
        )
    return {name: torch.tensor(found, dtype=torch.int64).sort().values for name, found in members.items()}


def read_splits(
    path: Path, ids: dict[str, int], known: Sequence[bool], index: int, trains: bool = True
) -> tuple[dict[str, Tensor] | None, list[str]]:
    """Read split number `index` of a table with the column id, and a split in each other column.

    Returns:
        the nodes of each split, and notes.

    Raises:
        UserError: a node that does not exist or stands there twice, or no such split; else as `split_of_column`.
    """
    table = read_table(path, ("id", "split"))
    if "id" not in table.header or len(table.header) < 2:
        raise UserError(
            f"{path}:1: has the columns {', '.join(table.header)}; allowed: id, and a column for each split"
        )
    columns = [name for name in table.header if name != "id"]
    if index >= len(columns):
        raise UserError(f"data.split_index={index}: {path} has {len(columns)} splits; allowed: 0 to {len(columns) - 1}")
    nodes: list[int] = []
    seen: dict[str, int] = {}
    for row, name in enumerate(table.column("id")):
        if name not in ids:
            raise UserError(f"{table.place(row)}: node {name} is not in nodes.csv; allowed: the ids there")
        if name in seen:
            raise UserError(f"{table.place(row)}: the id {name} is in line {seen[name]}, too; allowed: each id once")
        seen[name] = table.lines[row]
        nodes.append(ids[name])
    notes = table.notes(",")
    if len(columns) > 1:
        notes.append(f"{path.name} has {len(columns)} splits, of which {columns[index]} is read (data.split_index)")
    if without := len(ids) - len(nodes):
        notes.append(f"{without} nodes have no row in {path.name}, and are in no split")
    return split_of_column(table, columns[index], nodes, known, trains), notes
