"""Read a graph from text tables: nodes with ids and labels, edges with pairs of ids, or all in one file.

Shapes: N nodes, E edges, F features of a node, D of an edge.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.own.columns import choose_columns, node_features, read_numbers
from lightning_dl2.data.graph_files.own.edge_targets import edge_columns_to_predict, read_edge_targets
from lightning_dl2.data.graph_files.own.edges import arrange_edges
from lightning_dl2.data.graph_files.own.labels import is_missing
from lightning_dl2.data.graph_files.own.reading import PLAIN, Reading
from lightning_dl2.data.graph_files.own.split_table import read_splits, split_of_column
from lightning_dl2.data.graph_files.own.tables import Table, is_number, read_table
from lightning_dl2.data.graph_files.own.targets import read_targets

SUFFIXES = (".csv", ".tsv", ".txt")
NEIGHBORS = ("neighbors", "neighbours")  # the column of one file that holds nodes and edges
ENDS = (("src", "dst"), ("source", "target"), ("from", "to"), ("u", "v"))  # of an edge; the first are ours


@dataclass
class _Nodes:
    table: Table | None  # None: there are no labels and no features
    ids: dict[str, int]  # the number of each
    splits: dict[str, Tensor] | None = None
    labels: dict[str, list[str]] = field(default_factory=dict)  # N texts of each column to predict
    features: np.ndarray | None = None  # float32 [N, F]
    feature_names: list[str] = field(default_factory=list)
    preparation: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class EdgeRows:
    """Ends, features and weights of the R rows of a table of edges."""

    src: np.ndarray  # int64 [R], a row of the file each
    dst: np.ndarray  # int64 [R]
    describe: Callable[[int], str]
    values: np.ndarray | None = None  # float64 [R, D]
    names: list[str] = field(default_factory=list)  # of the columns of values
    weights: np.ndarray | None = None  # float64 [R]
    targets: dict[str, Any] | None = None  # what is to be predicted of the rows
    notes: list[str] = field(default_factory=list)


def read_csv(path: str | Path, asked: Reading = PLAIN) -> NodeSet:
    """Read a graph from a directory with nodes and edges, or from one file.

    In a directory, nodes.csv has the columns id, label (empty, NA, nan, None or null: unknown) and perhaps split
    (train, val, test or empty); its other columns are features. edges.csv has src and dst, or another pair of ENDS;
    without names its first two columns are the ends. Its other columns are features of the edge. splits.csv may have
    the column id, and a split in each other column. The files may end in .tsv or .txt, too. One file is a list of
    edges, whose nodes have no labels, or a table of nodes with a column neighbors, ids with blanks between them. Cells
    are separated by commas, semicolons or tabs. UTF-8.

    Args:
        path: of the directory, or of the file.
        asked: how edges are completed, and which columns are labels and features.

    Raises:
        UserError: a missing file or column, or the first wrong line.
    """
    path = Path(path)
    check_format("graph_csv", path)
    if path.is_file():
        nodes, edges = _one_file(path, asked)
    else:
        wanted = columns_to_predict(asked) if asked.labelled else []
        nodes = _nodes(read_table(_file(path, "nodes"), ("id", *wanted)), asked)
        edges = read_edge_rows(read_ends(_file(path, "edges"), nodes.ids), (nodes.ids, nodes.ids), asked)
        if asked.labelled:
            _add_splits(path, nodes, asked)
    return _graph(path, nodes, edges, asked)


def graph_of_tables(path: Path, nodes: Table, edges: Table, asked: Reading) -> NodeSet:
    """Make a graph of a table of nodes with the column id, and one of edges that begins with src and dst.

    Args:
        path: of the file, for messages.

    Raises:
        UserError: as `read_csv`.
    """
    found = _nodes(nodes, asked)
    return _graph(path, found, read_edge_rows(edges, (found.ids, found.ids), asked), asked)


def _graph(path: Path, nodes: _Nodes, edges: EdgeRows, asked: Reading) -> NodeSet:
    arranged = arrange_edges(edges.src, edges.dst, len(nodes.ids), _compared(edges), asked, edges.describe)
    read = read_targets(nodes.labels, nodes.table.place if nodes.table else str, asked.target)
    names = list(nodes.ids)
    rows = arranged.rows
    found = NodeSet(
        src=torch.from_numpy(arranged.src),
        dst=torch.from_numpy(arranged.dst),
        num_nodes=len(names),
        features=None if nodes.features is None else torch.from_numpy(nodes.features),
        labels=read.labels,
        class_names=read.class_names,
        splits=nodes.splits,
        edge_features=None if edges.values is None else torch.from_numpy(edges.values.astype(np.float32)[rows]),
        node_ids=None if names == [str(number) for number in range(len(names))] else names,
        edge_weights=None if edges.weights is None else torch.from_numpy(edges.weights.astype(np.float32)[rows]),
        feature_names=nodes.feature_names,
        target=read.target,
        target_names=read.target_names,
        edge_targets=None if edges.targets is None else edges.targets | {"rows": torch.from_numpy(rows)},
        edge_feature_names=edges.names,
        preparation=nodes.preparation,
    )
    told = filter(None, [*nodes.notes, read.note, *edges.notes, arranged.note])
    if note := "; ".join(told):
        found.note = f"data.path={path}: {note}"
    found.check(f"data.path={path}")
    return found


def _compared(edges: EdgeRows) -> np.ndarray | None:
    """Return what repeated edges must agree in, a row for each; None: they have no features, weights or labels."""
    labels = None if edges.targets is None else edges.targets["labels"].double().nan_to_num(-np.inf).numpy()
    parts = [part.reshape(len(edges.src), -1) for part in (edges.values, edges.weights, labels) if part is not None]
    return np.concatenate(parts, 1) if parts else None


def find_table(directory: Path, stem: str) -> Path | None:
    return next((file for file in (directory / f"{stem}{suffix}" for suffix in SUFFIXES) if file.is_file()), None)


def _file(directory: Path, stem: str) -> Path:
    if (file := find_table(directory, stem)) is None:
        raise UserError(f"data.path={directory}: has no file {stem}.csv; allowed: nodes.csv and edges.csv")
    return file


def _require(table: Table, *names: str) -> None:
    for name in names:
        if name not in table.header:
            asked = " and ".join(names)
            raise UserError(f"{table.path}:1: has no column {name}; allowed: {asked} and columns of numbers")


def columns_to_predict(asked: Reading) -> list[str]:
    """Return the names of the columns to predict."""
    return [asked.label or "label"] if asked.labels is None else list(asked.labels)


def known_cells(labels: dict[str, list[str]]) -> list[bool]:
    """Tell for each node whether a cell to predict stands for something."""
    return [not all(map(is_missing, cells)) for cells in zip(*labels.values(), strict=True)]


def _nodes(table: Table, asked: Reading) -> _Nodes:
    """Read ids, labels, the column split and the features."""
    wanted, trains = columns_to_predict(asked), asked.for_run is None
    _require(table, "id", *(wanted if asked.labelled and trains else []))
    ids = read_ids(table)
    there = [name for name in wanted if asked.labelled and name in table.header]
    labels = {name: table.column(name) if name in there else [""] * len(ids) for name in wanted}
    if asked.labelled and trains and not any(known_cells(labels)):
        raise UserError(f"{table.path}: no node has a label; allowed: nodes with labels")
    splits = None
    if "split" in table.header and asked.labelled:
        splits = split_of_column(table, "split", list(range(len(ids))), known_cells(labels), trains)
    others = [name for name in table.header if name not in ("id", *wanted, "split", *NEIGHBORS)]
    others, notes = asked.known_columns(others)
    fills = asked.fills
    features, names, told = node_features(table, others, asked.features_of(others), fills)
    preparation = {"fill": fills, "one_hot": list(asked.features.one_hot)}
    notes = [*table.notes(","), *notes, *told]
    return _Nodes(table, ids, splits, labels, features if features.shape[1] else None, names, preparation, notes)


def read_ids(table: Table) -> dict[str, int]:
    ids: dict[str, int] = {}
    for row, name in enumerate(table.column("id")):
        if not name:
            raise UserError(f"{table.place(row)}: a node without an id; allowed: a name or a number, each once")
        if name in ids:
            before = table.lines[ids[name]]
            raise UserError(f"{table.place(row)}: the id {name} is in line {before}, too; allowed: each id once")
        ids[name] = row
    return ids


def _add_splits(directory: Path, nodes: _Nodes, asked: Reading) -> None:
    """Read the splits of a file of their own, if there is one."""
    assert nodes.table is not None
    file = find_table(directory, "splits")
    if file is None:
        if asked.split_index:
            raise UserError(f"data.split_index={asked.split_index}: {directory} has no splits.csv; allowed: 0")
        return
    if nodes.splits is not None:
        raise UserError(f"{file}: {nodes.table.path.name} has a column split, too; fix: leave one of them out")
    known, trains = known_cells(nodes.labels), asked.for_run is None
    nodes.splits, notes = read_splits(file, nodes.ids, known, asked.split_index, trains)
    nodes.notes += notes


def _one_file(path: Path, asked: Reading) -> tuple[_Nodes, EdgeRows]:
    """Read a table of nodes with a column neighbors, or a list of edges whose nodes have no labels."""
    if asked.split_index:
        raise UserError(f"data.split_index={asked.split_index}: one file has one split; allowed: 0, or a directory")
    table = read_ends(path, None)
    if "id" in table.header and table.named:
        nodes = _nodes(table, asked)
        return nodes, _listed(table, nodes.ids)
    ids: dict[str, int] = {}
    for row in table.rows:
        for name in row[:2]:
            ids.setdefault(name, len(ids))
    if all(name.isdecimal() and len(name) < 10 for name in ids):
        ids = {name: place for place, name in enumerate(sorted(ids, key=int))}
    unread = PLAIN.features.columns, PLAIN.features.drop, PLAIN.features.one_hot
    if (asked.features.columns, asked.features.drop, asked.features.one_hot) != unread:
        raise UserError(f"data.features.columns: {path} is a list of edges, whose nodes have no columns; allowed: null")
    return _Nodes(None, ids, labels={name: [""] * len(ids) for name in columns_to_predict(asked)}), read_edge_rows(
        table, (ids, ids), asked
    )


def _listed(table: Table, ids: dict[str, int]) -> EdgeRows:
    """Return the edges to the ids in the column neighbors."""
    name = next(name for name in NEIGHBORS if name in table.header)
    src, dst = [], []
    for row, cell in enumerate(table.column(name)):
        for other in re.split(r"[\s;|]+", cell) if cell else ():
            if other not in ids:
                raise UserError(f"{table.place(row)}: {name}: node {other[:40]} is no id; allowed: ids of the file")
            src.append(row)
            dst.append(ids[other])
    of = np.array(src, np.int64)
    return EdgeRows(of, np.array(dst, np.int64), lambda edge: table.place(int(of[edge])))


def read_ends(path: Path, ids: dict[str, int] | None, *further: tuple[str, str]) -> Table:
    """Read a list of edges, or with `ids=None` any table of one file; move the ends to the first two columns.

    Args:
        ids: of the nodes; without column names the first two cells of the first row are among them.
        further: names that the ends may have, beside ENDS.

    Raises:
        UserError: there are no columns src and dst, or another pair of such names.
    """
    pairs = (*ENDS, *further)

    def is_named(first: list[str], rows: list[tuple[str, ...]]) -> bool:
        names = {cell.lower() for cell in first}
        if any(names >= {*pair} for pair in pairs) or (ids is None and "id" in names):
            return True
        known = ids.keys() if ids is not None else {cell for row in rows for cell in row[:2]}
        return not (all(cell in known for cell in first[:2]) or all(map(is_number, first[:2])))

    table = read_table(path, ("src", "dst"), is_named=is_named, comments=True, blanks=path.suffix.lower() == ".txt")
    if ids is None and table.named and "id" in table.header:
        if not {*NEIGHBORS} & {*table.header}:
            raise UserError(f"{path}:1: has no column neighbors, which one file of nodes needs; fix: give a directory")
        return table
    lower = [name.lower() for name in table.header]
    pair = next((pair for pair in pairs if {*pair} <= {*lower}), None)
    if pair is None:
        _require(table, "src", "dst")
    assert pair is not None
    ends = [lower.index(end) for end in pair]
    rest = [place for place in range(len(lower)) if place not in ends]
    names = [table.header[place] for place in ends]
    if names != ["src", "dst"]:
        table.told.append(f"{names[0]} and {names[1]} are read as src and dst")
    if not table.named:
        table.told.append("there are no column names, and the first two columns are read as src and dst")
    table.header = ["src", "dst", *(table.header[place] for place in rest)]
    if [*ends, *rest] != list(range(len(lower))):
        table.rows = [tuple([row[place] for place in (*ends, *rest)]) for row in table.rows]
    return table


def read_edge_rows(
    table: Table,
    ids: tuple[dict[str, int], dict[str, int]],
    asked: Reading,
    files: Sequence[str] = ("nodes.csv", "nodes.csv"),
) -> EdgeRows:
    """Read the ends, the weights and the features of edges.

    Args:
        ids: number the nodes of both ends.
        files: have these ids, for a message.

    Raises:
        UserError: the first end that is no node, or cell that is no number.
    """
    try:
        src, dst = (np.array([ids[end][row[end]] for row in table.rows], np.int64) for end in (0, 1))
    except KeyError:
        ends = ((row, end, cells[end]) for row, cells in enumerate(table.rows) for end in (0, 1))
        row, end, name = next(found for found in ends if found[2] not in ids[found[1]])
        raise UserError(f"{table.place(row)}: node {name} is not in {files[end]}; allowed: the ids there") from None
    others, weights = table.header[2:], None
    if asked.edge_weight is not None:
        if asked.edge_weight not in others:
            has = ", ".join(others) or "none"
            raise UserError(f"data.edge_weight={asked.edge_weight}: {table.path} has no such column; allowed: {has}")
        weights = read_numbers(table, [asked.edge_weight], "none", edges=True)[0][:, 0]
        if len(bad := np.flatnonzero(weights < 0)):
            cell = weights[bad[0]]
            raise UserError(f"{table.place(int(bad[0]))}: {asked.edge_weight}={cell:g}; allowed: a weight of 0 or more")
        others = [name for name in others if name != asked.edge_weight]
    others = [name for name in others if name not in edge_columns_to_predict(asked)]
    chosen = choose_columns("data.features.edge_columns", asked.features.edge_columns, others, table)
    values = read_numbers(table, chosen, "none", edges=True)[0] if chosen else None
    targets, note = read_edge_targets(table, asked)
    notes = [*table.notes(","), *([note] if note else [])]
    if left := [name for name in others if name not in chosen]:
        notes.append(f"columns of edges that are not read: {', '.join(left)}")
    return EdgeRows(src, dst, table.place, values, chosen, weights, targets, notes)
