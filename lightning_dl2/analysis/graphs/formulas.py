"""Compare graph layers with their formulas, written as dense matrices and node by node.

Shapes: N nodes, I inputs, O outputs.
"""

import torch
from torch import Tensor, nn

from lightning_dl2.graphs import Graph
from lightning_dl2.nets import GATConv, GCNConv


def dense_gcn(graph: Graph, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return D^-1/2 (A + I) D^-1/2 x W^T + b: x [N, I], W [O, I], b [O] -> [N, O]. The graph has no self-loops."""
    adjacency = torch.eye(graph.num_nodes, dtype=x.dtype)
    adjacency.index_put_((graph.dst, graph.src), x.new_ones(()), accumulate=True)
    scale = adjacency.sum(1).rsqrt().diag()
    return scale @ adjacency @ scale @ x @ weight.t() + bias


def neighbour_mean(graph: Graph, x: Tensor) -> Tensor:
    """Return the mean of x over the in-neighbours of each node, node by node: [N, I] -> [N, I]."""
    return torch.stack([x[graph.src[graph.dst == node]].mean(0) for node in range(graph.num_nodes)])


def gcn_difference(graph: Graph, *, seed: int = 0, in_feats: int = 5, out_feats: int = 3) -> float:
    """Return the largest difference, in float64, of `GCNConv` from the dense formula."""
    torch.manual_seed(seed)
    x, layer = torch.randn(graph.num_nodes, in_feats, dtype=torch.float64), GCNConv(in_feats, out_feats).double()
    assert layer.bias is not None
    nn.init.normal_(layer.bias)
    with torch.no_grad():
        difference = layer(graph.with_self_loops(), x) - dense_gcn(graph, x, layer.fc.weight, layer.bias)
    return difference.abs().max().item()


def gat_difference(graph: Graph, *, seed: int = 0, in_feats: int = 5, out_feats: int = 3) -> float:
    """Return the largest difference, in float64, of a `GATConv` with equal scores from W times the neighbours' mean."""
    torch.manual_seed(seed)
    x, layer = torch.randn(graph.num_nodes, in_feats, dtype=torch.float64), GATConv(in_feats, out_feats).double()
    nn.init.zeros_(layer.attn_l)  # the rest of the score, a_r . z_v, is the same for all neighbours of v
    assert layer.bias is not None
    nn.init.normal_(layer.bias)
    looped = graph.with_self_loops()
    with torch.no_grad():
        difference = layer(looped, x) - (neighbour_mean(looped, x) @ layer.fc.weight.t() + layer.bias)
    return difference.abs().max().item()


def rows(graph: Graph, seed: int) -> list[tuple[str, str]]:
    """Return both differences as rows of a table."""
    return [
        ("GCN layer, largest difference from the dense formula", f"{gcn_difference(graph, seed=seed):.1e}"),
        ("GAT of equal scores, largest difference from the mean", f"{gat_difference(graph, seed=seed):.1e}"),
    ]
