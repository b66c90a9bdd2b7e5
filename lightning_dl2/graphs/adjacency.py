"""The matrices of a graph's edges, [N, S]: a row for each destination, a column for each source.

Shapes: N (destination) nodes, S source nodes, E edges.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_dl2.graphs.sparse import SparseMatrix, expand

if TYPE_CHECKING:
    from lightning_dl2.graphs.graph import Graph


def is_symmetric(graph: "Graph") -> bool:
    """Whether there are as many edges i -> j as j -> i for all i and j; False for a block.

    Two sorts of the edges, one of which is needed anyway: what it saves is the sort for the transpose.
    """
    if graph.is_block or not torch.equal(graph.in_degrees, graph.out_degrees):
        return False
    indptr, src, _ = graph.in_csr()
    there = expand(indptr, graph.num_edges) * graph.num_nodes + src
    back = torch.sort(graph.src * graph.num_nodes + graph.dst).values
    return torch.equal(there, back)


def edge_matrix(graph: "Graph", values: Tensor) -> SparseMatrix:
    """With the values, float [E], of the edges in the order of `in_csr`; as symmetric as the graph."""
    indptr, src, edge_in = graph.in_csr()
    shape = (graph.num_nodes, graph.num_src)
    if graph.is_symmetric:
        return SparseMatrix(indptr, src, values, shape, symmetric=True)
    # The transpose has the structure of the out-edges; the place of each of its values is that of its edge in in_csr.
    out_indptr, dst, edge_out = graph.out_csr()
    place = torch.empty_like(edge_in)
    place[edge_in] = torch.arange(graph.num_edges, device=graph.device)
    return SparseMatrix(indptr, src, values, shape, turned=(out_indptr, dst, place[edge_out]))


def normalized_values(graph: "Graph") -> Tensor:
    """float64 [E], in the order of `in_csr`: see Graph.normalized_adjacency."""
    indptr, src, _ = graph.in_csr()
    dst = expand(indptr, graph.num_edges)
    out_degrees, in_degrees = graph.full_degrees or (graph.out_degrees, graph.in_degrees)
    from_src, to_dst = out_degrees.clamp(min=1).double().rsqrt(), in_degrees.clamp(min=1).double().rsqrt()
    values = from_src.index_select(0, src) * to_dst.index_select(0, dst)
    if graph.full_degrees is None:
        return values
    # In-edges of the whole graph for each one that was drawn. A self-loop that was added was not drawn.
    added = int(graph.has_added_self_loops)
    share = (in_degrees - added).double() / (graph.in_degrees - added).clamp(min=1)
    shares = share.index_select(0, dst)
    return values * (shares.masked_fill(src == dst, 1) if added else shares)
