"""The graph convolution that keeps a state on every edge and gates the messages by it.

Shapes as in `convolutions`; G edge_feats.
"""

from torch import Tensor, nn

from lightning_dl2.graphs import Graph, edge_sum, gated_mean
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.graph.lookup import Lookup
from lightning_dl2.nets.graph.sparse_linear import SparseLinear, destinations


class GatedGCNConv(nn.Module):
    """Bresson & Laurent 2017, with the normalised gates and the edge states of Dwivedi et al. 2020.

    e_uv' = D h_u + E h_v + C e_uv and h_v' = A h_v + sum_u s_uv * B h_u / (sum_u s_uv + 1e-6), s = sigmoid(e').
    The norm, activation and residual of both states are `GraphLayer`'s.
    """

    def __init__(self, in_feats: int, edge_feats: int, out_feats: int):
        super().__init__()
        self.A = SparseLinear(in_feats, out_feats)
        self.B = SparseLinear(in_feats, out_feats)
        self.C = SparseLinear(edge_feats, out_feats)
        self.D = SparseLinear(in_feats, out_feats)
        self.E = SparseLinear(in_feats, out_feats)

    def forward(self, graph: Graph, x: Features | Lookup, e: Tensor | Lookup) -> tuple[Tensor, Tensor]:
        """Features [S, I], dense or sparse, and edge states [E, G] -> [N, O] and edge states [E, O]."""
        e = self.edges(graph, x, e)
        return self.A(destinations(graph, x)) + gated_mean(graph, self.B(x), e), e

    def edges(self, graph: Graph, x: Features | Lookup, e: Tensor | Lookup) -> Tensor:
        """The new edge states alone, [E, O]."""
        return edge_sum(graph, self.D(x), self.E(destinations(graph, x)), self.C(e))
