"""One layer of a graph network: a convolution by name, and what follows it.

Shapes: S sources, N destination nodes, E edges, I in_feats, O out_feats, G edge_feats.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.graphs import Graph
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.dropout import dropout
from lightning_dl2.nets.graph.attention import GATConv, GATv2Conv
from lightning_dl2.nets.graph.convolutions import GCNConv, GCNIIConv, GINConv, GINEConv, MLPConv, SAGEConv
from lightning_dl2.nets.graph.gated_gcn import GatedGCNConv
from lightning_dl2.nets.graph.lookup import Lookup
from lightning_dl2.nets.graph.norms import build_norm
from lightning_dl2.nets.graph.sparse_linear import as_dense

LAYERS = ("gcn", "sage", "gat", "gatv2", "gin", "gine", "gatedgcn", "gcnii", "mlp")
ATTENTION = ("gat", "gatv2")
SELF_LOOPS = ("gcn", *ATTENTION, "gcnii")  # those that see a node's own features through a self-loop alone
EDGES = ("gine", "gatedgcn")  # those that read edge features

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "elu": F.elu}


def build_convolution(
    layer: str,
    in_feats: int,
    out_feats: int,
    *,
    number: int = 1,
    heads: int = 1,
    concat: bool = True,
    attention_dropout: float = 0.0,
    norm: str = "none",
    edge_feats: int | None = None,
    alpha: float = 0.1,
    lambda_: float = 0.5,
) -> nn.Module:
    """A convolution with I inputs and O outputs.

    Args:
        layer: one of LAYERS.
        number: the layer's, from 1 on; read, with `alpha` and `lambda_`, by `gcnii` alone.
        heads: read, with `concat` and `attention_dropout`, by `gat` and `gatv2` alone.
        norm: inside of the MLP of `gin` and `gine`.
        edge_feats: read by `gine` (None: there are none) and `gatedgcn`.

    Raises:
        ValueError: an unknown `layer`, O that the heads cannot share, I other than O for `gcnii`.
    """
    if layer in ATTENTION:
        if concat and out_feats % heads:
            raise ValueError(f"heads is {heads}; it must divide the {out_feats} features that the heads share")
        size = out_feats // heads if concat else out_feats
        kind = GATConv if layer == "gat" else GATv2Conv
        return kind(in_feats, size, heads, concat=concat, attn_drop=attention_dropout)
    if layer == "gin":
        return GINConv(in_feats, out_feats, norm=norm)
    if layer == "gine":
        return GINEConv(in_feats, out_feats, edge_feats=edge_feats, norm=norm)
    if layer == "gatedgcn":
        assert edge_feats is not None
        return GatedGCNConv(in_feats, edge_feats, out_feats)
    if layer == "gcnii":
        if in_feats != out_feats:
            raise ValueError(f"gcnii has {in_feats} inputs and {out_feats} outputs; they must be as many")
        return GCNIIConv(in_feats, number, alpha=alpha, lambda_=lambda_)
    kinds = {"gcn": GCNConv, "sage": SAGEConv, "mlp": MLPConv}
    if layer not in kinds:
        raise ValueError(f"layer is {layer!r}; it must be one of {', '.join(LAYERS)}")
    return kinds[layer](in_feats, out_feats)


class GraphLayer(nn.Module):
    """Convolution, norm, activation, dropout, and the residual where I = O.

    The order is that of Dwivedi et al. 2020 except for dropout, which leaves the residual stream alone.

    Args:
        activation: `relu`, `elu`, or None: none.
        edge_feats: G, of edge states to be updated for the next layer, which `gatedgcn` alone has; None where there
            is no next layer: a norm without a use would be a parameter without a gradient.
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
        residual: bool = False,
        edge_feats: int | None = None,
    ):
        super().__init__()
        self.convolution = convolution
        self.norm = build_norm(norm, out_feats)
        self.edge_norm = None if edge_feats is None else build_norm(norm, out_feats)
        self.activation, self.dropout = activation, dropout
        self.residual = residual and in_feats == out_feats
        self.edge_residual = residual and edge_feats == out_feats

    def forward(
        self, graph: Graph, x: Features | Lookup, e: Tensor | Lookup | None, x0: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Features [S, I], edge features or states [E, G], the first layer's input -> [N, O], raw edge states [E, O].

        The latter are None but for `gatedgcn`; `edges` makes of them what the next layer reads.
        """
        raw = None
        if isinstance(self.convolution, GatedGCNConv):
            y, raw = self.convolution(graph, x, e)
        elif isinstance(self.convolution, GCNIIConv):
            y = self.convolution(graph, x, x0)
        else:
            y = self.convolution(graph, x, e)
        y = self._finish(self.norm(y))
        if self.residual:
            y = as_dense(x)[: graph.num_nodes] + y
        return y, raw

    def edges(self, raw: Tensor, e: Tensor | Lookup) -> Tensor:
        """Raw edge states [E, O] and the states before [E, G] -> the next layer's edge states [E, O]."""
        assert self.edge_norm is not None
        raw = self._finish(self.edge_norm(raw))
        return as_dense(e) + raw if self.edge_residual else raw

    def _finish(self, y: Tensor) -> Tensor:
        if self.activation is not None:
            y = ACTIVATIONS[self.activation](y)
        return dropout(y, self.dropout, self.training)
