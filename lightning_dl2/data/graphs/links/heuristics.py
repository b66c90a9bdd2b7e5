"""Baselines of link prediction that learn nothing: common neighbours, and similar features.

Shapes: N nodes, M pairs, F features.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from lightning_dl2.graphs import Graph, SparseMatrix

CHUNK = 4096  # pairs whose features are compared at once


def adamic_adar(graph: Graph, pairs: Tensor) -> Tensor:
    """Sum 1 / log(degree) over the nodes w with edges u -> w -> v, for each pair (u, v): float64 [M].

    In an undirected graph, w are the common neighbours (Adamic and Adar 2003, Friends and neighbors on the Web).
    Repeated edges count once, and self-loops not at all.
    """
    ends = torch.stack([graph.src, graph.dst])[:, graph.src != graph.dst].numpy()
    src, dst = np.unique(ends, axis=1)
    degrees = np.bincount(np.concatenate([src, dst]), minlength=graph.num_nodes)
    if graph.is_symmetric:
        degrees //= 2
    after, before = (
        _rows(*ends, pairs[:, end].numpy(), graph.num_nodes) for end, ends in enumerate(((src, dst), (dst, src)))
    )
    owner, between = np.divmod(np.intersect1d(after, before, assume_unique=True), graph.num_nodes)
    weights = 1 / np.log(np.maximum(degrees[between], 2))
    return torch.from_numpy(np.bincount(owner, weights, len(pairs)))


def _rows(rows: np.ndarray, columns: np.ndarray, chosen: np.ndarray, count: int) -> np.ndarray:
    """Return place * N + column of each entry of the chosen rows, by their places: int64."""
    order = np.argsort(rows, kind="stable")
    sizes = np.bincount(rows, minlength=count)
    begins = np.cumsum(sizes) - sizes
    lengths = sizes[chosen]
    owner = np.repeat(np.arange(len(chosen)), lengths)
    inside = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return owner * count + columns[order[begins[chosen][owner] + inside]]


def feature_cosine(features: Tensor | SparseMatrix, pairs: Tensor) -> Tensor:
    """Return the cosine of the features of both ends, [M]; 0 where one has none."""

    def rows(nodes: Tensor) -> Tensor:
        return features.rows(nodes).to_dense() if isinstance(features, SparseMatrix) else features[nodes]

    parts = pairs.split(CHUNK)
    return torch.cat([cosine_similarity(rows(part[:, 0]), rows(part[:, 1])) for part in parts])
