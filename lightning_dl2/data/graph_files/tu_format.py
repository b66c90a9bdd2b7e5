"""Read sets of graphs in the text format of TU Dortmund: DS_A.txt, DS_graph_indicator.txt and so on.

Morris et al. (2020), TUDataset: A collection of benchmark datasets for learning with graphs.

Shapes: N nodes and E edges of all graphs together, G graphs.
"""

import io
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet
from lightning_dl2.data.graph_files.own.edges import arrange_edges
from lightning_dl2.data.graph_files.own.reading import PLAIN, Reading

LARGEST = 2.0**53  # the files are read as float64, which has no odd whole numbers from here on


def read_tu(directory: str | Path, name: str | None = None, asked: Reading = PLAIN) -> GraphSet:
    """Read the set of graphs `name` (None: the only one) in `directory`.

    The sets of the collection have each edge once in both directions; where a set has not, missing directions are added
    and repeated edges merged, with a note. Labels of graphs, nodes and edges are numbered anew from 0, in their order;
    class_names, node_type_names and edge_type_names have the original ones.

    Args:
        asked: its `undirected`, `repeated_edges`, `node_attributes` and `target`: a regression reads the numbers of
            graph_attributes. With `for_run` there need be no file of labels or numbers.

    Raises:
        UserError: a missing file, the first wrong line, or repeated edges with other labels or attributes.
    """
    directory = Path(directory)
    check_format("tu", directory)
    name = _find_name(directory) if name is None else name
    wanted = "graph_attributes" if asked.target == "regression" else "graph_labels"
    paths = {part: directory / f"{name}_{part}.txt" for part in ("A", "graph_indicator", wanted)}
    has_labels = asked.for_run is None or paths[wanted].is_file()
    _check_files(directory, name, [path for part, path in paths.items() if has_labels or part != wanted])
    targets = _targets(directory, name, asked) if has_labels else _unknown(paths["graph_indicator"])
    num_graphs = len(targets["labels"])
    graph_of = _graph_of(paths["graph_indicator"], num_graphs)
    num_nodes = np.bincount(graph_of, minlength=num_graphs)
    listed = _edges(paths["A"], graph_of)

    def optional(part: str, rows: int, what: str) -> np.ndarray | None:
        path = directory / f"{name}_{part}.txt"
        kind = np.float64 if part.endswith("attributes") else np.int64
        return _read(path, kind, None, rows, what) if path.is_file() else None

    node_types, node_type_names = _numbered(optional("node_labels", len(graph_of), "nodes"))
    has_attributes = _has_attributes(directory / f"{name}_node_attributes.txt", asked)
    node_features = optional("node_attributes", len(graph_of), "nodes") if has_attributes else None
    of_edges = [optional(part, len(listed[0]), "edges") for part in ("edge_labels", "edge_attributes")]
    given = [part.astype(np.float64) for part in of_edges if part is not None]
    values = np.concatenate(given, 1) if given else None
    src, dst, rows, note = arrange_edges(*listed, len(graph_of), values, asked, lambda row: f"{paths['A']}:{row + 1}")
    graph_of_edge = graph_of[src]
    order = np.argsort(graph_of_edge, kind="stable")  # mostly sorted already
    first_node = (np.cumsum(num_nodes) - num_nodes)[graph_of_edge]
    edge_labels, edge_features = (None if part is None else part[rows[order]] for part in of_edges)
    edge_types, edge_type_names = _numbered(edge_labels)
    found = GraphSet(
        src=torch.from_numpy((src - first_node)[order]),
        dst=torch.from_numpy((dst - first_node)[order]),
        num_nodes=torch.from_numpy(num_nodes),
        num_edges=torch.from_numpy(np.bincount(graph_of_edge, minlength=num_graphs)),
        **targets,
        node_types=node_types,
        num_node_types=len(node_type_names),
        node_type_names=node_type_names,
        node_features=None if node_features is None else torch.from_numpy(node_features).float(),
        edge_types=edge_types,
        num_edge_types=len(edge_type_names),
        edge_type_names=edge_type_names,
        edge_features=None if edge_features is None else torch.from_numpy(edge_features).float(),
        note=note and f"data.path={directory}: {note}",
    )
    found.check(f"data.path={directory}", least_class=0 if has_labels else -1)
    return found


