"""Read graphs out: one vector a graph from those of its nodes; and the output layer.

Shapes: N nodes of all graphs of the batch, B graphs, F feats.
"""

import torch
from torch import Tensor, nn

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.graphs import Graph, segment_readout
from lightning_dl2.nets.checks import check_choice
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
