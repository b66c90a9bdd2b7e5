"""Read a graph of several types of nodes and edges from CSV: a column says the type, or each type has a file.

Shapes: n nodes of a type, R rows of a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.data.graph_files.graph_csv import (
    NEIGHBORS,
    SUFFIXES,
    columns_to_predict,
    find_table,
    read_csv,
    read_edge_rows,
    read_ends,
    read_ids,
)
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.own.columns import node_features
from lightning_dl2.data.graph_files.own.labels import is_missing
from lightning_dl2.data.graph_files.own.reading import Features, Reading
from lightning_dl2.data.graph_files.own.tables import Table, read_table
from lightning_dl2.data.graphs.typed.asked_type import find_target_type, read_typed_targets
from lightning_dl2.data.graphs.typed.assemble import (
    NodeType,
    Relation,
    assemble,
    give_own_columns,
    name_bare_types,
    standardize,
)

ONLY, TO = "node", "to"  # the type of all nodes, and the relation of all edges, where nothing says another
NAMES = "nodes.TYPE.csv and edges.SOURCE.NAME.TARGET.csv"
Triple = tuple[str, str, str]


def read_any_csv(path: str | Path, asked: Reading) -> NodeSet:
    """Read a graph of one type by `read_csv`, or one of several types.

    Types stand in a column of nodes.csv, `asked.node_type`, and of edges.csv, `asked.edge_type`. Or each type of nodes
    has a file, nodes.TYPE.csv, and each relation one, edges.SOURCE.NAME.TARGET.csv, with the columns that nodes.csv and
    edges.csv have. A relation is a type of its source, a name and a type of its target. Of a column of one table, the
    cells of a type that has none are no gaps.

    Raises:
        UserError: as `read_csv`; or a type is missing or unknown, or several types have labels.
    """
    path = Path(path)
    nodes, edges = _find_files(path) if path.is_dir() else ({}, {})
    if not nodes and not edges:
        if asked.node_type is None and asked.edge_type is None:
            return read_csv(path, asked)
        if not path.is_dir():
            raise UserError(
                f"data.path={path}: one file has no types; allowed: a directory with nodes.csv and edges.csv"
            )
        return graph_of_typed_tables(path, *_two_tables(path, asked), asked)
    for key, value in (("node", asked.node_type), ("edge", asked.edge_type)):
        if value is not None:
            raise UserError(f"data.types.{key}={value}: {path} has a file for each type; allowed: null")
    if plain := find_table(path, "nodes") or find_table(path, "edges"):
        raise UserError(f"{plain}: stands beside a file of one type; allowed: nodes.csv and edges.csv, or {NAMES}")
    if not nodes or not edges:
        raise UserError(f"data.path={path}: has no {'nodes' if edges else 'edges'} of a type; allowed: {NAMES}")
    tables = {name: read_table(file, ("id",)) for name, file in nodes.items()}
    ids = {name: read_ids(table) for name, table in tables.items()}
    rows = {}
    for triple, file in edges.items():
        for end in (triple[0], triple[2]):
            if end not in ids:
                raise UserError(f"{file}: there is no nodes.{end}.csv; {nearest(end, list(ids))}")
        rows[triple] = read_ends(file, ids[triple[0]] | ids[triple[2]], *_ends(triple))
    return _graph(path, tables, ids, rows, asked, one_table=False)


def graph_of_typed_tables(path: Path, nodes: Table, edges: Table, asked: Reading) -> NodeSet:
    """Make a graph of two tables, of which columns say the types; `edges` begins with src and dst.

    Raises:
        UserError: as `read_any_csv`.
    """
    whole = read_ids(nodes)
    places: dict[str, list[int]] = {}
    for row, kind in enumerate(_cells(nodes, "node", asked.node_type, ONLY)):
        places.setdefault(kind, []).append(row)
    kind_of = {row: kind for kind, rows in places.items() for row in rows}
    # A column whose cells are all empty in a type is none of its columns, unless the run has it, and fills it.
    tables = {
        kind: _subset(nodes, rows, asked.node_type, {"id"}, {*asked.fills}, kind) for kind, rows in places.items()
    }
    ids = {kind: read_ids(table) for kind, table in tables.items()}
    groups: dict[Triple, list[int]] = {}
    for row, name in enumerate(_cells(edges, "edge", asked.edge_type, TO)):
        ends = []
        for end in edges.rows[row][:2]:
            if end not in whole:
                raise UserError(f"{edges.place(row)}: node {end} is not in nodes.csv; allowed: the ids there")
            ends.append(kind_of[whole[end]])
        groups.setdefault((ends[0], name, ends[1]), []).append(row)
    rows = {
        triple: _subset(edges, groups[triple], asked.edge_type, {"src", "dst"}, set(), "") for triple in sorted(groups)
    }
    for table, whole_table in ((tables, nodes), (rows, edges)):
        next(iter(table.values())).told += whole_table.told
    return _graph(path, tables, ids, rows, asked, one_table=True)


def _ends(triple: Triple) -> list[tuple[str, str]]:
    """Return names that the columns of the ends may have: those of the types, if they differ."""
    source, target = triple[0].lower(), triple[2].lower()
    return [(source, target)] if source != target else []


def _find_files(directory: Path) -> tuple[dict[str, Path], dict[Triple, Path]]:
    """Return the files of types and relations of a directory, by their names; both may be empty."""
    nodes: dict[str, Path] = {}
    edges: dict[Triple, Path] = {}
    for file in sorted(directory.iterdir()):
        first, *rest = file.stem.split(".")
        if file.suffix not in SUFFIXES or first not in ("nodes", "edges") or not rest:
            continue
        if len(rest) != (1 if first == "nodes" else 3) or not all(rest):
            raise UserError(f"{file}: is of no type; allowed: {NAMES}")
        found: dict[Any, Path] = nodes if first == "nodes" else edges
        key = rest[0] if first == "nodes" else tuple(rest)
        if key in found:
            raise UserError(f"{file}: {found[key].name} is of this type, too; allowed: one file")
        found[key] = file
    return nodes, edges


def _two_tables(directory: Path, asked: Reading) -> tuple[Table, Table]:
    files = [find_table(directory, stem) for stem in ("nodes", "edges")]
    if files[0] is None or files[1] is None:
        raise UserError(f"data.path={directory}: has no nodes.csv and edges.csv; allowed: both, or {NAMES}")
    nodes = read_table(files[0], ("id",))
    return nodes, read_ends(files[1], read_ids(nodes))


def _cells(table: Table, key: str, column: str | None, default: str) -> list[str]:
    """Return the type of each row."""
    if column is None:
        return [default] * len(table.rows)
    if column not in table.header:
        raise UserError(
            f"data.types.{key}={column}: {table.path} has no such column; allowed: {', '.join(table.header)}"
        )
    cells = table.column(column)
    if (empty := next((row for row, cell in enumerate(cells) if is_missing(cell)), None)) is not None:
        raise UserError(f"{table.place(empty)}: {column}={cells[empty]!r}; allowed: the name of a type")
    return cells


def _subset(
    table: Table, rows: Sequence[int], left_out: str | None, kept: set[str], filled: set[str], kind: str
) -> Table:
    """Return some rows of a table without the column of types, and without columns that are empty there."""
    lines = [table.rows[row] for row in rows]
    columns = [
        place
        for place, name in enumerate(table.header)
        if name != left_out
        and (name in kept or f"{kind}.{name}" in filled or not all(is_missing(line[place]) for line in lines))
    ]
    cells = [tuple([line[place] for place in columns]) for line in lines]
    header = [table.header[place] for place in columns]
    return replace(table, header=header, lines=[table.lines[row] for row in rows], rows=cells, told=[])


def _graph(
    path: Path,
    tables: Mapping[str, Table],
    ids: Mapping[str, dict[str, int]],
    edges: Mapping[Triple, Table],
    asked: Reading,
    *,
    one_table: bool,
) -> NodeSet:
    """Make the graph of the tables of its types and relations, which are parts of one table of each or files."""
    if not asked.labelled or asked.labels_edges:
        raise UserError(f"data.path={path}: has several types, whose edges are no items; allowed: data.level=node")
    if asked.features.degrees:
        raise UserError(f"data.features.degrees=true: {path} has several types of edges; allowed: false")
    target = find_target_type(path, tables, asked)
    notes = list(dict.fromkeys(note for table in (*tables.values(), *edges.values()) for note in table.notes(",")))
    for name, table in tables.items():
        if name != target and (
            left := [column for column in (*columns_to_predict(asked), "split") if column in table.header]
        ):
            notes.append(f"{name}: not read, as the targets are of {target}: {', '.join(left)}")
    wanted, told = read_typed_targets(path, target, tables[target], ids[target], asked)
    notes += told
    _check_names(tables, asked)
    preparation: dict[str, Any] = {"fill": dict(asked.fills), "one_hot": []}
    types = [_type(name, table, list(ids[name]), asked, preparation, notes) for name, table in tables.items()]
    standardize(types, preparation, asked)
    notes += give_own_columns(types) if asked.features.identity else name_bare_types(types)
    preparation |= {"identity": True} if asked.features.identity else {}
    relations = [_relation(triple, table, ids, edges, asked, notes, one_table) for triple, table in edges.items()]
    found, told = assemble(types, relations, wanted, asked, preparation=preparation, unique_ids=one_table)
    found.note = f"data.path={path}: " + "; ".join([*notes, *told])
    found.check(f"data.path={path}")
    return found


def _check_names(tables: Mapping[str, Table], asked: Reading) -> None:
    """Raise UserError for a column that no type of nodes has."""
    have = {title for kind, table in tables.items() for name in table.header for title in (name, f"{kind}.{name}")}
    for key in ("columns", "drop", "one_hot"):
        for name in getattr(asked.features, key) or ():
            if name not in have:
                raise UserError(
                    f"data.features.{key}={name}: no type of nodes has such a column; {nearest(name, sorted(have))}"
                )


def _own(features: Features, kind: str, columns: Sequence[str]) -> Features:
    """Return what is asked of the columns of one type; they may be called COLUMN or TYPE.COLUMN."""

    def chosen(names: Sequence[str]) -> list[str]:
        return [column for column in columns if column in names or f"{kind}.{column}" in names]

    return replace(
        features,
        columns=None if features.columns is None else chosen(features.columns),
        drop=chosen(features.drop),
        one_hot=chosen(features.one_hot),
    )


def _type(
    name: str, table: Table, ids: list[str], asked: Reading, preparation: dict[str, Any], notes: list[str]
) -> NodeType:
    """Read the features of one type; what fills its gaps and becomes kinds is added to `preparation`."""
    others = [
        column for column in table.header if column not in ("id", *columns_to_predict(asked), "split", *NEIGHBORS)
    ]
    known, told = asked.known_columns([f"{name}.{column}" for column in others])
    others = [column for column in others if f"{name}.{column}" in known]
    features = _own(asked.features, name, others)
    prefix = f"{name}."
    fills = {key.removeprefix(prefix): value for key, value in preparation["fill"].items() if key.startswith(prefix)}
    values, names, filled = node_features(table, others, features, fills)
    preparation["fill"] |= {f"{prefix}{column}": value for column, value in fills.items()}
    preparation["one_hot"] += [f"{prefix}{column}" for column in features.one_hot]
    notes += told + [f"{name}: {note}" for note in filled]
    return NodeType(name, ids, torch.from_numpy(values) if values.shape[1] else None, names)


def _relation(
    triple: Triple,
    table: Table,
    ids: Mapping[str, dict[str, int]],
    edges: Mapping[Triple, Table],
    asked: Reading,
    notes: list[str],
    one_table: bool,
) -> Relation:
    """Read the edges of one relation, with those of the asked weights and features that it has."""
    source, name, target = triple
    weight, columns = asked.edge_weight, asked.features.edge_columns
    for key, column in (("edge_weight", weight), *(("features.edge_columns", column) for column in columns or ())):
        if column is not None and not any(column in other.header for other in edges.values()):
            raise UserError(f"data.{key}={column}: no relation has such a column; allowed: columns of the edges")
    here = replace(
        asked,
        edge_weight=weight if weight in table.header else None,
        features=replace(
            asked.features, edge_columns=None if columns is None else [one for one in columns if one in table.header]
        ),
    )
    files = ("nodes.csv", "nodes.csv") if one_table else (f"nodes.{source}.csv", f"nodes.{target}.csv")
    found = read_edge_rows(table, (ids[source], ids[target]), here, files)
    own = {*table.notes(",")}  # told already
    notes += [f"{source}.{name}.{target}: {note}" for note in found.notes if note not in own]
    return Relation(
        source, name, target, found.src, found.dst, found.describe, found.values, found.names, found.weights
    )
