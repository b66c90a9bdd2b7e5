"""The primitives by torch alone: every sum is a sparse matrix times a dense one, every other step an index_select.

Under torch.use_deterministic_algorithms this gives equal bits on each run, also on CUDA, where `index_add` would sort
its index each time. The backward passes of sums consist of the same two steps: they have second derivatives.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from lightning_dl2.graphs.graph import Graph
from lightning_dl2.graphs.sparse import SparseMatrix


def spmm(graph: Graph, x: Tensor | None, e: Tensor | None, reduce: str) -> Tensor:
    if reduce == "max":
        messages = e if x is None else gather(graph, x) if e is None else gather(graph, x) * e
        return _Maximum.apply(messages, graph.dst, graph.in_degrees)
    if e is None:
        assert x is not None
        total = times(graph.adjacency(x.dtype), x)
    else:
        messages = e if x is None else gather(graph, x) * e
        total = times(edges_of(graph, "in", messages.dtype), messages)
    return total if reduce == "sum" else _divide(total, graph.in_degrees)


def sddmm(graph: Graph, op: str, x: Tensor, y: Tensor) -> Tensor:
    x, y = gather(graph, x), select(y, graph, "in")
    if op == "dot":
        return (x * y).sum(-1, keepdim=True)
    return x + y if op == "add" else x - y if op == "sub" else x * y


def edge_softmax(graph: Graph, scores: Tensor) -> Tensor:
    largest = _largest(scores.detach(), graph.dst, graph.num_nodes)  # a common shift has no gradient
    weights = (scores - largest.index_select(0, graph.dst)).exp()
    edges = edges_of(graph, "in", scores.dtype)
    return weights / select(times(edges, weights), graph, "in")


def segment_readout(graph: Graph, x: Tensor, reduce: str) -> Tensor:
    if reduce == "max":
        return _Maximum.apply(x, graph.graph_of_node, graph.batch_num_nodes)
    total = times(_nodes_of(graph, x.dtype), x)
    return total if reduce == "sum" else _divide(total, graph.batch_num_nodes)


def gather(graph: Graph, x: Tensor) -> Tensor:
    return select(x, graph, "out")


def select(x: Tensor, graph: Graph, direction: str) -> Tensor:
    """Return x[src] or x[dst], [M, ...] -> [E, ...], for edges that go "out" of or "in" to the nodes of x."""
    return _Select.apply(x, graph, direction)


def _divide(total: Tensor, counts: Tensor) -> Tensor:
    return total / rows_like(counts.clamp(min=1).to(total.dtype), total)


def edges_of(graph: Graph, direction: str, dtype: torch.dtype) -> SparseMatrix:
    """Return the incidence matrix [N, E] or [S, E]: 1 where the edge (column) enters, or leaves, the node (row)."""
    dtype = torch.promote_types(dtype, torch.float32)

    def make() -> SparseMatrix:
        indptr, _, edges = graph.in_csr() if direction == "in" else graph.out_csr()
        ones = torch.ones(graph.num_edges, dtype=dtype, device=graph.device)
        return SparseMatrix(indptr, edges, ones, (len(indptr) - 1, graph.num_edges))

    return graph.cached(f"{direction}-edges {dtype}", make)


def _nodes_of(graph: Graph, dtype: torch.dtype) -> SparseMatrix:
    """Return the matrix [B, N] with a 1 where the node (column) belongs to the graph (row)."""

    def make() -> SparseMatrix:
        nodes = torch.arange(graph.num_nodes, device=graph.device)
        ones = torch.ones(graph.num_nodes, dtype=dtype, device=graph.device)
        return SparseMatrix(graph.segments(), nodes, ones, (graph.batch_size, graph.num_nodes))

    return graph.cached(f"nodes {dtype}", make)


def times(matrix: SparseMatrix, x: Tensor) -> Tensor:
    """Multiply [R, C] by [C, ...] -> [R, ...]."""
    return (matrix @ x.reshape(len(x), prod(x.shape[1:]))).reshape(matrix.shape[0], *x.shape[1:])


class _Select(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, graph: Graph, direction: str) -> Tensor:
        ctx.graph, ctx.direction = graph, direction
        return x.index_select(0, graph.dst if direction == "in" else graph.src)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        owners = edges_of(ctx.graph, ctx.direction, grad.dtype)  # built here: inference needs no such matrix
        return times(owners, grad).to(grad.dtype), None, None


class _Maximum(Function):
    """Take the maximum of the rows x, [E, ...], of each owner, int64 [E] -> [M, ...]; 0 for an owner without rows.

    `counts`, int64 [M], are the rows of each owner. The gradient goes to the first row with the maximum.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, owner: Tensor, counts: Tensor) -> Tensor:
        largest = _largest(x, owner, len(counts))
        # Row numbers are floats, for which torch has a faster kernel; float32 counts to 2^24 without gaps.
        dtype = torch.float32 if len(x) < 2**24 else torch.float64
        rows = rows_like(torch.arange(len(x), device=x.device, dtype=dtype), x)
        candidates = torch.where(x == largest.index_select(0, owner), rows, torch.inf)
        first = candidates.new_full(largest.shape, torch.inf)
        first = first.scatter_reduce(0, rows_like(owner, x).expand(x.shape), candidates, "amin")
        ctx.save_for_backward(first.index_select(0, owner) == rows, owner)
        return largest.masked_fill(rows_like(counts == 0, largest), 0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        chosen, owner = ctx.saved_tensors
        return grad.index_select(0, owner) * chosen, None, None


def _largest(x: Tensor, owner: Tensor, num_owners: int) -> Tensor:
    """Take the maximum of the rows [E, ...] of each owner -> [M, ...]; -inf for an owner without rows."""
    least = x.new_full((num_owners, *x.shape[1:]), -torch.inf)
    return least.scatter_reduce(0, rows_like(owner, x).expand(x.shape), x, "amax")


def rows_like(numbers: Tensor, x: Tensor) -> Tensor:
    """Reshape [M] to [M, 1, ...] with as many dimensions as x, [M, ...]."""
    return numbers.view(-1, *(1,) * (x.ndim - 1))
