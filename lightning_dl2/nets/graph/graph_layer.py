"""One layer of a graph network: a convolution, its residual, norm, activation and dropout; and a feed-forward block.

Shapes: S sources, N destination nodes, E edges, I in_feats, O out_feats, G edge_feats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.graphs import Graph
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.dropout import dropout
from lightning_dl2.nets.graph.lookup import Lookup
from lightning_dl2.nets.graph.norms import build_norm
from lightning_dl2.nets.graph.own.parts import build_own_activation
from lightning_dl2.nets.graph.sparse_linear import SparseLinear, as_dense, destinations

LINEAR = "linear"  # a residual with weights of its own, before the norm
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "elu": F.elu}


def build_activation(name: str) -> Callable[[Tensor], Tensor]:
    """Return one of ACTIVATIONS, or the function or module at a dotted path."""
    return build_own_activation(name) if is_dotted(name) else ACTIVATIONS[name]


@dataclass(frozen=True)
class Finish:
    """Arguments of `GraphLayer` that say what follows each convolution of a network."""

    norm: str
    activation: str
    dropout: float
    residual: bool | str
    feed_forward: bool


class FeedForward(nn.Module):
    """Map each node's features x to norm(z + W2 dropout(act(W1 z))), z = norm(x), [N, O] to [N, O]; W1 doubles O.

    Dropout follows W2, too. The block of GNN+ (Luo et al., "Can Classic GNNs Be Strong Baselines for Graph-level
    Tasks?", 2025, https://arxiv.org/abs/2502.09263), as that of a transformer.

    Args:
        norm: one of NORMS, or a dotted path; the block has two.
        activation: one of ACTIVATIONS, or a dotted path.
        dropout: probability.
    """

    def __init__(self, feats: int, *, norm: str, activation: str, dropout: float = 0.0):
        super().__init__()
        self.before, self.after = build_norm(norm, feats), build_norm(norm, feats)
        self.widen, self.narrow = nn.Linear(feats, 2 * feats), nn.Linear(2 * feats, feats)
        self.activation, self.dropout = build_activation(activation), dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map features [N, O] to [N, O]."""
        z = self.before(x)
        y = dropout(self.activation(self.widen(z)), self.dropout, self.training)
        return self.after(z + dropout(self.narrow(y), self.dropout, self.training))


class GraphLayer(nn.Module):
    """Apply convolution, norm, activation, dropout, and the residual where I = O.

    The order is that of Dwivedi et al. 2020 except for dropout, which leaves the residual stream alone.

    Args:
        residual: True adds the input to the output. LINEAR adds a linear map of the input to what the convolution
            gives, before the norm, whatever I and O are (Luo et al., "Classic GNNs are strong baselines", 2024).
        feed_forward: whether a `FeedForward` block comes last; it needs an activation.
        activation: one of ACTIVATIONS, a dotted path, or None.
        edge_feats: G, of edge states that the next layer reads, for `gatedgcn`; None without a next layer: its norm
            would be a parameter without a gradient.
        sparse: whether the convolution takes a SparseMatrix; False: it gets a tensor.
    """

    def __init__(
        self,
        convolution: nn.Module,
        in_feats: int,
        out_feats: int,
        *,
        norm: str = "none",
        activation: str | None = None,
        dropout: float = 0.0,
        residual: bool | str = False,
        feed_forward: bool = False,
        edge_feats: int | None = None,
        sparse: bool = True,
    ):
        super().__init__()
        self.convolution: Any = convolution
        self.sparse = sparse
        self.norm = build_norm(norm, out_feats)
        self.edge_norm = None if edge_feats is None else build_norm(norm, out_feats)
        self.activation = None if activation is None else build_activation(activation)
        self.dropout = dropout
        self.skip = SparseLinear(in_feats, out_feats) if residual == LINEAR else None
        self.residual = residual is True and in_feats == out_feats
        self.edge_residual = bool(residual) and edge_feats == out_feats
        self.feed_forward: FeedForward | None = None
        if feed_forward:
            assert activation is not None
            self.feed_forward = FeedForward(out_feats, norm=norm, activation=activation, dropout=dropout)

    def forward(
        self, graph: Graph, x: Features | Lookup, e: Tensor | Lookup | None, x0: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Map features [S, I], edge features or states [E, G] and x0 [S, O] to [N, O] and raw edge states [E, O].

        The raw states are None unless the convolution has edge states; `edges` turns them into the next layer's.
        """
        raw, read = None, x if self.sparse else as_dense(x)
        if getattr(self.convolution, "edge_states", False):
            y, raw = self.convolution(graph, read, e)
        elif getattr(self.convolution, "reads_initial", False):
            y = self.convolution(graph, read, x0)
        else:
            y = self.convolution(graph, read) if e is None else self.convolution(graph, read, e)
        if self.skip is not None:
            y = y + self.skip(destinations(graph, x))
        y = self._finish(self.norm(y))
        if self.residual:
            y = as_dense(x)[: graph.num_nodes] + y
        return y if self.feed_forward is None else self.feed_forward(y), raw

    def edges(self, raw: Tensor, e: Tensor | Lookup) -> Tensor:
        """Turn raw edge states [E, O] and the states before, [E, G], into the next layer's edge states [E, O]."""
        assert self.edge_norm is not None
        raw = self._finish(self.edge_norm(raw))
        return as_dense(e) + raw if self.edge_residual else raw

    def _finish(self, y: Tensor) -> Tensor:
        if self.activation is not None:
            y = self.activation(y)
        return dropout(y, self.dropout, self.training)
