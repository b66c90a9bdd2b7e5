"""Read sets of graphs in the text format of DGCNN and GIN, with the ten folds that the field shares.

Zhang et al. (2018), An End-to-End Deep Learning Architecture for Graph Classification; Xu et al. (2019), How Powerful
are Graph Neural Networks? The first line is the number of graphs. Each graph begins with its number of nodes and its
label; every node is a line: tag, number of neighbours, the neighbours from 0, and optional attributes.

Shapes: G graphs; N nodes, E edges and D attributes of a node, of all graphs together.
"""

import math
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet
from lightning_dl2.data.graph_files.own.edges import arrange_edges
from lightning_dl2.data.graph_files.own.reading import PLAIN
from lightning_dl2.data.graph_files.whole_numbers import whole_number

FOLDS = "10fold_idx"  # the directory beside the file


def read_ten_fold(path: str | Path) -> GraphSet:
    """Read the graphs of a text file, or of the only one in a directory, and the folds in 10fold_idx beside it, if any.

    A missing direction of an edge is added, and a repeated edge counts once, as in GIN's own reader; a note says how
    many. Labels and tags
    are numbered anew from 0, in their order; class_names has the original labels.

    Raises:
        UserError: a missing file, or the first wrong line.
    """
    path = Path(path)
    check_format("ten_fold", path)
    path = _find(path) if path.is_dir() else path
    labels, num_nodes, tags, attributes, src, dst = _graphs(path)
    class_names, classes = np.unique(labels, return_inverse=True)
    known_tags, types = np.unique(tags, return_inverse=True)
    note = arrange_edges(src, dst, len(tags), None, PLAIN, str).note
    src, dst = np.concatenate([src, dst]), np.concatenate([dst, src])
    pairs = np.unique(src * len(tags) + dst)  # by source, and so by graph
    src, dst = pairs // len(tags), pairs % len(tags)
    graph_of_edge = np.repeat(np.arange(len(labels)), num_nodes)[src]
    first_node = (np.cumsum(num_nodes) - num_nodes)[graph_of_edge]
    found = GraphSet(
        src=torch.from_numpy(src - first_node),
        dst=torch.from_numpy(dst - first_node),
        num_nodes=torch.from_numpy(num_nodes),
        num_edges=torch.from_numpy(np.bincount(graph_of_edge, minlength=len(labels))),
        labels=torch.from_numpy(classes.astype(np.int64)),
        class_names=[str(label) for label in class_names],
        node_types=torch.from_numpy(types.astype(np.int64)),
        num_node_types=len(known_tags),
        node_type_names=[str(tag) for tag in known_tags],
        node_features=torch.from_numpy(attributes) if attributes.shape[1] else None,
        folds=_folds(path.parent / FOLDS, len(labels)),
        note=note and f"data.path={path}: {re.sub(r' .data[^)]*.', '', note)}",
    )
    found.check(f"data.path={path}")
    return found


def _find(directory: Path) -> Path:
    files = sorted(directory.glob("*.txt"))
    if len(files) != 1:
        names = f" ({', '.join(file.name for file in files)})" if files else ""
        raise UserError(f"data.path={directory}: has {len(files)} text files{names}; allowed: one, of DGCNN's format")
    return files[0]


