"""Graphs: how a graph network spreads what it knows, and what depth does to it.

    spreading      the six nodes A to F of the course: their normalised adjacency, and an impulse on C on its way to E
    lookup         a dictionary that GATv2 finds its way in, and GAT does not
    oversmoothing  accuracy, Dirichlet energy and cosine similarity against depth: GCN, residual GCN, GCNII
    paths          palindromes as path graphs: graph networks, a gated graph network and an LSTM against length

Keys: part, one of these or all; data, a directory with the files of Cora for oversmoothing (none: a random graph of 600
nodes); seed.
"""

from pathlib import Path

from rich.table import Table

from lightning_dl2.analysis.graphs import dictionary, formulas, oversmoothing, reach, spreading
from lightning_dl2.common.arguments import choice, natural
from lightning_dl2.common.errors import UserError

PARTS = ("spreading", "lookup", "oversmoothing", "paths")
KEYS = {"part": "all", "data": "none", "seed": "0"}


def analyze(out: Path, values: dict[str, str]) -> Table:
    """Writes the figures of the parts that are asked for.

    Raises:
        UserError: a value is not allowed, or there is no Cora in `data`; nothing is written.
    """
    part, path = choice(values, "part", [*PARTS, "all"]), values["data"]
    seed, parts = natural(values, "seed", most=2**32 - 1), PARTS if part == "all" else (part,)
    if path != "none" and "oversmoothing" not in parts:
        raise UserError(f"data={path}: part={part} reads no data; allowed: part=oversmoothing or all")
    data = oversmoothing.load(None if path == "none" else path, seed) if "oversmoothing" in parts else None
    rows = []
    if "spreading" in parts:
        rows += spreading.write(out) + formulas.rows(spreading.six_nodes(), seed)
    if "lookup" in parts:
        rows += dictionary.write(out, seed)
    if data is not None:
        rows += oversmoothing.write(out, data, seed)
    if "paths" in parts:
        rows += reach.write(out, seed)
    table = Table("what", "found")
    for row in rows:
        table.add_row(*row)
    return table
