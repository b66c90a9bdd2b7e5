"""Read a graph from arrays by name: .npz files of several benchmarks, and directories of scipy's and numpy's files.

- Platonov et al. (2023), A critical look at the evaluation of GNNs under heterophily: node_features, node_labels,
  edges, and ten splits as masks.
- Shchur et al. (2018), Pitfalls of Graph Neural Network Evaluation: adjacency and features as sparse matrices.

Shapes: N nodes, E edges, K splits.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.content import FileGraphs, reading, told
from lightning_dl2.data.graphs.libraries import GraphParts
from lightning_dl2.data.splits import SPLITS

KIND = ".npz file of a graph"
# The names of a part in the benchmarks' files; the first that is there is read.
NAMES = {
    "edges": ("edges", "edge_index"),
    "adj": ("adj", "adj_matrix", "adjacency"),
    "feat": ("node_features", "features", "feats", "feat", "x", "attr", "attr_matrix"),
    "label": ("node_labels", "labels", "label", "y"),
    "edge_feat": ("edge_features", "edge_feats", "edge_attr"),
}
MASKS = {f"{split}_mask": (f"{split}_masks", f"{split}_mask") for split in SPLITS}
SPARSE = ("data", "indices", "indptr", "row", "col", "shape", "format")  # the parts of a matrix of scipy
ALLOWED = "arrays edges or adj_*, node_labels or labels, and node_features or attr_*"


def read_npz(path: Path) -> FileGraphs:
    """Read a graph from an .npz file. Pickled arrays are never read.

    Raises:
        UserError: the file is damaged, or lacks edges or labels.
    """
    with reading(path, KIND):
        return FileGraphs([graph_of(_load(path), path)], {})


def read_array_directory(directory: Path) -> FileGraphs:
    """Read a graph from files named as the arrays of an .npz file: adj.npz by scipy, labels.npy and so on.

    Raises:
        UserError: a file is damaged, or edges or labels are missing.
    """
    arrays: dict[str, np.ndarray] = {}
    for file in sorted([*directory.glob("*.npz"), *directory.glob("*.npy")]):
        with reading(file, f"{file.suffix} file"):
            found = _load(file) if file.suffix == ".npz" else {file.stem: np.load(file, allow_pickle=False)}
        is_matrix = {"data", "shape"} <= set(found)
        arrays |= {f"{file.stem}_{name}" if is_matrix else name: array for name, array in found.items()}
    with reading(directory, "directory of arrays"):
        return FileGraphs([graph_of(arrays, directory)], {})


def _load(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays; one that holds pickled objects counts as an empty array of objects."""
    found = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            try:
                found[name] = file[name]
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                found[name] = np.empty(0, object)
    return found


def graph_of(arrays: Mapping[str, np.ndarray], path: Path) -> GraphParts:
    """Make a graph of arrays.

    Raises:
        UserError: edges are missing, or a part is no array of its kind.
    """
    left = dict(arrays)
    src, dst, weights, num_nodes, note = _edges(left, path)
    nodes: dict[str, Any] = {}
    for part in ("feat", "label"):
        found = _take(left, part, path)
        if found is not None:
            nodes[part] = found
            num_nodes = max(num_nodes, found.shape[0]) if num_nodes < 0 else num_nodes
    if num_nodes < 0:
        num_nodes = int(max(src.max(), dst.max())) + 1 if len(src) else 0
        note = told(note, "the number of nodes is taken from the edges")
    for name, names in MASKS.items():
        if (key := next((key for key in names if key in left), None)) is not None:
            nodes[name] = _mask(left.pop(key), num_nodes, key, path)
    edges = {"weight": torch.from_numpy(weights)} if weights is not None else {}
    if (given := _take(left, "edge_feat", path)) is not None:
        edges["feat"] = given
    pickled = [name for name, array in left.items() if array.dtype.hasobject]
    for name, array in left.items():  # another label, or what a note names
        if array.dtype.kind in "biufU" and array.ndim and len(array) == num_nodes:
            nodes[name] = array if array.dtype.kind == "U" else torch.from_numpy(np.ascontiguousarray(array))
    other = [name for name in left if name not in pickled and name not in nodes]
    note = told(
        note,
        pickled and f"not read, as they hold pickled objects: {', '.join(pickled)}",
        other and f"not read: {', '.join(other)}",
    )
    return GraphParts("file", torch.from_numpy(src), torch.from_numpy(dst), num_nodes, nodes, edges, note=note)


