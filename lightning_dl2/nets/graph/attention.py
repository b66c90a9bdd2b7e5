"""Graph convolutions that weight a node's neighbours by attention.

Shapes as in `convolutions`; H num_heads, D out_feats of one head, O = H * D, or D for the mean over the heads.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.graphs import Graph, edge_softmax, sddmm, spmm
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.checks import check_sizes
from lightning_dl2.nets.graph.convolutions import edge_weights
from lightning_dl2.nets.graph.sparse_linear import SparseLinear, destinations, dropout


class EdgeSoftmax(nn.Module):
    """Take the softmax of scores [E, H] over the in-edges of each destination; a module, so that a hook can read it."""

    def forward(self, graph: Graph, scores: Tensor) -> Tensor:
        return edge_softmax(graph, scores)


class _Attention(nn.Module):
    """Base of both: h_v' = sum_{u -> v} softmax_u(score_uv) z_u for each of H heads."""

    def __init__(self, out_feats: int, num_heads: int, concat: bool, slope: float, feat_drop: float, attn_drop: float):
        super().__init__()
        check_sizes(num_heads=num_heads)
        self.num_heads, self.out_feats, self.concat = num_heads, out_feats, concat
        self.negative_slope, self.feat_drop, self.attn_drop = slope, feat_drop, attn_drop
        self.softmax = EdgeSoftmax()

    def heads(self, x: Tensor) -> Tensor:
        """Reshape [S, H * D] to [S, H, D]."""
        return x.view(-1, self.num_heads, self.out_feats)

    def attend(self, graph: Graph, z: Tensor, scores: Tensor) -> Tensor:
        """Map values z [S, H, D] and scores [E, H] to [N, H * D], or to their mean over the heads, [N, D].

        Where edges have weights, the attention is multiplied by them after its softmax, as in DGL.
        """
        attention = dropout(self.softmax(graph, scores), self.attn_drop, self.training)
        if (weights := edge_weights(graph)) is not None:
            attention = attention * weights.unsqueeze(1)
        x = spmm(graph, z, attention.unsqueeze(2))
        return x.flatten(1) if self.concat else x.mean(1)


class GATConv(_Attention):
    """score_uv = leaky_relu(a_l . z_u + a_r . z_v), z = W h (Velickovic et al. 2018, equations 1 to 6).

    a . [z_u, z_v] is computed as a sum of two scalars of the nodes, so that no tensor has size [E, H, D].

    Args:
        concat: the heads side by side, H * D features; False: their mean, as in the paper's last layer.
        feat_drop: probability, on the input; `attn_drop` on the attention weights.

    Raises:
        ValueError: `num_heads` below 1.
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int,
        num_heads: int = 1,
        *,
        concat: bool = True,
        negative_slope: float = 0.2,
        feat_drop: float = 0.0,
        attn_drop: float = 0.0,
        bias: bool = True,
    ):
        super().__init__(out_feats, num_heads, concat, negative_slope, feat_drop, attn_drop)
        self.fc = SparseLinear(in_feats, num_heads * out_feats, bias=False)
        self.attn_l = nn.Parameter(torch.empty(num_heads, out_feats))
        self.attn_r = nn.Parameter(torch.empty(num_heads, out_feats))
        for weight in (self.fc.weight, self.attn_l, self.attn_r):
            nn.init.xavier_uniform_(weight)
        self.bias = nn.Parameter(torch.zeros(num_heads * out_feats if concat else out_feats)) if bias else None

    def forward(self, graph: Graph, x: Features, e: Tensor | None = None) -> Tensor:
        z = self.heads(self.fc(dropout(x, self.feat_drop, self.training)))
        left, right = (z * self.attn_l).sum(2), (destinations(graph, z) * self.attn_r).sum(2)
        x = self.attend(graph, z, F.leaky_relu(sddmm(graph, "add", left, right), self.negative_slope))
        return x if self.bias is None else x + self.bias


class GATv2Conv(_Attention):
    """score_uv = a . leaky_relu(W_src h_u + W_dst h_v), values W_src h_u (Brody, Alon & Yahav 2022, equation 7).

    GAT ranks neighbours alike for all nodes; here the ranking depends on the destination. With `share_weights` W_dst is
    W_src; the other arguments are `GATConv`'s.

    Raises:
        ValueError: `num_heads` below 1.
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int,
        num_heads: int = 1,
        *,
        concat: bool = True,
        negative_slope: float = 0.2,
        feat_drop: float = 0.0,
        attn_drop: float = 0.0,
        bias: bool = True,
        share_weights: bool = False,
    ):
        super().__init__(out_feats, num_heads, concat, negative_slope, feat_drop, attn_drop)
        self.fc_src = SparseLinear(in_feats, num_heads * out_feats, bias=bias)
        self.fc_dst = self.fc_src if share_weights else SparseLinear(in_feats, num_heads * out_feats, bias=bias)
        self.attn = nn.Parameter(torch.empty(num_heads, out_feats))
        for weight in (self.fc_src.weight, self.fc_dst.weight, self.attn):
            nn.init.xavier_uniform_(weight)
        if bias:
            nn.init.zeros_(self.fc_src.bias)
            nn.init.zeros_(self.fc_dst.bias)

    def forward(self, graph: Graph, x: Features, e: Tensor | None = None) -> Tensor:
        x = dropout(x, self.feat_drop, self.training)
        source = self.heads(self.fc_src(x))
        shared = self.fc_dst is self.fc_src
        destination = destinations(graph, source) if shared else self.heads(self.fc_dst(destinations(graph, x)))
        pair = F.leaky_relu(sddmm(graph, "add", source, destination), self.negative_slope)
        return self.attend(graph, source, (pair * self.attn).sum(2))
