"""Read Cora, Citeseer and PubMed from the files, and with the public split, of Planetoid.

Yang, Cohen & Salakhutdinov (2016), Revisiting Semi-Supervised Learning with Graph Embeddings.
The files are pickles of Python 2 that name scipy's csr_matrix. Reading them needs no scipy and runs no code of theirs.

Shapes: N nodes, E directed edges, F words, L labelled training nodes, A nodes of allx, T nodes of tx.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.builtin.graph_data import PLANETOID
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.safe_pickle import NUMPY, Allowed, read_pickle
from lightning_dl2.data.graph_files.whole_numbers import whole_number
from lightning_dl2.graphs import SparseMatrix

PARTS = ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index")
VALIDATION = 500  # the nodes after the training nodes, as in Planetoid and everywhere since
KIND = "Planetoid file"

# The files hold class numbers; the classes' sizes, all different, identify their names in the sets' own description.
CLASS_NAMES = {
    "cora": "Theory Reinforcement_Learning Genetic_Algorithms Neural_Networks Probabilistic_Methods Case_Based"
    " Rule_Learning",
    "citeseer": "AI ML IR DB Agents HCI",
}


class _Csr:
    """Stand-in for scipy's csr_matrix: the unpickler sets data, indices, indptr and _shape."""


ALLOWED: Allowed = {
    **NUMPY,
    ("scipy.sparse.csr", "csr_matrix"): _Csr,
    ("scipy.sparse._csr", "csr_matrix"): _Csr,  # of later scipy
    ("collections", "defaultdict"): defaultdict,
    ("__builtin__", "list"): list,
    ("builtins", "list"): list,
}


def read_planetoid(directory: str | Path, name: str) -> NodeSet:
    """Read the graph `name`, one of PLANETOID in any case, from the files ind.NAME.* in `directory`.

    Features are the stored bags of words (0 and 1 for Cora and Citeseer, TF-IDF for PubMed), not normalised. Nodes with
    neither features nor a label (15 of Citeseer) get zeros and -1.

    Raises:
        UserError: a file is missing, damaged, no Planetoid file, or does not fit the others.
    """
    directory, key = Path(directory), name.lower()
    if key not in PLANETOID:
        raise UserError(f"data.name={name}: is no set of Planetoid; {nearest(key, list(PLANETOID))}")
    check_format("planetoid", directory)
    paths = _find_files(directory, key)
    # x is the beginning of allx.
    parts = {part: read_pickle(paths[part], ALLOWED, KIND) for part in PARTS if part not in ("x", "test.index")}
    test = _test_index(paths["test.index"])
    words = {part: _words(parts[part], paths[part]) for part in ("allx", "tx")}
    labels = {part: _classes(parts[part], paths[part]) for part in ("y", "ally", "ty")}
    known, num_words = words["allx"][3]
    for part, count, other in (("ally", known, "allx"), ("ty", len(test), "test.index")):
        if len(labels[part]) != count:
            raise UserError(f"data.path={paths[part]}: has {len(labels[part])} rows; allowed: {count}, as {other}")
    train = len(labels["y"])
    if not 0 < train < known:
        raise UserError(f"data.path={paths['y']}: has {train} rows; allowed: 1 to {known - 1}, fewer than ally")
    wanted = (len(test), num_words)
    if words["tx"][3] != wanted:
        raise UserError(f"data.path={paths['tx']}: is {words['tx'][3]}; allowed: {wanted}, after test.index and allx")
    if test.min() < known:
        raise UserError(f"data.path={paths['test.index']}: has node {test.min()}; allowed: from {known} on, after allx")
    num_classes = parts["ally"].shape[1]
    num_nodes = int(test.max()) + 1  # more than the rows of allx and tx for Citeseer
    src, dst = _edges(parts["graph"], num_nodes, paths["graph"])
    _check_lengths(parts, paths, num_nodes)  # before memory for so many nodes is taken
    # Row i of tx and ty belongs to the node in line i of test.index.
    rows = np.concatenate([words["allx"][0], test[words["tx"][0]]])
    columns, values = (np.concatenate([words["allx"][i], words["tx"][i]]) for i in (1, 2))
    classes = np.full(num_nodes, -1)
    classes[:known], classes[test] = labels["ally"], labels["ty"]
    names = CLASS_NAMES.get(key, "").split()
    found = NodeSet(
        src=src,
        dst=dst,
        num_nodes=num_nodes,
        features=SparseMatrix.from_coo(
            torch.from_numpy(rows), torch.from_numpy(columns), torch.from_numpy(values), (num_nodes, num_words)
        ),
        labels=torch.from_numpy(classes),
        class_names=names if len(names) == num_classes else [str(number) for number in range(num_classes)],
        splits={
            "train": torch.arange(train),
            "val": torch.arange(train, min(train + VALIDATION, known)),
            "test": torch.from_numpy(np.sort(test)),
        },
    )
    found.check(f"data.path={directory}")
    return found


