"""Read BREC: 400 pairs of graphs that are not isomorphic and that message passing cannot tell apart.

Wang and Zhang (2024), An Empirical Study of Realized GNN Expressiveness, https://arxiv.org/abs/2304.07702. The files
are those in customize/Data/raw of https://github.com/GraphPKU/BREC: arrays of NumPy with graphs in the graph6 format,
two after each other for each pair.
"""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import networkx
import numpy as np
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.graphs import Graph

# The file and the number of pairs of each part, in the order of the paper's numbers of pairs.
PARTS = {
    "basic": ("basic.npy", 60),
    "simple_regular": ("regular.npy", 50),
    "strongly_regular": ("str.npy", 50),
    "extension": ("extension.npy", 100),
    "cfi": ("cfi.npy", 100),
    "four_vertex": ("4vtx.npy", 20),
    "distance_regular": ("dr.npy", 20),
}


class Pair(NamedTuple):
    """Two graphs that are not isomorphic, without features.

    Attributes:
        number: from 0, as in the paper's code.
        part: one of PARTS.
    """

    number: int
    part: str
    first: Graph
    second: Graph


def read_brec(directory: Path, parts: tuple[str, ...] = tuple(PARTS), limit: int | None = None) -> list[Pair]:
    """Read the pairs of some parts.

    Args:
        parts: of PARTS.
        limit: the first so many pairs of each part; None: all.

    Raises:
        UserError: a file is missing or damaged.
    """
    pairs, start = [], 0
    for part, (file, _) in PARTS.items():
        codes = _read_codes(directory / file)
        if part in parts:
            numbered = enumerate(codes[:limit], start=start)
            pairs += [Pair(number, part, *(_decode(code, file) for code in both)) for number, both in numbered]
        start += len(codes)
    return pairs


def digest_pairs(pairs: list[Pair]) -> str:
    """Hash the graphs to eight hexadecimal digits."""
    found = sha256()
    for pair in pairs:
        for graph in (pair.first, pair.second):
            found.update(str(graph.num_nodes).encode() + torch.stack([graph.src, graph.dst]).numpy().tobytes())
    return found.hexdigest()[:8]


def _read_codes(path: Path) -> list[list[bytes]]:
    """Return the graph6 codes of a file, two for each pair."""
    if not path.is_file():
        raise UserError(
            f"data.path={path.parent}: has no file {path.name}; allowed: a directory with the files of BREC"
        )
    try:
        codes = np.load(path, allow_pickle=False).reshape(-1, 2)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); allowed: pairs of graphs of BREC") from error
    if codes.dtype.kind not in "SU" or not len(codes):
        raise UserError(f"{path}: holds {codes.dtype} {list(codes.shape)}; allowed: pairs of graphs in graph6")
    return [[code if isinstance(code, bytes) else code.encode() for code in both] for both in codes.tolist()]


def _decode(code: bytes, file: str) -> Graph:
    try:
        found = networkx.from_graph6_bytes(code)
    except (networkx.NetworkXError, ValueError, IndexError) as error:
        raise UserError(f"{file}: {code[:40]!r} is no graph ({error}); allowed: graphs in graph6") from error
    ends = torch.tensor(list(found.edges()), dtype=torch.int64).reshape(-1, 2)
    src, dst = torch.cat([ends, ends.flip(1)]).T.contiguous()
    return Graph(src, dst, found.number_of_nodes())
