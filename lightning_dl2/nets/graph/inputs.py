"""Turn features, types and positional encodings of nodes and edges into the first convolution's input.

Shapes: S source nodes, E edges, I in_feats, P positional_size, H hidden_size.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.graphs import Graph, SparseMatrix
from lightning_dl2.graphs.graph import Features
from lightning_dl2.graphs.positional_encodings import ENCODINGS
from lightning_dl2.nets.graph.lookup import Lookup
from lightning_dl2.nets.graph.sparse_linear import SparseLinear, dropout


class NodeInputs(nn.Module):
    """Map those of ndata["features"], ["types"] and ["positional"] that exist to one vector a node.

    With an input layer each is mapped to H, and they are summed; types, and positions without features, imply one.
    Without it the features stay as they are, followed by the positions.

    Args:
        in_feats: I, of the features; 0: no features. Likewise `node_types`, the number of types, and
            `positional_size`.
        positional: kind of the positions: `laplacian`, eigenvectors, whose signs are arbitrary and drawn anew for each
            graph in training (Dwivedi et al. 2020); `random_walk`, return probabilities; or None.
        input_dropout: probability, on the features, and on the embedding of the types.

    Raises:
        ValueError: no input at all, an unknown `positional`, or one that contradicts `positional_size`.
    """

    def __init__(
        self,
        *,
        in_feats: int,
        node_types: int,
        positional_size: int,
        positional: str | None,
        hidden_size: int,
        input_layer: bool,
        input_dropout: float,
    ):
        super().__init__()
        if positional not in (None, *ENCODINGS):
            raise ValueError(f"positional is {positional!r}; it must be None or one of {', '.join(ENCODINGS)}")
        if (positional is None) != (positional_size == 0):
            raise ValueError(f"positional is {positional!r} but positional_size is {positional_size}; set both or none")
        if not (in_feats or node_types or positional_size):
            raise ValueError("in_feats, node_types and positional_size are all 0; the nodes need some input")
        self.positional, self.input_dropout = positional, input_dropout
        self.projects = input_layer or node_types > 0 or in_feats == 0
        self.out_feats = hidden_size if self.projects else in_feats + positional_size
        self.features = SparseLinear(in_feats, hidden_size) if in_feats and self.projects else None
        self.types = nn.Embedding(node_types, hidden_size) if node_types else None
        self.position = nn.Linear(positional_size, hidden_size) if positional_size and self.projects else None

    def forward(
        self, ndata: dict[str, Features], batch: Graph | None = None, *, lookup: bool = False
    ) -> Features | Lookup:
        """Return [S, H] or, without an input layer, [S, I + P], sparse if the features are.

        Args:
            batch: the graphs that the nodes belong to; None: all belong to one.
            lookup: return a `Lookup` where types are the only input.

        Raises:
            ValueError: `ndata` lacks an input, or sparse features meet positional encodings without an input layer.
        """
        position = None if self.positional is None else self._position(ndata, batch)
        if not self.projects:
            x = dropout(_take(ndata, "features"), self.input_dropout, self.training)
            if position is None:
                return x
            if isinstance(x, SparseMatrix):
                raise ValueError("positional does not go with sparse features and no input layer; set input_layer=True")
            return torch.cat([x, position.to(x.dtype)], dim=1)
        dropped = self.training and self.input_dropout > 0
        if lookup and self.features is None and position is None and not dropped:
            assert self.types is not None
            return Lookup(self.types.weight, _take(ndata, "types"))
        parts = []
        if self.features is not None:
            parts.append(self.features(dropout(_take(ndata, "features"), self.input_dropout, self.training)))
        if self.types is not None:
            parts.append(dropout(self.types(_take(ndata, "types")), self.input_dropout, self.training))
        if self.position is not None:
            parts.append(self.position(position))
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def _position(self, ndata: dict[str, Features], batch: Graph | None) -> Tensor:
        position = _take(ndata, "positional")
        if not (self.training and self.positional == "laplacian"):
            return position
        graphs = 1 if batch is None else batch.batch_size
        signs = torch.randint(2, (graphs, position.shape[1]), device=position.device).to(position.dtype) * 2 - 1
        return position * (signs if batch is None else signs[batch.graph_of_node])


class EdgeInputs(nn.Module):
    """Map those of edata["features"] and ["types"] that exist to H each, and sum them: [E, H].

    Args:
        edge_feats: size of the features; 0: no features. Likewise `edge_types`, the number of types. With both 0 all
            edges share one learnt vector.
    """

    def __init__(self, *, edge_feats: int, edge_types: int, hidden_size: int):
        super().__init__()
        self.out_feats = hidden_size
        self.features = nn.Linear(edge_feats, hidden_size) if edge_feats else None
        self.types = nn.Embedding(edge_types, hidden_size) if edge_types else None
        self.constant = None if edge_feats or edge_types else nn.Parameter(torch.randn(hidden_size))

    def forward(self, edata: dict[str, Tensor], num_edges: int, *, lookup: bool = False) -> Tensor | Lookup:
        """Return [E, H]; with `lookup` a `Lookup` where types are the only input."""
        if self.constant is not None:
            return self.constant.expand(num_edges, -1)
        if lookup and self.features is None:
            assert self.types is not None
            return Lookup(self.types.weight, _take(edata, "types"))
        parts = []
        if self.features is not None:
            parts.append(self.features(_take(edata, "features")))
        if self.types is not None:
            parts.append(self.types(_take(edata, "types")))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _take(data: Mapping[str, Any], name: str) -> Any:
    if name not in data:
        raise ValueError(f"the graph has no {name!r}, which the net needs; it has {', '.join(data) or 'nothing'}")
    return data[name]
