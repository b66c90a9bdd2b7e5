"""Read files of `dgl.save_graphs` without DGL, which has no wheels for newer versions of Python and torch.

The layout is that of DGL's src/graph/serialize (versions 1 and 2 of the format): little-endian numbers, arrays with
their types and shapes, no pickles.

Shapes: N nodes, E edges.
"""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.content import FileGraphs, reading
from lightning_dl2.data.graphs.libraries import GraphParts

KIND = "file of dgl.save_graphs"
HEADER = 4096  # bytes before the first array
FILE, HETERO, META, UNIT, COO, CSR, ARRAY = (
    0xDD2E4FF046B4A13F,
    0xDD589FBE35224ABF,
    0xDD3C5FFE20046ABF,
    0xDD2E60F0F6B4A127,
    0xDD61FFD305DFF127,
    0xDD6CD31205DFF127,
    0xDD5E40F096B4A13F,
)
KINDS = {0: "i", 1: "u", 2: "f"}  # codes of DLPack
BFLOAT = 4
MOST = 10**7  # graphs, names or dimensions of a file; a damaged length is larger
FORMATS = (1, 2, 4)  # bits of the stored forms of a graph: coo, csr, csc
# Before 0.5, a form was a number from 1.
OLDER = {1: 1, 2: 2, 3: 4}


def read_dgl_binary(path: Path) -> FileGraphs:
    """Read all graphs of a file, with the tensors that stand beside them as labels.

    Raises:
        UserError: the file is damaged, or a graph has several types of nodes or edges.
    """
    with reading(path, KIND):
        file = _File(path.read_bytes())
        if file.number() != FILE:
            raise ValueError("it begins otherwise")
        version = file.number()
        if version == 2:
            return _version_2(file, path)
        if version == 1:
            return _version_1(file)
        raise ValueError(f"version {version}")


