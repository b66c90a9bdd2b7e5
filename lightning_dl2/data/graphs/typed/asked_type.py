"""Find the type of nodes that has the targets, among the tables of all types, and read them.

Shapes: n nodes of a type.
"""

from collections.abc import Mapping
from pathlib import Path

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.data.graph_files.graph_csv import columns_to_predict, find_table, known_cells
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graph_files.own.split_table import read_splits, split_of_column
from lightning_dl2.data.graph_files.own.tables import Table
from lightning_dl2.data.graph_files.own.targets import read_targets
from lightning_dl2.data.graphs.typed.assemble import Asked


def find_target_type(path: Path, tables: Mapping[str, Table], asked: Reading) -> str:
    """Return the type whose nodes have the targets."""
    if asked.target_type is not None:
        if asked.target_type not in tables:
            ways = nearest(asked.target_type, list(tables))
            raise UserError(f"data.types.target={asked.target_type}: {path} has no such type; {ways}")
        return asked.target_type
    if asked.for_run is not None:
        name = str(asked.for_run.get("target_type"))
        if name not in tables:
            raise UserError(f"data.path={path}: has no nodes of the type {name}, which the run predicts; allowed: some")
        return name
    wanted = columns_to_predict(asked)
    have = [
        name
        for name, table in tables.items()
        if {*wanted} <= {*table.header} and any(known_cells({column: table.column(column) for column in wanted}))
    ]
    if len(have) == 1:
        return have[0]
    columns = ", ".join(wanted)
    if not have:
        raise UserError(f"data.path={path}: no type of nodes has {columns}; fix: set data.label=NAME of a column")
    raise UserError(f"data.types.target=null: {' and '.join(have)} have {columns}; allowed: {', '.join(have)}")


def read_typed_targets(
    path: Path, name: str, table: Table, ids: dict[str, int], asked: Reading
) -> tuple[Asked, list[str]]:
    """Read labels and splits of the nodes of the asked type, and notes."""
    wanted, trains = columns_to_predict(asked), asked.for_run is None
    if trains and (lacks := next((column for column in wanted if column not in table.header), None)):
        raise UserError(
            f"data.types.target={name}: its nodes have no {lacks}; allowed: columns of {', '.join(table.header)}"
        )
    cells = {column: table.column(column) if column in table.header else [""] * len(ids) for column in wanted}
    known = known_cells(cells)
    if trains and not any(known):
        raise UserError(f"{table.path}: no node of the type {name} has a label; allowed: nodes with labels")
    read = read_targets(cells, table.place, asked.target)
    notes = [f"{name}: {read.note}"] if read.note else []
    splits = None
    if "split" in table.header:
        splits = split_of_column(table, "split", list(range(len(ids))), known, trains)
    file = find_table(path, "splits") if path.is_dir() else None
    if file is None and asked.split_index:
        raise UserError(f"data.split_index={asked.split_index}: {path} has no splits.csv; allowed: 0")
    if file is not None and splits is not None:
        raise UserError(f"{file}: {table.path.name} has a column split, too; fix: leave one of them out")
    if file is not None:
        splits, told = read_splits(file, ids, known, asked.split_index, trains)
        notes += told
    facts = {"class_names": read.class_names, "target": read.target, "target_names": read.target_names}
    return Asked(name, read.labels, splits, facts), notes