def _find_files(directory: Path, key: str) -> dict[str, Path]:
    """Return the file of each part."""
    paths = {part: directory / f"ind.{key}.{part}" for part in PARTS}
    for path in paths.values():
        if not path.is_file():
            every = f"ind.{key}.{{{','.join(PARTS)}}}"
            raise UserError(f"data.path={directory}: has no file {path.name}; allowed: all of {every}")
    return paths


def _check_lengths(parts: dict[str, Any], paths: dict[str, Path], num_nodes: int) -> None:
    """Raise UserError unless the parts belong to one set: y begins ally, the graph has all nodes."""
    y, ty, ally, graph = (parts[part] for part in ("y", "ty", "ally", "graph"))
    for part, is_wrong, what in (
        ("y", not np.array_equal(y, ally[: len(y)]), "not the beginning of ally; allowed: its first rows"),
        ("ty", ty.shape[1] != ally.shape[1], f"of {ty.shape[1]} classes; allowed: {ally.shape[1]}, as ally"),
        ("graph", len(graph) != num_nodes, f"of {len(graph)} nodes; allowed: {num_nodes}, as test.index"),
    ):
        if is_wrong:
            raise UserError(f"data.path={paths[part]}: is {what}")


def _test_index(path: Path) -> np.ndarray:
    """Read the node of every row of tx and ty, int64 [T]."""
    lines = enumerate(path.read_text("utf-8", "replace").splitlines(), start=1)
    nodes = [whole_number(line, f"{path}:{number}", "the number of a node") for number, line in lines]
    found, times = np.unique(nodes, return_counts=True)
    if not nodes or times.max() > 1:
        what = f"has node {found[times.argmax()]} twice" if nodes else "is empty"
        raise UserError(f"data.path={path}: {what}; allowed: the test nodes, one a line")
    return np.array(nodes)


def _words(matrix: Any, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Return rows and columns, int64, values, float32, and the shape of a sparse matrix."""
    state = vars(matrix) if isinstance(matrix, _Csr) else {}
    try:
        rows, columns = (int(size) for size in state["_shape"])
        starts, indices = state["indptr"].astype(np.int64), state["indices"].astype(np.int64)
        values = state["data"].astype(np.float32)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"data.path={path}: holds no sparse matrix; allowed: a {KIND}") from error
    lengths = np.diff(starts)
    fits = len(lengths) == rows and (lengths >= 0).all() and lengths.sum() == len(indices) == len(values)
    if not fits or (len(indices) and (indices.min() < 0 or indices.max() >= columns)):
        raise UserError(f"data.path={path}: its sparse matrix is damaged; allowed: a whole {KIND}")
    return np.repeat(np.arange(rows), lengths), indices, values, (rows, columns)


def _classes(one_hot: Any, path: Path) -> np.ndarray:
    """Return the column of the 1 in each row, int64; -1 for a row of zeros."""
    if not isinstance(one_hot, np.ndarray) or one_hot.ndim != 2 or one_hot.dtype.kind not in "iuf":
        raise UserError(f"data.path={path}: holds no matrix of labels; allowed: a {KIND}")
    return np.where(one_hot.any(1), one_hot.argmax(1), -1).astype(np.int64)


def _edges(graph: Any, num_nodes: int, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return every edge once in both directions, sorted by src, then by dst.

    The lists of neighbours have duplicates and, in Citeseer and PubMed, a few self-loops. Both are dropped, as in PyG
    (9,104 and 88,648 edges); DGL keeps them (9,228 and 88,651). Layers that need self-loops add them.
    """
    try:
        src = np.repeat(np.array(list(graph), np.int64), [len(nodes) for nodes in graph.values()])
        dst = np.array([node for nodes in graph.values() for node in nodes], np.int64)
        if dst.ndim != 1:
            raise ValueError("lists in lists")
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"data.path={path}: holds no lists of neighbours; allowed: a {KIND}") from error
    if len(src) and (min(src.min(), dst.min()) < 0 or max(src.max(), dst.max()) >= num_nodes):
        worst = max(src.max(), dst.max()) if min(src.min(), dst.min()) >= 0 else min(src.min(), dst.min())
        raise UserError(f"data.path={path}: has node {worst}; allowed: 0 to {num_nodes - 1}")
    src, dst = np.concatenate([src, dst]), np.concatenate([dst, src])
    pairs = np.unique((src * num_nodes + dst)[src != dst])
    return torch.from_numpy(pairs // num_nodes), torch.from_numpy(pairs % num_nodes)