def _check_files(directory: Path, name: str, paths: list[Path]) -> None:
    for path in paths:
        if not path.is_file():
            allowed = "allowed: the files of the TU format"
            numbers = directory / f"{name}_graph_attributes.txt"
            if path.name == f"{name}_graph_labels.txt" and numbers.is_file():
                allowed = "fix: data.target=regression reads the numbers in its graph_attributes"
            raise UserError(f"data.path={directory}: has no file {path.name}; {allowed}")


def read_attributes(path: Path, graphs: GraphSet) -> torch.Tensor:
    """Read the numbers of each node from a file of the TU format, for graphs in the same order: float32 [N, D].

    Raises:
        UserError: the first wrong line.
    """
    return torch.from_numpy(_read(path, np.float64, None, int(graphs.num_nodes.sum()), "nodes")).float()


def _has_attributes(path: Path, asked: Reading) -> bool:
    """Tell whether the file of node attributes is to be read."""
    if asked.node_attributes and not path.is_file():
        raise UserError(
            f"data.node_attributes=true: {path.parent} has no file {path.name}; allowed: null, or the files of a set"
            " with attributes"
        )
    return asked.node_attributes is not False and path.is_file()


def _unknown(path: Path) -> dict[str, Any]:
    """Return labels and classes of graphs that have none; their number is the last one of graph_indicator."""
    count = max(int(_read(path, np.int64, 1).max()), 1)
    return {"labels": torch.full((count,), -1), "class_names": []}


def _targets(directory: Path, name: str, asked: Reading) -> dict[str, Any]:
    """Read the classes of the graphs, or their numbers; return these fields of the set."""
    if asked.target == "regression":
        numbers = torch.from_numpy(_read(directory / f"{name}_graph_attributes.txt", np.float64, None)).float()
        names = [str(column) for column in range(numbers.shape[1])]
        numbers = numbers.squeeze(1) if len(names) == 1 else numbers
        return {"labels": numbers, "class_names": [], "target": "regression", "target_names": names}
    labels = _read(directory / f"{name}_graph_labels.txt", np.int64, 1)[:, 0]
    classes, labels = np.unique(labels, return_inverse=True)
    return {"labels": torch.from_numpy(labels.astype(np.int64)), "class_names": [str(label) for label in classes]}


def _find_name(directory: Path) -> str:
    names = sorted(path.name.removesuffix("_A.txt") for path in directory.glob("*_A.txt"))
    if len(names) != 1:
        found = f"has {len(names)} sets ({', '.join(names)})" if names else "has no file *_A.txt"
        raise UserError(f"data.path={directory}: {found}; allowed: the files of one set of the TU format")
    return names[0]


def _graph_of(path: Path, num_graphs: int) -> np.ndarray:
    """Read the graph of every node, from 0, int64 [N]."""
    graph_of = _read(path, np.int64, 1)[:, 0] - 1
    if len(bad := np.flatnonzero((graph_of < 0) | (graph_of >= num_graphs))):
        raise UserError(f"{path}:{bad[0] + 1}: graph {graph_of[bad[0]] + 1}; allowed: 1 to {num_graphs}")
    steps = np.diff(graph_of, prepend=-1, append=num_graphs)
    if len(bad := np.flatnonzero((steps < 0) | (steps > 1))):
        before = graph_of[bad[0] - 1] + 1 if bad[0] else 0
        after = f"graph {graph_of[bad[0]] + 1}" if bad[0] < len(graph_of) else "the end"
        raise UserError(
            f"{path}:{bad[0] + 1}: {after} after graph {before};"
            f" allowed: the graphs 1 to {num_graphs} one after another, each with a node"
        )
    return graph_of


