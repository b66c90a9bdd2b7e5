"""Graph convolutions with gates: GatedGCN, and the gated graph network whose update is a recurrent cell.

Shapes as in `convolutions`; G edge_feats.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.graphs import Graph, edge_sum, gated_mean, spmm
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.checks import check_sizes
from lightning_dl2.nets.graph.lookup import Lookup
from lightning_dl2.nets.graph.sparse_linear import SparseLinear, as_dense, destinations


class GatedGCNConv(nn.Module):
    """GatedGCN (Bresson & Laurent 2017) with the normalised gates and the edge states of Dwivedi et al. 2020.

    e_uv' = D h_u + E h_v + C e_uv and h_v' = A h_v + sum_u s_uv * B h_u / (sum_u s_uv + 1e-6), s = sigmoid(e').
    `GraphLayer` adds norm, activation and residual of both states.
    """

    edge_states = True  # forward returns them, too

    def __init__(self, in_feats: int, edge_feats: int, out_feats: int):
        super().__init__()
        self.A = SparseLinear(in_feats, out_feats)
        self.B = SparseLinear(in_feats, out_feats)
        self.C = SparseLinear(edge_feats, out_feats)
        self.D = SparseLinear(in_feats, out_feats)
        self.E = SparseLinear(in_feats, out_feats)

    def forward(self, graph: Graph, x: Features | Lookup, e: Tensor | Lookup) -> tuple[Tensor, Tensor]:
        """Map features [S, I], dense or sparse, and edge states [E, G] to [N, O] and edge states [E, O]."""
        e = self.edges(graph, x, e)
        return self.A(destinations(graph, x)) + gated_mean(graph, self.B(x), e), e

    def edges(self, graph: Graph, x: Features | Lookup, e: Tensor | Lookup) -> Tensor:
        """Return the new edge states, [E, O]."""
        return edge_sum(graph, self.D(x), self.E(destinations(graph, x)), self.C(e))


class GatedGraphConv(nn.Module):
    """h_v <- GRU(sum_{u -> v} (W h_u + b), h_v), `rounds` times (Li, Tarlow, Brockschmidt & Zemel 2016, section 3.2).

    The state begins with the features, filled up with zeros. A node reads `rounds` edges far, at no cost in parameters.
    The paper's W depends on the edge's type and direction; here all edges share one. `rounds` may change between calls.

    Raises:
        ValueError: `out_feats` below `in_feats`, `rounds` below 1.
    """

    def __init__(self, in_feats: int, out_feats: int, rounds: int):
        super().__init__()
        if out_feats < in_feats:
            raise ValueError(
                f"out_feats is {out_feats}; it must be >= in_feats, {in_feats}, which the state begins with"
            )
        check_sizes(rounds=rounds)
        self.rounds = rounds
        self.message = nn.Linear(out_feats, out_feats)
        self.cell = nn.GRUCell(out_feats, out_feats)
        # A message passes both matrices in every round: with torch's own weights it would fade.
        for weights in (self.message.weight, self.cell.weight_ih, self.cell.weight_hh):
            for weight in weights.data.split(out_feats):
                nn.init.orthogonal_(weight)
        nn.init.zeros_(self.message.bias)
        nn.init.zeros_(self.cell.bias_ih)
        nn.init.zeros_(self.cell.bias_hh)
        nn.init.constant_(self.cell.bias_ih.data[out_feats : 2 * out_feats], -1)  # the update gate lets messages in

    def forward(self, graph: Graph, x: Features, e: Tensor | None = None) -> Tensor:
        """Map features [N, I], dense or sparse, of a whole graph to [N, O]."""
        x = as_dense(x)
        h = F.pad(x, (0, self.message.out_features - x.shape[1]))
        for _ in range(self.rounds):
            h = self.cell(spmm(graph, self.message(h)), h)
        return h
