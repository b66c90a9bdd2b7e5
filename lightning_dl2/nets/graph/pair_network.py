"""Graph network for pairs of nodes: an encoder gives each node a vector, and a decoder reads the two of a pair.

Shapes: N nodes, M pairs, H features of a node's vector, K outputs of a pair.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.nets.checks import check_choice, check_dropouts, check_sizes
from lightning_dl2.nets.dropout import dropout
from lightning_dl2.nets.graph.network import GraphNetwork
from lightning_dl2.nets.graph.own.parts import build_own_decoder


class DotDecoder(nn.Module):
    """Score a pair by the inner product of its vectors, z_u . z_v (Kipf and Welling 2016, arXiv:1611.07308).

    The score is the same in both orders.

    Raises:
        ValueError: more than one output.
    """

    def __init__(self, feats: int, num_outputs: int):
        super().__init__()
        if num_outputs != 1:
            raise ValueError(f"decoder='dot' gives one number, but {num_outputs} are asked for; allowed: mlp")

    def forward(self, source: Tensor, destination: Tensor) -> Tensor:
        """Map the vectors of both ends, [M, H] each, to [M, 1]."""
        return (source * destination).sum(1, keepdim=True)


class MLPDecoder(nn.Module):
    """Read a pair by two linear layers.

    Of an undirected graph the first reads z_u + z_v and z_u * z_v, which have no order, else z_u, z_v and z_u * z_v.

    Args:
        feats: H, also of the hidden layer.
        num_outputs: K.
        directed: whether the order of the ends counts.
        dropout: probability, on the hidden layer.
    """

    def __init__(self, feats: int, num_outputs: int, *, directed: bool, dropout: float = 0.0):
        super().__init__()
        self.directed, self.dropout = directed, dropout
        self.hidden = nn.Linear((3 if directed else 2) * feats, feats)
        self.output = nn.Linear(feats, num_outputs)

    def forward(self, source: Tensor, destination: Tensor) -> Tensor:
        """Map the vectors of both ends, [M, H] each, to [M, K]."""
        ends = [source, destination] if self.directed else [source + destination]
        x = F.relu(self.hidden(torch.cat([*ends, source * destination], 1)))
        return self.output(dropout(x, self.dropout, self.training))


DECODERS = ("dot", "mlp")
PAIR_LEVELS = ("edge", "link")  # levels of a data module whose items are pairs of nodes


def build_decoder(decoder: str, feats: int, num_outputs: int, *, directed: bool, dropout: float) -> nn.Module:
    """Build one of DECODERS, or the decoder at a dotted path.

    Raises:
        ValueError: an unknown `decoder`, or one that cannot give so many outputs.
    """
    if is_dotted(decoder):
        return build_own_decoder(decoder, feats, num_outputs)
    check_choice("decoder", decoder, DECODERS)
    if decoder == "dot":
        return DotDecoder(feats, num_outputs)
    return MLPDecoder(feats, num_outputs, directed=directed, dropout=dropout)


class PairNetwork(GraphNetwork):
    """Encode the nodes by a `GraphNetwork`, and decode pairs of them.

    Args:
        num_outputs: K, of a pair.
        directed: whether the order of a pair's ends counts.
        level: one of PAIR_LEVELS.
        decoder: `dot`, `mlp`, or a dotted path; see `DotDecoder` and `MLPDecoder`.
        embedding_size: H, the outputs of the encoder.
        decoder_dropout: probability, in the hidden layer of `mlp`.
        net: of `GraphNetwork`.

    Raises:
        ValueError: as `GraphNetwork`; or an unknown decoder.
    """

    def __init__(
        self,
        *,
        num_outputs: int,
        directed: bool,
        level: str = "link",
        decoder: str = "dot",
        embedding_size: int = 64,
        decoder_dropout: float = 0.0,
        **net: Any,
    ):
        check_choice("level", level, PAIR_LEVELS)
        check_sizes(embedding_size=embedding_size)
        check_dropouts(decoder_dropout=decoder_dropout)
        super().__init__(num_outputs=embedding_size, level="node", **net)
        self.decoder = build_decoder(decoder, embedding_size, num_outputs, directed=directed, dropout=decoder_dropout)

    def decode(self, x: Tensor, pairs: Tensor) -> Tensor:
        """Map the nodes' vectors [N, H] and pairs of their rows, int64 [M, 2], to [M, K]."""
        return self.decoder(x[pairs[:, 0]], x[pairs[:, 1]])