def _edges(path: Path, graph_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read source and destination of each edge among all nodes, from 0, each int64 [E]."""
    if not path.stat().st_size:
        return (np.zeros(0, np.int64),) * 2
    src, dst = _read(path, np.int64, 2).T - 1
    if len(bad := np.flatnonzero((np.minimum(src, dst) < 0) | (np.maximum(src, dst) >= len(graph_of)))):
        pair = f"{src[bad[0]] + 1}, {dst[bad[0]] + 1}"
        raise UserError(f"{path}:{bad[0] + 1}: an edge between the nodes {pair}; allowed: 1 to {len(graph_of)}")
    if len(bad := np.flatnonzero(graph_of[src] != graph_of[dst])):
        graphs = f"{graph_of[src[bad[0]]] + 1} and {graph_of[dst[bad[0]]] + 1}"
        raise UserError(f"{path}:{bad[0] + 1}: an edge between the graphs {graphs}; allowed: within one")
    return src, dst


def _numbered(labels: np.ndarray | None) -> tuple[torch.Tensor | None, list[str]]:
    """Return the labels numbered from 0, and their names. A row of several labels counts as one label."""
    if labels is None:
        return None, []
    known, numbers = np.unique(labels, axis=0, return_inverse=True)
    names = [",".join(map(str, row)) for row in known.reshape(len(known), -1).tolist()]
    return torch.from_numpy(numbers.reshape(-1).astype(np.int64)), names


def _read(path: Path, dtype: type, columns: int | None, rows: int | None = None, what: str = "") -> np.ndarray:
    """Read the numbers of a file, [rows, columns], and check their counts and that all are finite.

    Raises:
        UserError: the first wrong line.
    """
    text = path.read_text("utf-8", "replace").rstrip()
    lines = text.count("\n") + 1 if text else 0
    try:
        table = np.loadtxt(io.StringIO(text), np.float64, delimiter=",", comments=None, ndmin=2) if text else None
    except ValueError:
        table = None
    if table is not None and dtype is np.int64 and not (abs(table) < LARGEST).all():
        table = None
    # loadtxt skips empty lines, and all later lines would belong to another item.
    if table is None or len(table) != lines or columns not in (None, table.shape[1]):
        _complain(path, text, dtype, columns)
    if not (np.isfinite(table).all() if dtype is np.float64 else (table == np.rint(table)).all()):
        _complain(path, text, dtype, columns)
    if rows is not None and lines != rows:
        raise UserError(f"{path}:{min(lines, rows) + 1}: {lines} lines; allowed: one for each of the {rows} {what}")
    return table.astype(dtype)


def _complain(path: Path, text: str, dtype: type, columns: int | None) -> NoReturn:
    """Raise UserError for the first wrong line; this is too slow for every line of a good file."""
    kind = "whole numbers" if dtype is np.int64 else "finite numbers"
    for number, line in enumerate(text.split("\n"), start=1):
        cells = line.split(",")
        columns = len(cells) if columns is None else columns
        allowed = f"allowed: {columns} {kind}" if columns > 1 else f"allowed: {kind}, one a line"
        for cell in cells:
            try:
                value = float(cell)
            except ValueError:
                value = np.nan
            whole = np.isfinite(value) and value.is_integer() and abs(value) < LARGEST
            if not np.isfinite(value) or (dtype is np.int64 and not whole):
                raise UserError(f"{path}:{number}: {cell.strip()[:40]!r}; {allowed}")
        if len(cells) != columns:
            raise UserError(f"{path}:{number}: {len(cells)} numbers instead of {columns}; {allowed}")
    raise UserError(f"{path}:1: cannot be read; allowed: {kind}, separated by commas")
