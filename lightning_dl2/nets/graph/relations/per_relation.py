"""Give each relation of a graph a layer of its own, of any convolution.

Shapes: S sources, N destination nodes, E edges, I in_feats, O out_feats, G edge features, R relations.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.graphs import Graph
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.graph.convolutions import EDGE_WEIGHT, prepare_weights
from lightning_dl2.nets.graph.relations.split import TYPES, Ends, Part, split_relations
from lightning_dl2.nets.graph.sparse_linear import as_dense, destinations

COMBINE = ("sum", "mean")


class PerRelation(nn.Module):
    """h_v' = the sum or the mean, over the relations r into the type of v, of layer_r(h)_v.

    Layer r reads the graph of the edges of relation r, its nodes' own features among them where the convolution reads
    these. It is `HeteroGraphConv` of DGL and `to_hetero` of PyG, but a relation without edges gives what the layer
    gives to a node without in-edges.

    Args:
        layers: R convolutions with forward(graph, x, e=None) from I to O features.
        ends: the types of source and destination of each relation, of graph.ndata["types"]; None: all nodes have the
            same type.
        combine: "sum" or "mean".
        loop: whether W_0 h_v is added, for convolutions that do not read v itself.
        sizes: I and O, for W_0.
        normalizes: whether weights of edges are divided by their sums within the relation, as by `gcn`.

    Raises:
        ValueError: another `combine`.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        *,
        ends: Ends | None,
        combine: str,
        loop: bool,
        sizes: tuple[int, int],
        normalizes: bool = False,
    ):
        super().__init__()
        check_choice("combine", combine, COMBINE)
        self.layers, self.ends, self.combine, self.normalizes = nn.ModuleList(layers), ends, combine, normalizes
        self.loop = nn.Linear(*sizes, bias=False) if loop else None

    def forward(self, graph: Graph, x: Features, e: Tensor | None = None) -> Tensor:
        """Map features [S, I], and those of edges [E, G] if the convolution reads them, to [N, O]."""
        x = as_dense(x)
        parts = split_relations(graph, len(self.layers), self.ends, all_nodes=True)
        total: Tensor | None = None
        for layer, part in zip(self.layers, parts, strict=True):
            found = self._one(layer, graph, part, x, e)
            if total is None:
                total = found.new_zeros(graph.num_nodes, found.shape[1])
            total = total.index_add(0, part.destinations, found)
        assert total is not None
        if self.combine == "mean":
            total = total / self._counts(graph, total).clamp(min=1)
        return total if self.loop is None else total + self.loop(destinations(graph, x))

    def _one(self, layer: Any, graph: Graph, part: Part, x: Tensor, e: Tensor | None) -> Tensor:
        """Return what a layer gives to the destinations of its relation, [n, O]."""
        here = part.like(graph)
        if EDGE_WEIGHT in here.edata:
            here = prepare_weights(here, here, self.normalizes)
        rows = x.index_select(0, part.sources)
        found: Tensor = layer(here, rows) if e is None else layer(here, rows, e[part.edges])
        return found

    def _counts(self, graph: Graph, like: Tensor) -> Tensor:
        """Count the relations into the type of each destination, [N, 1]."""
        if self.ends is None:
            return like.new_full((1, 1), len(self.layers))
        given: Any = graph.ndata[TYPES]
        types = given[: graph.num_nodes]
        into = torch.tensor([target for _, target in self.ends], device=types.device)
        counts = torch.bincount(into, minlength=int(types.max()) + 1 if len(types) else 1)
        return counts[types].unsqueeze(1).to(like.dtype)