def _graphs(path: Path) -> tuple[np.ndarray, ...]:
    """Read labels and numbers of nodes [G], tags [N], attributes [N, D], and edges between the nodes of all graphs.

    Edges are two arrays, [E] each, as in the file. All are int64, except float32 attributes.
    """
    lines = path.read_text("utf-8", "replace").rstrip().split("\n")
    (num_graphs,) = _header(path, lines, 0, 1, "the number of graphs")
    if num_graphs < 1:
        raise UserError(f"{path}:1: {num_graphs} graphs; allowed: at least one")
    tags: list[int] = []
    labels, sizes, attributes, degrees, neighbours = [], [], [], [], []
    at, width = 1, None  # the next line from 0, and the number of attributes of a node
    for graph in range(num_graphs):
        size, label = _header(path, lines, at, 2, f"the nodes and the label of graph {graph} of {num_graphs}")
        if size < 1:
            raise UserError(f"{path}:{at + 1}: a graph of {size} nodes; allowed: at least one")
        first = len(tags)
        for place in range(at + 1, at + 1 + size):
            if place >= len(lines):
                raise UserError(f"{path}:{place + 1}: the file ends within graph {graph}; allowed: its {size} nodes")
            cells = lines[place].split()
            tag, degree = _whole(path, place, cells[:2]) if len(cells) > 1 else (0, -1)
            width = len(cells) - 2 - degree if width is None else width
            if degree < 0 or width < 0 or len(cells) != 2 + degree + width:
                more = f", {width} attributes" if width and width > 0 else ""
                raise UserError(
                    f"{path}:{place + 1}: {len(cells)} numbers; allowed: tag, number of neighbours, neighbours{more}"
                )
            found = _whole(path, place, cells[2 : 2 + degree])
            if found and not 0 <= min(found) <= max(found) < size:
                worst = max(found) if min(found) >= 0 else min(found)
                raise UserError(f"{path}:{place + 1}: neighbour {worst}; allowed: 0 to {size - 1}")
            tags.append(tag)
            degrees.append(degree)
            neighbours += [first + node for node in found]
            attributes.append(_finite(path, place, cells[2 + degree :]))
        labels.append(label)
        sizes.append(size)
        at += 1 + size
    if at < len(lines):
        raise UserError(f"{path}:{at + 1}: more lines after the last graph; allowed: {num_graphs} graphs, as in line 1")
    integers = [np.array(numbers, np.int64) for numbers in (labels, sizes, tags, neighbours)]
    src = np.repeat(np.arange(len(tags)), degrees)
    return *integers[:3], np.array(attributes, np.float32), src, integers[3]


def _header(path: Path, lines: list[str], at: int, number: int, what: str) -> list[int]:
    if at >= len(lines):
        raise UserError(f"{path}:{at + 1}: the file ends before {what}; allowed: a whole file")
    cells = lines[at].split()
    if len(cells) != number:
        raise UserError(f"{path}:{at + 1}: {len(cells)} numbers; allowed: {number}, {what}")
    return _whole(path, at, cells)


def _whole(path: Path, at: int, cells: list[str]) -> list[int]:
    try:
        return np.array(cells, np.int64).tolist()
    except (OverflowError, ValueError):
        raise UserError(f"{path}:{at + 1}: {' '.join(cells)[:40]!r}; allowed: whole numbers") from None


def _finite(path: Path, at: int, cells: list[str]) -> list[float]:
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise UserError(f"{path}:{at + 1}: {' '.join(cells)[:40]!r}; allowed: finite numbers as attributes")
    return numbers


def _folds(directory: Path, num_graphs: int) -> list[tuple[Tensor, Tensor]] | None:
    """Read the training and test graphs of fold 1, 2 and so on; None without such a directory."""
    if not directory.is_dir():
        return None
    number = len(list(directory.glob("test_idx-*.txt")))
    folds = []
    for fold in range(1, number + 1):
        parts = []
        for part in ("train", "test"):
            path = directory / f"{part}_idx-{fold}.txt"
            if not path.is_file():
                raise UserError(
                    f"data.path={directory}: has no file {path.name}; allowed: one for each of {number} folds"
                )
            parts.append(_index(path, num_graphs))
        if len(parts[0]) + len(parts[1]) != num_graphs or len(np.union1d(*parts)) != num_graphs:
            raise UserError(
                f"data.path={directory}: fold {fold} has {len(parts[0])} + {len(parts[1])} graphs;"
                f" allowed: each of the {num_graphs} once, in train or in test"
            )
        folds.append((torch.from_numpy(parts[0]), torch.from_numpy(parts[1])))
    return folds or None


def _index(path: Path, num_graphs: int) -> np.ndarray:
    lines = enumerate(path.read_text("utf-8", "replace").rstrip().split("\n"), start=1)
    allowed = f"a graph, 0 to {num_graphs - 1}"
    return np.array([whole_number(line, f"{path}:{number}", allowed, num_graphs) for number, line in lines])