def _edges(left: dict[str, Any], path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, int, str | None]:
    """Take sources [E], destinations [E], weights [E] or None, and the number of nodes, -1 where it is not told."""
    for name in NAMES["edges"]:
        if name in left:
            pairs = left.pop(name)
            if pairs.ndim == 2 and pairs.shape[0] == 2 and (name == "edge_index" or pairs.shape[1] != 2):
                pairs = pairs.T
            if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
                what = f"{pairs.dtype} {list(pairs.shape)}"
                raise UserError(f"data.path={path}: {name} is {what}; allowed: whole numbers, [E, 2] or [2, E]")
            return pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64), None, -1, None
    for name in NAMES["adj"]:
        if (matrix := _sparse(left, name, path)) is not None:
            src, dst, values, (rows, columns) = matrix
            if rows != columns:
                raise UserError(f"data.path={path}: {name} is {[rows, columns]}; allowed: a square matrix")
            kept = values != 0
            src, dst, values = src[kept], dst[kept], values[kept]
            weights = None if (values == 1).all() else values.astype(np.float32)
            zeros = int((~kept).sum())
            return src, dst, weights, rows, f"{zeros} stored zeros of {name} are no edges" if zeros else None
    have = ", ".join(list(left)[:12]) or "no arrays"
    raise UserError(f"data.path={path}: has no edges; it has: {have}; allowed: {ALLOWED}")


def _take(left: dict[str, Any], part: str, path: Path) -> Any:
    """Take an array, a sparse tensor or None."""
    for name in NAMES[part]:
        if name in left:
            array = left.pop(name)
            if array.dtype.hasobject:
                raise UserError(
                    f"data.path={path}: {name} holds pickled objects, which may run any code;"
                    " allowed: arrays of numbers or of fixed-length strings"
                )
            array = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
            return array if array.dtype.kind == "U" else torch.from_numpy(np.ascontiguousarray(array))
        if (matrix := _sparse(left, name, path)) is not None:
            rows, columns, values, shape = matrix
            places = torch.from_numpy(np.stack([rows, columns]))
            numbers = torch.from_numpy(values.astype(np.float32))
            return torch.sparse_coo_tensor(places, numbers, shape, check_invariants=True)
    return None


def _sparse(
    left: dict[str, Any], name: str, path: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]] | None:
    """Take a matrix of scipy: rows, columns, values and shape; None: there is none of this name."""
    joint = next((mark for mark in "_." if {f"{name}{mark}data", f"{name}{mark}shape"} <= set(left)), None)
    if joint is None:
        return None
    parts = {part: left.pop(key) for part in SPARSE if (key := f"{name}{joint}{part}") in left}
    where = f"data.path={path}: the matrix {name}"
    if not ({"indices", "indptr"} <= set(parts) or {"row", "col"} <= set(parts)):
        raise UserError(f"{where} has the parts {', '.join(parts)}; allowed: a csr_matrix or coo_matrix of scipy")
    rows, columns = (int(size) for size in parts["shape"])
    values, known = np.asarray(parts["data"]), parts.get("format")
    if known is not None and str(known.item(), "ascii") not in ("csr", "csc", "coo"):
        raise UserError(f"{where} is {str(known.item(), 'ascii')}; allowed: csr, csc, coo")
    if "row" in parts:
        one, other = parts["row"].astype(np.int64), parts["col"].astype(np.int64)
    else:
        by_column = known is not None and known.item() == b"csc"
        lengths = np.diff(parts["indptr"].astype(np.int64))
        if len(lengths) != (columns if by_column else rows) or (lengths < 0).any():
            raise UserError(f"{where} is damaged: indptr does not fit {[rows, columns]}; allowed: a whole matrix")
        one, other = np.repeat(np.arange(len(lengths)), lengths), parts["indices"].astype(np.int64)
        one, other = (other, one) if by_column else (one, other)
    if not len(one) == len(other) == len(values) or values.ndim != 1:
        raise UserError(f"{where} is damaged: {len(one)} places for {len(values)} values; allowed: a whole matrix")
    if len(one) and (min(one.min(), other.min()) < 0 or one.max() >= rows or other.max() >= columns):
        raise UserError(f"{where} is damaged: a place outside of {[rows, columns]}; allowed: a whole matrix")
    return one, other, values, (rows, columns)


def _mask(array: np.ndarray, num_nodes: int, name: str, path: Path) -> torch.Tensor:
    """Return masks as bool [N] or [N, K]."""
    whole = array.dtype == bool or (array.dtype.kind in "iu" and np.isin(array, (0, 1)).all())
    if array.ndim == 2 and array.shape[1] == num_nodes != array.shape[0]:
        array = array.T
    if not whole or array.ndim not in (1, 2) or array.shape[0] != num_nodes:
        what = f"{array.dtype} {list(array.shape)}"
        raise UserError(f"data.path={path}: {name} is {what}; allowed: masks of {num_nodes} nodes, one for each split")
    return torch.from_numpy(np.ascontiguousarray(array.astype(bool)))
