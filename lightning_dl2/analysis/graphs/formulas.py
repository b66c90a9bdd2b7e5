"""The layers of graph networks beside their formulas, written out densely and node by node.

Shapes: N nodes, I inputs, O outputs.
"""

import torch
from torch import Tensor, nn

from lightning_dl2.graphs import Graph
from lightning_dl2.nets import GATConv, GCNConv


def dense_gcn(graph: Graph, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 H W + b of matrices: [N, I], [O, I], [O] -> [N, O]. The graph has no self-loops."""
    adjacency = torch.eye(graph.num_nodes, dtype=x.dtype)
    adjacency.index_put_((graph.dst, graph.src), x.new_ones(()), accumulate=True)
    scale = adjacency.sum(1).rsqrt().diag()
    return scale @ adjacency @ scale @ x @ weight.t() + bias


def neighbour_mean(graph: Graph, x: Tensor) -> Tensor:
    """The mean of x over the nodes with an edge to each node, one node after the other: [N, I] -> [N, I]."""
    return torch.stack([x[graph.src[graph.dst == node]].mean(0) for node in range(graph.num_nodes)])


def gcn_difference(graph: Graph, *, seed: int = 0, in_feats: int = 5, out_feats: int = 3) -> float:
    """The largest difference, in float64, of `GCNConv` from the dense formula."""
    torch.manual_seed(seed)
    x, layer = torch.randn(graph.num_nodes, in_feats, dtype=torch.float64), GCNConv(in_feats, out_feats).double()
    assert layer.bias is not None
    nn.init.normal_(layer.bias)
    with torch.no_grad():
        difference = layer(graph.with_self_loops(), x) - dense_gcn(graph, x, layer.fc.weight, layer.bias)
    return difference.abs().max().item()


def gat_difference(graph: Graph, *, seed: int = 0, in_feats: int = 5, out_feats: int = 3) -> float:
    """The largest difference, in float64, of `GATConv` whose scores are all equal from W times the neighbours' mean."""
    torch.manual_seed(seed)
    x, layer = torch.randn(graph.num_nodes, in_feats, dtype=torch.float64), GATConv(in_feats, out_feats).double()
    nn.init.zeros_(layer.attn_l)  # what is left of the score, a_r . z_v, is the same for all neighbours of v
    assert layer.bias is not None
    nn.init.normal_(layer.bias)
    looped = graph.with_self_loops()
    with torch.no_grad():
        difference = layer(looped, x) - (neighbour_mean(looped, x) @ layer.fc.weight.t() + layer.bias)
    return difference.abs().max().item()


def rows(graph: Graph, seed: int) -> list[tuple[str, str]]:
    """Both differences as rows of a table."""
    return [
        ("GCN layer, largest difference from the dense formula", f"{gcn_difference(graph, seed=seed):.1e}"),
        ("GAT of equal scores, largest difference from the mean", f"{gat_difference(graph, seed=seed):.1e}"),
    ]
