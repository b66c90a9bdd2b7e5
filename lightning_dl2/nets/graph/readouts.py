"""Read graphs out: one vector a graph from those of its nodes; the output layer; and the virtual node.

Shapes: N nodes of all graphs of the batch, B graphs, F feats.
"""

import torch
from torch import Tensor, nn

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.graphs import Graph, segment_readout
from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.dropout import dropout
from lightning_dl2.nets.graph.norms import build_norm
from lightning_dl2.nets.graph.own.parts import build_own_readout

READOUTS = ("sum", "mean", "max", "attention")
OUTPUT_LAYERS = ("none", "linear", "mlp")


class Readout(nn.Module):
    """Reduce features [N, F] to [B, F]; a graph without nodes gives zeros.

    Args:
        kind: `sum`, `mean`, `max`, or `attention`, the mean weighted by softmax_v(w . h_v + b) over the nodes v of
            the graph (after Li et al. 2016; DGL's GlobalAttentionPooling).

    Raises:
        ValueError: another `kind`.
    """

    def __init__(self, kind: str, feats: int):
        super().__init__()
        check_choice("readout", kind, READOUTS)
        self.kind = kind
        if kind == "attention":
            # no bias: the softmax would cancel it
            self.gate = nn.Linear(feats, 1, bias=False)

    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        """Reduce features [N, F] to [B, F]."""
        if self.kind != "attention":
            return segment_readout(graph, x, self.kind)
        score = self.gate(x)
        highest = segment_readout(graph, score.detach(), "max")
        weight = torch.exp(score - highest[graph.graph_of_node])
        total = segment_readout(graph, weight, "sum")
        return segment_readout(graph, weight * x, "sum") / torch.where(total > 0, total, 1.0)


class VirtualNode(nn.Module):
    """Give each graph a node that all others are connected with (Gilmer et al. 2017, section 5.2), in OGB's form.

    Its vector v, [B, F], begins with one learnt vector, at first 0. Before each convolution every node's features get v
    of their graph added. After each but the last, v becomes MLP(v + the sum of the convolution's inputs), with norm and
    relu after both linear layers, and dropout; with a residual this is added to v (Hu et al. 2020, section 5,
    https://arxiv.org/abs/2005.00687).

    Args:
        num_layers: convolutions of the net.
        norm: one of NORMS, or a dotted path; OGB has `batch`.
        dropout: probability.
        residual: whether v is added to its update.
    """

    def __init__(self, feats: int, num_layers: int, *, norm: str, dropout: float = 0.0, residual: bool = False):
        super().__init__()
        self.first = nn.Parameter(torch.zeros(feats))
        self.updates = nn.ModuleList(
            nn.Sequential(
                nn.Linear(feats, 2 * feats),
                build_norm(norm, 2 * feats),
                nn.ReLU(),
                nn.Linear(2 * feats, feats),
                build_norm(norm, feats),
                nn.ReLU(),
            )
            for _ in range(num_layers - 1)
        )
        self.dropout, self.residual = dropout, residual

    def begin(self, graph: Graph) -> Tensor:
        """Return the first vector of each graph, [B, F]."""
        return self.first.expand(graph.batch_size, -1)

    def spread(self, graph: Graph, x: Tensor, v: Tensor) -> Tensor:
        """Add v [B, F] to the features [N, F] of each graph's nodes."""
        return x + v.index_select(0, graph.graph_of_node)

    def forward(self, number: int, graph: Graph, x: Tensor, v: Tensor) -> Tensor:
        """Return v [B, F] after convolution `number`, from 0, whose inputs are x [N, F]; after the last, v itself."""
        if number >= len(self.updates):
            return v
        update = self.updates[number](segment_readout(graph, x, "sum") + v)
        update = dropout(update, self.dropout, self.training)
        return v + update if self.residual else update


def build_readout(readout: str, feats: int) -> tuple[nn.Module, int]:
    """Build one of READOUTS, or the readout at a dotted path, for features [N, feats].

    Returns:
        the readout, and the number of features that it returns.

    Raises:
        ValueError: an unknown `readout`.
    """
    return build_own_readout(readout, feats) if is_dotted(readout) else (Readout(readout, feats), feats)


def build_output(output_layer: str, feats: int, num_outputs: int) -> nn.Module:
    """Build `none`, `linear`, or `mlp`: three linear layers F -> F/2 -> F/4 -> num_outputs (Dwivedi et al. 2020).

    Raises:
        ValueError: an unknown `output_layer`, or too few features for `mlp`.
    """
    check_choice("output_layer", output_layer, OUTPUT_LAYERS)
    if output_layer == "none":
        return nn.Identity()
    if output_layer == "linear":
        return nn.Linear(feats, num_outputs)
    if feats < 4:
        raise ValueError(f"hidden_size is {feats}; output_layer='mlp' halves it twice and needs >= 4")
    half, quarter = feats // 2, feats // 4
    return nn.Sequential(
        nn.Linear(feats, half), nn.ReLU(), nn.Linear(half, quarter), nn.ReLU(), nn.Linear(quarter, num_outputs)
    )
