"""Read the directory of a set of the Open Graph Benchmark, as its downloads are unpacked.

Hu et al. (2020), Open Graph Benchmark: Datasets for Machine Learning on Graphs. raw/ has tables without a line of
names, split/NAME/ the numbers of the items of train, valid and test.

Shapes: N nodes, E edges, of all graphs together; G graphs.
"""

import gzip
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.content import FileGraphs, reading, told
from lightning_dl2.data.graphs.libraries import GraphParts

KIND = "table of OGB, csv.gz"
SPLITS = {"train": "train", "valid": "val", "test": "test"}
LARGEST = 2.0**53  # the tables are read as float64, which has no odd whole numbers from here on


def read_ogb(directory: Path) -> FileGraphs:
    """Read the graphs of a directory with raw/, and split/ if there is one.

    Raises:
        UserError: a missing or damaged file, or tables that do not fit together.
    """
    raw = directory / "raw"
    if (hetero := next(iter(sorted(raw.glob("triplet-type-list*"))), None)) is not None:
        raise UserError(f"data.path={directory}: has {hetero.name}: types of nodes; allowed: sets with one type")
    num_nodes, num_edges = (_counts(raw, f"num-{item}-list") for item in ("node", "edge"))
    if len(num_nodes) != len(num_edges):
        raise UserError(
            f"data.path={raw}: counts the nodes of {len(num_nodes)} graphs and the edges of {len(num_edges)};"
            " allowed: as many"
        )
    nodes, edges = int(num_nodes.sum()), int(num_edges.sum())
    pairs = _table(raw, "edge", edges, "edges")
    if pairs is None or pairs.shape[1] != 2 or (pairs != pairs.astype(np.int64)).any():
        raise UserError(f"data.path={raw}: edge.csv.gz has no pairs of nodes; allowed: a source and a target a line")
    pairs = pairs.astype(np.int64)
    of_nodes = {"feat": _numbers(_table(raw, "node-feat", nodes, "nodes"))}
    of_nodes["label"] = _classes(_table(raw, "node-label", nodes, "nodes"), unknown=True)
    of_edges = {"feat": _numbers(_table(raw, "edge-feat", edges, "edges"))}
    label = _table(raw, "graph-label", len(num_nodes), "graphs")
    read = {"edge", "num-node-list", "num-edge-list", "node-feat", "edge-feat", "node-label", "graph-label"}
    left = [path.name for path in sorted(raw.iterdir()) if path.name.removesuffix(".csv.gz") not in read]
    splits, note = _splits(directory / "split")
    graphs, node, edge = [], 0, 0
    for count, size in zip(num_nodes.tolist(), num_edges.tolist(), strict=True):
        rows = {name: value[node : node + count] for name, value in of_nodes.items() if value is not None}
        links = {name: value[edge : edge + size] for name, value in of_edges.items() if value is not None}
        src, dst = torch.from_numpy(pairs[edge : edge + size].T.copy())
        graphs.append(GraphParts("file", src, dst, count, rows, links))
        node, edge = node + count, edge + size
    note = told(note, left and f"not read: {', '.join(left)}")
    return FileGraphs(graphs, {} if label is None else {"label": _classes(label)}, splits, note=note)


def _counts(raw: Path, name: str) -> np.ndarray:
    found = _table(raw, name)
    if found is None:
        raise UserError(f"data.path={raw}: has no file {name}.csv.gz; allowed: the files of OGB")
    if found.shape[1] != 1 or (found != found.astype(np.int64)).any() or found.min(initial=0) < 0:
        raise UserError(f"data.path={raw / name}.csv.gz: has other things than counts; allowed: one count a line")
    return found[:, 0].astype(np.int64)


def _table(raw: Path, name: str, rows: int | None = None, items: str = "") -> Any:
    """Read a table as int64 or float64 [rows, columns]; None: there is no such file. An empty cell is no number."""
    path = raw / f"{name}.csv.gz"
    if not path.is_file():
        return None
    with reading(path, KIND):
        with gzip.open(path, "rb") as file:
            content = file.read()
        content = content.replace(b"\r\n", b"\n").removesuffix(b"\n")
        if any(gap in b"\n%b\n" % content for gap in (b",,", b",\n", b"\n,", b"\n\n")) and content:
            content = re.sub(rb"(?m)(^|,)(?=,|$)", rb"\1nan", content)  # an unknown label
        found = np.zeros((0, 2 if name == "edge" else 1), np.int64)
        if content:
            found = np.loadtxt(io.BytesIO(content), np.float64, delimiter=",", comments=None, ndmin=2)
            found = found if b"." in content else _whole(found)
    if rows is not None and len(found) != rows:
        raise UserError(f"data.path={path}: has {len(found)} lines; allowed: one for each of the {rows} {items}")
    return found


def _whole(table: np.ndarray) -> np.ndarray:
    """Turn numbers to int64 if all are whole."""
    is_whole = np.isfinite(table).all() and (table == np.rint(table)).all() and (abs(table) < LARGEST).all()
    return table.astype(np.int64) if is_whole else table


def _numbers(table: np.ndarray | None) -> Any:
    """Return int64 or float32 [rows, columns], or [rows] of one column."""
    if table is None:
        return None
    table = table[:, 0] if table.shape[1] == 1 else table
    return torch.from_numpy(table if table.dtype == np.int64 else table.astype(np.float32))


def _classes(table: np.ndarray | None, unknown: bool = False) -> Any:
    """Return labels: whole numbers also where they are written as 1.0, and -1 for an `unknown` one."""
    if table is None or table.shape[1] > 1:
        return _numbers(table)
    known = ~np.isnan(table)
    if known.any() and (unknown or known.all()) and _whole(table[known]).dtype == np.int64:
        table = np.where(known, table, -1).astype(np.int64)
    return _numbers(table)


def _splits(directory: Path) -> tuple[dict[str, np.ndarray] | None, str | None]:
    """Read the numbers of the items of each split, and tell which split this is if there are several."""
    names = sorted(path for path in directory.glob("*") if path.is_dir()) if directory.is_dir() else []
    if not names:
        return None, None
    found = {}
    for name, own in SPLITS.items():
        table = _table(names[0], name)
        if table is None:
            raise UserError(f"data.path={names[0]}: has no file {name}.csv.gz; allowed: {', '.join(SPLITS)}")
        found[own] = table[:, 0].astype(np.int64)
    others = ", ".join(path.name for path in names[1:])
    return found, f"the split is {names[0].name}, of several: {others}" if others else None