class _File:
    """Take numbers, texts and arrays from the bytes of a file, one after another."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, size: int) -> bytes:
        found = self.content[self.at : self.at + size]
        if size < 0 or len(found) < size:
            raise ValueError(f"it ends at byte {len(self.content)}")
        self.at += size
        return found

    def number(self, kind: str = "Q") -> int:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(kind)))[0]

    def count(self) -> int:
        count = self.number()
        if count > MOST:
            raise ValueError(f"a list of {count}")
        return count

    def check(self, magic: int, what: str) -> None:
        if self.number() != magic:
            raise ValueError(f"no {what} at byte {self.at - 8}")

    def text(self) -> str:
        return self.take(self.count()).decode()

    def numbers(self) -> np.ndarray:
        """Take a vector of 64-bit numbers."""
        return np.frombuffer(self.take(8 * self.count()), "<i8")

    def array(self) -> Any:
        """Take an array; return a tensor with memory of its own."""
        self.check(ARRAY, "array")
        self.take(8 + 8)  # reserved, and the device
        dims = self.number("i")
        code, bits, lanes = struct.unpack("<BBH", self.take(4))
        if not 0 <= dims <= 16 or lanes != 1:
            raise ValueError(f"an array of {dims} dimensions")
        shape = [self.number("q") for _ in range(dims)]
        size = self.number("q")
        if min(shape, default=0) < 0 or size != math.prod(shape) * ((bits + 7) // 8):
            raise ValueError(f"an array of {shape} in {size} bytes")
        content = self.take(size)
        if (code, bits) == (BFLOAT, 16):
            return torch.from_numpy(np.frombuffer(content, "<i2").reshape(shape).copy()).view(torch.bfloat16)
        if code not in KINDS:
            raise ValueError(f"an array of the kind {code}")
        return torch.from_numpy(np.frombuffer(content, f"<{KINDS[code]}{bits // 8}").reshape(shape).copy())

    def named_arrays(self) -> dict[str, Any]:
        return {self.text(): self.array() for _ in range(self.count())}

    def sparse(self, form: int) -> tuple[Any, Any, int]:
        """Take a matrix of edges; return sources and destinations by the number of the edge, and the larger size."""
        self.check(COO if form == 1 else CSR, "matrix")
        columns, rows = self.number("q"), self.number("q")
        one, other, places = (self.array() for _ in range(3))
        self.take(2 if form == 1 else 1)  # whether it is sorted
        src, dst = (one.long(), other.long()) if form == 1 else _uncompressed(one, other, form == 4)
        return *_in_order(src, dst, places), max(rows, columns)


def _uncompressed(starts: Any, indices: Any, by_target: bool) -> tuple[Any, Any]:
    lengths = starts.long().diff()
    if len(lengths) and int(lengths.min()) < 0 or int(lengths.sum()) != len(indices):
        raise ValueError("a matrix that does not fit its indices")
    owner, other = torch.arange(len(lengths)).repeat_interleave(lengths), indices.long()
    return (other, owner) if by_target else (owner, other)


def _in_order(src: Any, dst: Any, places: Any) -> tuple[Any, Any]:
    """Put the edges in the order of their numbers, `places`; none are stored if this is the order already."""
    if not len(places):
        return src, dst
    order = places.long().argsort()
    if not torch.equal(places.long()[order], torch.arange(len(src))):
        raise ValueError("edges that are not numbered from 0")
    return src[order], dst[order]


def _version_2(file: _File, path: Path) -> FileGraphs:
    file.take(8)  # the kind of graphs
    count = file.count()
    file.at = HEADER
    start = file.number()
    labels = file.named_arrays()
    file.at = start
    return FileGraphs([_graph(file, f"data.path={path}: graph {number}") for number in range(count)], labels)


def _graph(file: _File, source: str) -> GraphParts:
    file.check(HETERO, "graph")
    _skip_types(file)
    relations = [_relation(file) for _ in range(file.count())]
    sizes = file.numbers().tolist()
    nodes = [file.named_arrays() for _ in range(file.count())]
    edges = [file.named_arrays() for _ in range(file.count())]
    names = [[file.text() for _ in range(file.count())] for _ in range(2)]
    if len(relations) != 1 or len(names[1]) != 1:
        kinds = f"{len(names[1])} types of nodes and {len(relations)} of edges"
        raise UserError(f"{source}: has {kinds}; allowed: one of each; fix: save dgl.to_homogeneous(g)")
    src, dst, size = relations[0]
    return GraphParts("dgl", src, dst, sizes[0] if sizes else size, _bools(nodes[0]), _bools(edges[0]))


def _skip_types(file: _File) -> None:
    """Skip the graph of the types of nodes and edges, which is as well told by their names."""
    file.check(META, "graph of types")
    file.sparse(2)


def _relation(file: _File) -> tuple[Any, Any, int]:
    file.check(UNIT, "graph of one type")
    stored = file.number("q")
    file.take(8)  # the formats that DGL may make of it
    stored = stored & 0xFFFFFFFF if stored >> 32 else OLDER.get(stored, 0)
    found = []
    for form in FORMATS:
        if stored & form:
            _skip_types(file)
            found.append(file.sparse(form))
    if not found:
        raise ValueError("a graph without edges' places")
    return found[0]


def _version_1(file: _File) -> FileGraphs:
    file.at = HEADER
    count = file.count()
    file.numbers()  # where the graphs begin
    sizes = file.numbers().tolist()
    file.numbers()  # of edges
    labels, graphs = file.named_arrays(), []
    for number in range(count):
        starts, indices, places = (file.array() for _ in range(3))
        src, dst = _in_order(*_uncompressed(starts, indices, True), places)
        graphs.append(
            GraphParts("dgl", src, dst, sizes[number], _bools(file.named_arrays()), _bools(file.named_arrays()))
        )
    return FileGraphs(graphs, labels)


def _bools(data: dict[str, Any]) -> dict[str, Any]:
    """Turn masks, which DGL stores as bytes, back to truth values."""
    is_mask = {name: name.endswith("_mask") and not value.is_floating_point() for name, value in data.items()}
    return {name: value.bool() if is_mask[name] and _is_binary(value) else value for name, value in data.items()}


def _is_binary(value: Any) -> bool:
    return bool(((value == 0) | (value == 1)).all())
