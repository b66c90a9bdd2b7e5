"""Read the directory of a CSVDataset of DGL: meta.yaml, and the tables of nodes, edges and graphs that it names.

The columns have the names that DGL gives them: node_id, src_id, dst_id, graph_id, and then feat, label, train_mask and
so on. A cell may hold several numbers, as "0.1, 0.2".

Shapes: N nodes, E edges, G graphs.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.content import FileGraphs, reading, told
from lightning_dl2.data.graphs.libraries import GraphParts

META = "meta.yaml"
KIND = "CSVDataset of DGL"
ONE = "0"  # the id of the only graph, where no graphs are named
FIELDS = {"node": ("node_id",), "edge": ("src_id", "dst_id"), "graph": ()}


def read_dgl_csv(directory: Path) -> FileGraphs:
    """Read the graphs of a CSVDataset.

    Raises:
        UserError: a missing file or column, the first wrong line, or several types of nodes or edges.
    """
    with reading(directory / META, KIND):
        meta = yaml.safe_load((directory / META).read_text("utf-8"))
        tables = _described(meta, directory)
    separator = str(meta.get("separator", ","))
    found = {item: _read(directory, item, one, separator) for item, one in tables.items()}
    graphs = found.get("graph")
    if graphs is None:
        graphs = _Table({"graph_id": [ONE]}, {}, directory, [])
    names = _distinct(graphs.keys["graph_id"], "graph", graphs)
    parts, ids = {}, {}
    rows = found["node"].rows_of(names)
    for name in names:
        keys = [found["node"].keys["node_id"][row] for row in rows[name]]
        if not keys:
            raise UserError(f"data.path={found['node'].path}: graph {name} has no nodes; allowed: at least one")
        ids[name] = _distinct(keys, "node", found["node"])
        parts[name] = rows[name]
    edges = found["edge"].rows_of(names)
    made = [_graph(found, parts[name], edges[name], ids[name]) for name in names]
    unnamed = [table.path.name for table in found.values() if table.dropped]
    note = told(unnamed and f"columns without a name are not read: {', '.join(unnamed)}")
    return FileGraphs(made, graphs.data, ids=list(names) if "graph" in found else None, note=note)


class _Table:
    """A table: the columns of ids as texts, the others as numbers or texts."""

    def __init__(self, keys: dict[str, list[str]], data: dict[str, Any], path: Path, dropped: list[str]) -> None:
        self.keys, self.data, self.path, self.dropped = keys, data, path, dropped

    def rows_of(self, names: dict[str, int]) -> dict[str, list[int]]:
        """Return the rows of each graph."""
        rows: dict[str, list[int]] = {name: [] for name in names}
        for row, name in enumerate(self.keys["graph_id"]):
            if name not in rows:
                known = ", ".join(list(names)[:6])
                raise UserError(f"data.path={self.path}: line {row + 2} is of the graph {name}; allowed: {known}")
            rows[name].append(row)
        return rows


def _distinct(keys: list[str], item: str, table: _Table) -> dict[str, int]:
    numbers = {key: number for number, key in enumerate(keys)}
    if len(numbers) < len(keys):
        twice = next(key for number, key in enumerate(keys) if numbers[key] != number)
        raise UserError(f"data.path={table.path}: the {item} {twice} stands there twice; allowed: each {item} once")
    return numbers


def _described(meta: Any, directory: Path) -> dict[str, dict[str, str]]:
    """Return what meta.yaml says of the tables of nodes, edges and graphs."""
    where = f"data.path={directory / META}"
    if not isinstance(meta, dict) or not {"node_data", "edge_data"} <= set(meta):
        raise UserError(f"{where}: has no node_data and edge_data; allowed: the meta.yaml of a {KIND}")
    tables = {}
    for item in FIELDS:
        given = meta.get(f"{item}_data")
        given = [given] if isinstance(given, dict) else given
        if given is None and item == "graph":
            continue
        if not isinstance(given, list) or not all(isinstance(one, dict) and "file_name" in one for one in given):
            raise UserError(f"{where}: {item}_data is no list of tables; allowed: each with a file_name")
        if len(given) != 1:
            raise UserError(f"{where}: {len(given)} tables of {item}s; allowed: one type of nodes and one of edges")
        tables[item] = {str(key): str(value) for key, value in given[0].items()}
    return tables


def _read(directory: Path, item: str, one: dict[str, str], separator: str) -> _Table:
    path = directory / one["file_name"]
    if not path.is_file():
        raise UserError(f"data.path={directory}: has no file {one['file_name']}; allowed: the files named in {META}")
    with reading(path, f"table of a {KIND}"), open(path, encoding="utf-8-sig", newline="") as file:
        header, *rows = [row for row in csv.reader(file, delimiter=separator, skipinitialspace=True) if row]
    header = [name.strip() for name in header]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{path}:{number}: {len(row)} cells; allowed: one for each of {', '.join(header)}")
    columns = {name: [row[place].strip() for row in rows] for place, name in enumerate(header)}
    keys = {}
    for field in (*FIELDS[item], "graph_id"):
        name = one.get(f"{field}_field", field)
        if name not in columns and (field != "graph_id" or item == "graph"):
            raise UserError(f"data.path={path}: has no column {name}; allowed: the ids, and any columns of data")
        keys[field] = columns.pop(name, [ONE] * len(rows))
    dropped = [name for name in columns if not name or name.startswith("Unnamed")]
    data = {name: _column(cells, f"{path}: {name}") for name, cells in columns.items() if name not in dropped}
    return _Table(keys, data, path, dropped)


def _column(cells: list[str], source: str) -> Any:
    """Return whole numbers, numbers [R] or [R, F], truth values, or texts."""
    for cast in (_truths, _wholes, _floats):
        if (found := cast(cells)) is not None:
            return found
    lists = [[part for part in cell.strip("[]() ").replace(",", " ").split()] for cell in cells]
    try:
        return torch.tensor([[float(part) for part in row] for row in lists], dtype=torch.float32)
    except ValueError as error:
        if "expected sequence" in str(error):
            raise UserError(f"{source}: has lists of different lengths; allowed: one length") from error
        return np.array(cells)


def _truths(cells: list[str]) -> Any:
    return torch.tensor([cell == "True" for cell in cells]) if set(cells) <= {"True", "False"} else None


def _wholes(cells: list[str]) -> Any:
    try:
        return torch.tensor([int(cell) for cell in cells])
    except (ValueError, RuntimeError, OverflowError):
        return None


def _floats(cells: list[str]) -> Any:
    try:
        return torch.tensor([float(cell) if cell else float("nan") for cell in cells], dtype=torch.float32)
    except ValueError:
        return None


def _graph(found: dict[str, _Table], nodes: list[int], edges: list[int], ids: dict[str, int]) -> GraphParts:
    table = found["edge"]
    ends = []
    for field in FIELDS["edge"]:
        keys = [table.keys[field][row] for row in edges]
        if (bad := next((place for place, key in enumerate(keys) if key not in ids), None)) is not None:
            where = f"data.path={table.path}: line {edges[bad] + 2}"
            raise UserError(
                f"{where}: {field} {keys[bad]} is no node of its graph; allowed: the ids in the nodes' table"
            )
        ends.append(torch.tensor([ids[key] for key in keys], dtype=torch.int64))
    ndata = {name: value[nodes] for name, value in found["node"].data.items()}
    edata = {name: value[edges] for name, value in table.data.items()}
    names = None if list(ids) == [str(number) for number in range(len(ids))] else list(ids)
    return GraphParts("dgl", ends[0], ends[1], len(ids), ndata, edata, ids=names)
