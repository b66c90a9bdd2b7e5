"""R-GCN, the convolution of graphs whose edges are of several relations.

Shapes: S sources, N destination nodes, E edges, I in_feats, O out_feats, R relations, B bases or blocks.
"""

import torch
from torch import Tensor, nn

from lightning_dl2.graphs import Graph, spmm
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.checks import check_choice, check_sizes
from lightning_dl2.nets.graph.convolutions import edge_weights
from lightning_dl2.nets.graph.relations.split import split_relations
from lightning_dl2.nets.graph.sparse_linear import as_dense, destinations

DECOMPOSITIONS = ("none", "basis", "block")


class RGCNConv(nn.Module):
    """h_v' = W_0 h_v + sum_r sum_{u -r-> v} 1/c_{v,r} W_r h_u + b (Schlichtkrull et al. 2018, equation 2).

    c_{v,r} is the number of in-edges of v in relation r. Where edges have weights, each h_u is multiplied by its
    edge's. graph.edata["types"], int64 [E] below R, has the relations; with R = 1 it may be missing.

    Args:
        num_relations: R.
        decomposition: of the W_r. "basis": W_r = sum_b a_rb V_b (equation 3); "block": W_r is block-diagonal, B blocks
            of I/B x O/B numbers (equation 4); "none": each W_r has weights of its own.
        num_bases: B; None with "none" only.
        self_loop: whether there is W_0.

    Raises:
        ValueError: another `decomposition`, no `num_bases`, or one that does not divide I and O into blocks.
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int,
        num_relations: int,
        *,
        decomposition: str = "none",
        num_bases: int | None = None,
        self_loop: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        check_choice("decomposition", decomposition, DECOMPOSITIONS)
        check_sizes(num_relations=num_relations)
        if decomposition != "none" and (num_bases is None or num_bases < 1):
            raise ValueError(f"num_bases is {num_bases}; decomposition={decomposition!r} needs 1 or more")
        if decomposition == "block" and num_bases and (in_feats % num_bases or out_feats % num_bases):
            raise ValueError(f"num_bases is {num_bases}; blocks must divide {in_feats} and {out_feats} features")
        self.out_feats, self.num_relations, self.decomposition = out_feats, num_relations, decomposition
        count = num_bases or 1
        shapes = {
            "none": (num_relations, in_feats, out_feats),
            "basis": (count, in_feats, out_feats),
            "block": (num_relations, count, in_feats // count, out_feats // count),
        }
        self.weight = nn.Parameter(torch.empty(shapes[decomposition]))
        self.coefficients = nn.Parameter(torch.empty(num_relations, count)) if decomposition == "basis" else None
        self.loop = nn.Parameter(torch.empty(in_feats, out_feats)) if self_loop else None
        self.bias = nn.Parameter(torch.zeros(out_feats)) if bias else None
        gain = nn.init.calculate_gain("relu")
        for matrix in self.weight.data.flatten(0, -3):
            nn.init.xavier_uniform_(matrix, gain)
        if self.coefficients is not None:
            nn.init.xavier_uniform_(self.coefficients, gain)
        if self.loop is not None:
            nn.init.xavier_uniform_(self.loop, gain)

    def relation_weights(self) -> Tensor:
        """Return the W_r, [R, I, O], or their blocks, [R, B, I/B, O/B]."""
        if self.coefficients is None:
            return self.weight
        return torch.einsum("rb,bio->rio", self.coefficients, self.weight)

    def forward(self, graph: Graph, x: Features, e: Tensor | None = None) -> Tensor:
        """Map features [S, I] to [N, O]."""
        x = as_dense(x)
        weights = self.relation_weights()
        # The sum of no weight: each parameter has a gradient, also where a sampled block lacks its relation.
        y = weights[:0].sum() + (x.new_zeros(graph.num_nodes, self.out_feats) if self.bias is None else self.bias)
        if self.loop is not None:
            y = y + destinations(graph, x) @ self.loop
        y = y.expand(graph.num_nodes, -1)
        for number, part in enumerate(split_relations(graph, self.num_relations, None, all_nodes=False)):
            if not len(part.edges):
                continue
            here = part.like(graph)
            means = spmm(here, x.index_select(0, part.sources), edge_weights(here), reduce="mean")
            messages = self._transform(means, weights[number])
            y = y.to(torch.promote_types(y.dtype, messages.dtype)).index_add(0, part.destinations, messages.to(y.dtype))
        return y

    def _transform(self, means: Tensor, weight: Tensor) -> Tensor:
        """Multiply means [n, I] by W_r: [n, O]."""
        if self.decomposition != "block":
            return means @ weight
        blocks = means.reshape(len(means), weight.shape[0], -1)
        return torch.einsum("nbi,bio->nbo", blocks, weight).flatten(1)
