"""Analyze graph networks: how information spreads along edges, and how depth changes the nodes.

    spreading      normalised adjacency of the course's six nodes A to F, and an impulse on C on its way to E
    lookup         a dictionary lookup that GATv2 learns and GAT does not
    oversmoothing  accuracy, Dirichlet energy and cosine similarity against depth: GCN, residual GCN, GCNII
    paths          palindromes as path graphs: accuracy of graph networks, gated graph networks and an LSTM by length

Keys: part, one of these or all; data, a directory with the files of Cora for oversmoothing (none: a random graph of 600
nodes); seed.
"""

from pathlib import Path
from typing import Annotated, Literal, get_args

from rich.table import Table

from lightning_dl2.analysis.arguments import AnalysisArguments
from lightning_dl2.analysis.graphs import dictionary, formulas, oversmoothing, reach, spreading
from lightning_dl2.common.arguments import Text, whole
from lightning_dl2.common.errors import UserError

Part = Literal["spreading", "lookup", "oversmoothing", "paths"]
PARTS = get_args(Part)
NO_DATA = "none"


class Arguments(AnalysisArguments):
    part: Literal[Part, "all"] = "all"
    data: Text = NO_DATA
    seed: Annotated[int, whole(most=2**32 - 1)] = 0


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write the figures of the chosen parts.

    Raises:
        UserError: `part` reads no data, or `data` does not hold Cora; nothing is written.
    """
    part, path, seed = arguments.part, arguments.data, arguments.seed
    parts = PARTS if part == "all" else (part,)
    if path != NO_DATA and "oversmoothing" not in parts:
        raise UserError(f"data={path}: part={part} reads no data; allowed: part=oversmoothing or all")
    data = oversmoothing.load(None if path == NO_DATA else path, seed) if "oversmoothing" in parts else None
    rows = []
    if "spreading" in parts:
        rows += spreading.write(out) + formulas.rows(spreading.build_six_nodes(), seed)
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
