"""The graph network whose update is a recurrent cell: the same weights in every round.

Shapes: N nodes, E edges, I in_feats, O out_feats.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.graphs import Graph, spmm
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.graph.sparse_linear import as_dense


class GatedGraphConv(nn.Module):
    """h_v <- GRU(sum_{u -> v} (W h_u + b), h_v), `rounds` times (Li, Tarlow, Brockschmidt & Zemel 2016, section 3.2).

    The state begins with the features, filled up with zeros. The number of rounds is how far a node sees, and costs no
    parameters. The paper's W depends on the edge's type and direction; here there is one.

    Args:
        rounds: may be changed between calls.

    Raises:
        ValueError: `out_feats` below `in_feats`, `rounds` below 1.
    """

    def __init__(self, in_feats: int, out_feats: int, rounds: int):
        super().__init__()
        if out_feats < in_feats:
            raise ValueError(
                f"out_feats is {out_feats}; it must be >= in_feats, {in_feats}, which the state begins with"
            )
        if rounds < 1:
            raise ValueError(f"rounds is {rounds}; it must be >= 1")
        self.rounds = rounds
        self.message = nn.Linear(out_feats, out_feats)
        self.cell = nn.GRUCell(out_feats, out_feats)
        # A message goes through both matrices in every round: with torch's own weights it would fade on its way.
        for weights in (self.message.weight, self.cell.weight_ih, self.cell.weight_hh):
            for weight in weights.data.split(out_feats):
                nn.init.orthogonal_(weight)
        nn.init.zeros_(self.message.bias)
        nn.init.zeros_(self.cell.bias_ih)
        nn.init.zeros_(self.cell.bias_hh)
        nn.init.constant_(self.cell.bias_ih.data[out_feats : 2 * out_feats], -1)  # the update gate lets messages in

    def forward(self, graph: Graph, x: Features, e: Tensor | None = None) -> Tensor:
        """Features [N, I], dense or sparse, of a whole graph -> [N, O]."""
        x = as_dense(x)
        h = F.pad(x, (0, self.message.out_features - x.shape[1]))
        for _ in range(self.rounds):
            h = self.cell(spmm(graph, self.message(h)), h)
        return h
