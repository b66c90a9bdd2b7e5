"""Read the pairs of nodes that a user asks about, by the graph's own names.

Shapes: M pairs.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.common.paths import describe_path, user_path
from lightning_dl2.data.graph_files.graph_csv import read_ends


def read_pairs(path: str | Path, names: Sequence[str]) -> tuple[Tensor, str | None]:
    """Read a table whose columns src and dst, or without column names the first two, name both ends of a pair.

    Args:
        path: of a .csv, .tsv or .txt file.
        names: of the nodes.

    Returns:
        pairs, int64 [M, 2], a row of the file each; a note of what is read otherwise than it stands there.

    Raises:
        UserError: no such file, no such columns, an unknown name, or a pair of a node with itself.
    """
    file = user_path("pairs", str(path))
    if not file.is_file():
        raise UserError(f"pairs={path}: {describe_path(file)}; allowed: a .csv file with the columns src and dst")
    numbers = {name: number for number, name in enumerate(names)}
    table = read_ends(file, numbers)
    found = []
    for row, (one, other, *_) in enumerate(table.rows):
        for name in (one, other):
            if name not in numbers:
                raise UserError(
                    f"pairs={table.place(row)}: the graph has no node {name!r}; {nearest(name, list(names))}"
                )
        if one == other:
            raise UserError(f"pairs={table.place(row)}: is the node {one} with itself; allowed: two nodes")
        found.append((numbers[one], numbers[other]))
    left = [f"columns that are not read: {', '.join(table.header[2:])}"] if table.header[2:] else []
    return torch.tensor(found), "; ".join([*table.notes(","), *left]) or None
