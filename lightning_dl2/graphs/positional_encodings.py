"""Positional encodings of nodes: they distinguish nodes that message passing alone cannot.

Shapes: N nodes of all graphs, n nodes of one graph, G graphs of the same size, k encodings, C components with an edge.

Small graphs of equal size are computed side by side, without padding, in float64 on the CPU; large ones one by one, as
sparse matrices. Results are float32.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.graphs.graph import Graph
from lightning_dl2.graphs.packed_graphs import PackedGraphs
from lightning_dl2.graphs.sparse import SparseMatrix

MAX_DENSE_EIGENVECTOR_NODES = 4000  # half a minute, and 128 MB for each of a few dense matrices
RESTARTS = 60  # of Lanczos' method, which converges before unless many eigenvalues are close to the first
SHIFT = 1e-6  # below the smallest eigenvalue, 0
MAX_DENSE_WALK_NODES = 128  # above, sparse products are faster
ENTRIES = 2**21  # of the dense matrices, 16 MB, that are processed at a time


def laplacian_encoding(graphs: Graph | PackedGraphs, k: int) -> Tensor:
    """Return eigenvectors of I - D^-1/2 A D^-1/2 in the order of their eigenvalues, without the first: float32 [N, k].

    A is that of the undirected graph without self-loops and parallel edges. Each graph of a batch has its own
    eigenvectors, of length 1; with k nodes or fewer, the last encodings are 0. Their signs are arbitrary: here the
    entry of largest magnitude, the first of equal ones, is positive. Among the eigenvectors of one eigenvalue LAPACK
    chooses; of a graph of more than MAX_DENSE_EIGENVECTOR_NODES nodes, `_sparse_eigenvectors`. From Dwivedi et al.
    2020, https://arxiv.org/abs/2003.00982.

    Raises:
        ValueError: a sampled block, or too many encodings for a large graph.
    """
    nodes = _Nodes.of(graphs)
    encodings = torch.zeros(nodes.total, k, dtype=torch.float64)
    for first, last, src, dst in nodes.above(MAX_DENSE_EIGENVECTOR_NODES):
        encodings[first:last] = _orient(_sparse_eigenvectors(src, dst, last - first, k))
    for first, last, adjacency in nodes.dense_chunks(MAX_DENSE_EIGENVECTOR_NODES):
        size = adjacency.shape[-1]
        linked = ((adjacency + adjacency.mT) > 0).double()
        linked.diagonal(dim1=1, dim2=2).zero_()
        roots = linked.sum(2).clamp(min=1).rsqrt()
        laplacian = torch.eye(size, dtype=torch.float64) - roots.unsqueeze(2) * linked * roots.unsqueeze(1)
        vectors = torch.linalg.eigh(laplacian).eigenvectors[..., 1 : k + 1]
        encodings[first:last, : vectors.shape[2]] = _orient(vectors).flatten(0, 1)
    return nodes.in_given_order(encodings)


def _orient(vectors: Tensor) -> Tensor:
    """Turn eigenvectors [G, n, k] or [n, k] so that the largest entry of each is positive."""
    sizes = vectors.abs()
    # Entries that are equal up to rounding count as equal, or rounding would choose the sign.
    largest = (sizes >= sizes.amax(-2, keepdim=True) * (1 - 1e-6)).int().argmax(-2, keepdim=True)
    return vectors * vectors.gather(-2, largest).sign()


def _sparse_eigenvectors(src: Tensor, dst: Tensor, size: int, k: int) -> Tensor:
    """Return the same eigenvectors of one graph, float64 [n, k], by sparse products, in memory of O(edges + n k).

    The eigenvectors of eigenvalue 0 are known: one for each component with an edge. The first is left out, the others
    are those of the largest components. The rest is found by Lanczos' method on the normalised adjacency, from a fixed
    start. Where many eigenvalues are close to 0, as of long paths and grids, that does not converge; then the inverse
    is taken by a sparse factorisation (ARPACK, Lehoucq et al. 1998; SuperLU, Li 2005; both by scipy).

    Raises:
        ValueError: more than about n/2 of them.
    """
    from scipy import sparse
    from scipy.sparse import linalg

    if 2 * (k + 1) > size:
        raise ValueError(f"{k} Laplacian encodings of {size} nodes; the limit is half of the nodes")
    ends = torch.stack([torch.cat([src, dst]), torch.cat([dst, src])])[:, (src != dst).repeat(2)].numpy()
    linked = sparse.csr_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(size, size))
    linked.data[:] = 1  # parallel edges were summed
    degrees = linked.sum(1)
    roots = sparse.diags_array(1 / np.sqrt(degrees.clip(1)))
    adjacency = (roots @ linked @ roots).tocsr()
    if not degrees.any():  # each vector is one: as in the dense method, those of the nodes
        return torch.eye(size, k + 1, dtype=torch.float64)[:, 1:]
    kernel = _Kernel.of(linked, degrees)
    found = kernel.vectors(k + 1)[:, 1:]
    if (left := k - found.shape[1]) == 0:
        return torch.from_numpy(found)

    start = kernel.left_out(np.random.default_rng(0).standard_normal(size))
    # Where the kernel's eigenvalue 1 is, there is -1.
    operator = linalg.LinearOperator(
        (size, size), lambda x: adjacency @ x + 2 * kernel.left_out(x) - 2 * x, dtype=float
    )
    krylov = min(size, max(2 * left + 1, 60))
    try:
        values, vectors = linalg.eigsh(operator, left, which="LA", v0=start, ncv=krylov, maxiter=RESTARTS, tol=1e-10)
    except linalg.ArpackNoConvergence:
        shifted = (sparse.eye_array(size) * (1 + SHIFT) - adjacency).tocsc()
        solve = linalg.splu(shifted).solve
        inverse = linalg.LinearOperator(
            (size, size), lambda x: kernel.left_out(solve(kernel.left_out(x.ravel()))), dtype=float
        )
        values, vectors = linalg.eigsh(inverse, left, which="LA", v0=start, ncv=krylov, tol=1e-10)
    order = np.argsort(-values, kind="stable")
    return torch.from_numpy(np.concatenate([found, vectors[:, order]], 1))


@dataclass
class _Kernel:
    """The eigenvectors of eigenvalue 0: of each component with an edge the roots of the degrees, over their norm."""

    owner: Any  # numpy int64 [n], the component of each node
    roots: Any  # numpy float64 [n], of the degrees
    squares: Any  # numpy float64, the sum of each component's degrees

    @classmethod
    def of(cls, linked: Any, degrees: Any) -> "_Kernel":
        from scipy.sparse.csgraph import connected_components

        _, owner = connected_components(linked, directed=False)
        return cls(owner, np.sqrt(degrees), np.bincount(owner, weights=degrees))

    def vectors(self, limit: int) -> Any:
        """Return up to `limit` of them, orthonormal: [n, min(C, limit)]: the first is of the whole graph."""
        components = np.flatnonzero(self.squares)
        largest = components[np.argsort(-self.squares[components], kind="stable")]
        parts = [np.where(self.owner == number, self.roots, 0) for number in largest[: limit - 1]]
        parts = parts[: len(components) - 1]  # the last follows from the whole and the others
        return np.linalg.qr(np.stack([self.roots, *parts], 1))[0]

    def left_out(self, x: Any) -> Any:
        """Return x [n] less its part in the kernel."""
        sums = np.bincount(self.owner, weights=self.roots * x, minlength=len(self.squares))
        return x - self.roots * (sums / np.where(self.squares > 0, self.squares, 1))[self.owner]


def random_walk_encoding(graphs: Graph | PackedGraphs, k: int) -> Tensor:
    """Return the probabilities of being back after i = 1, ..., k random steps along edges: float32 [N, k].

    They are the diagonals of (D^-1 A)^i, D the out-degrees; a walk ends at a node without out-edges. From Dwivedi et
    al. 2022, https://arxiv.org/abs/2110.07875. Time grows with k * edges * nodes of each graph.

    Raises:
        ValueError: a sampled block.
    """
    nodes = _Nodes.of(graphs)
    encodings = torch.zeros(nodes.total, k, dtype=torch.float64)
    for first, last, adjacency in nodes.dense_chunks(MAX_DENSE_WALK_NODES):
        step = adjacency / adjacency.sum(2, keepdim=True).clamp(min=1)
        power = step
        for i in range(k):
            encodings[first:last, i] = power.diagonal(dim1=1, dim2=2).flatten()
            if i + 1 < k:
                power = power @ step
    for first, last, src, dst in nodes.above(MAX_DENSE_WALK_NODES):
        size = last - first
        chances = 1 / torch.bincount(src, minlength=size).clamp(min=1).double()
        walk = SparseMatrix.from_coo(dst, src, chances[src], (size, size))
        width = max(1, ENTRIES // size)
        for start in range(0, size, width):
            starts = torch.arange(start, min(start + width, size))
            at = torch.zeros(size, len(starts), dtype=torch.float64)  # the probability to be at each node, by start
            at[starts, starts - start] = 1
            for i in range(k):
                at = walk @ at
                encodings[first + starts, i] = at[starts, starts - start]
    return nodes.in_given_order(encodings)


ENCODINGS: dict[str, Callable[[Graph | PackedGraphs, int], Tensor]] = {
    "laplacian": laplacian_encoding,
    "random_walk": random_walk_encoding,
}


@dataclass
class _Nodes:
    """All nodes, ordered by the size of their graph; `src` and `dst`, int64 [E], count in this order."""

    src: Tensor
    dst: Tensor
    sizes: Tensor  # int64, nodes of each graph, ascending
    num_edges: Tensor  # int64, edges of each graph; they lie in the order of the graphs
    place: Tensor  # int64 [N], from the given order to this one
    device: torch.device  # of the given graphs

    @classmethod
    def of(cls, graphs: Graph | PackedGraphs) -> "_Nodes":
        src, dst = graphs.src.cpu().long(), graphs.dst.cpu().long()
        if isinstance(graphs, PackedGraphs):
            counts = graphs.num_nodes.cpu()
            graph_of_edge = torch.repeat_interleave(graphs.num_edges.cpu())
            shift = (counts.cumsum(0) - counts)[graph_of_edge]
            src, dst = src + shift, dst + shift
        else:
            if graphs.is_block:
                raise ValueError("a sampled block has no positional encodings: encode the graph before sampling")
            counts = graphs.batch_num_nodes.cpu()
            graph_of_edge = torch.repeat_interleave(counts)[src]
        order = torch.argsort(counts, stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order))
        sizes = counts[order]
        shift = (sizes.cumsum(0) - sizes)[rank] - (counts.cumsum(0) - counts)
        place = torch.arange(int(counts.sum())) + torch.repeat_interleave(shift, counts)
        edges = torch.argsort(rank[graph_of_edge], stable=True)
        num_edges = torch.bincount(graph_of_edge, minlength=len(counts))[order]
        return cls(place[src[edges]], place[dst[edges]], sizes, num_edges, place, graphs.src.device)

    @property
    def total(self) -> int:
        return len(self.place)

    @property
    def largest(self) -> int:
        return int(self.sizes[-1]) if len(self.sizes) else 0

    def in_given_order(self, encodings: Tensor) -> Tensor:
        return encodings[self.place].float().to(self.device)

    def dense_chunks(self, limit: int | None = None) -> Iterator[tuple[int, int, Tensor]]:
        """Yield first node, last node + 1, and adjacency, float64 [G, n, n], of graphs of up to `limit` nodes."""
        node = edge = graph = 0
        for size, count in zip(*(x.tolist() for x in self.sizes.unique_consecutive(return_counts=True)), strict=True):
            if limit is not None and size > limit:
                return
            if size == 0:
                graph += count
                continue
            step = max(1, ENTRIES // size**2)
            for start in range(0, count, step):
                graphs = min(step, count - start)
                edges = int(self.num_edges[graph : graph + graphs].sum())
                src, dst = (x[edge : edge + edges] - node for x in (self.src, self.dst))
                adjacency = torch.zeros(graphs, size, size, dtype=torch.float64)
                places = src * size + dst % size
                adjacency.view(-1).index_add_(0, places, torch.ones(edges, dtype=torch.float64))
                yield node, node + graphs * size, adjacency
                node, edge, graph = node + graphs * size, edge + edges, graph + graphs

    def above(self, limit: int) -> Iterator[tuple[int, int, Tensor, Tensor]]:
        """Yield, for each graph of more than `limit` nodes, the first node, the last + 1, and src and dst within it."""
        starts, edge_starts = self.sizes.cumsum(0) - self.sizes, self.num_edges.cumsum(0) - self.num_edges
        for graph in (self.sizes > limit).nonzero().flatten().tolist():
            first, edge = int(starts[graph]), int(edge_starts[graph])
            edges = slice(edge, edge + int(self.num_edges[graph]))
            yield first, first + int(self.sizes[graph]), self.src[edges] - first, self.dst[edges] - first
