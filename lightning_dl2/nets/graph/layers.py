"""Registry of graph layers: each name of a configuration with its convolution and what the network must give it.

A new layer is a module with forward(graph, x, e=None) and an entry in LAYERS; the configuration's schema repeats its
name.

Shapes: I in_feats, O out_feats.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from lightning_dl2.nets.graph.attention import GATConv, GATv2Conv
from lightning_dl2.nets.graph.convolutions import GCNConv, GCNIIConv, GINConv, GINEConv, MLPConv, SAGEConv
from lightning_dl2.nets.graph.gated import GatedGCNConv
from lightning_dl2.nets.graph.relations.rgcn import RGCNConv


@dataclass(frozen=True)
class Options:
    """Settings of a network, from which each convolution takes those that it has."""

    heads: int  # of attention
    attention_dropout: float
    norm: str  # inside the MLP of GIN and GINE
    edge_feats: int  # size of the edges' inputs; 0: the edges have none
    alpha: float  # of GCNII, like lambda_
    lambda_: float
    number: int = 1  # the layer's position
    concat: bool = True  # the heads side by side; False: their mean
    num_relations: int = 1  # types of edges
    decomposition: str = "none"  # of R-GCN, like num_bases
    num_bases: int | None = None
    self_loop: bool = True  # whether a layer that reads relations reads the node itself, too


Build = Callable[[int, int, Options], nn.Module]


@dataclass(frozen=True)
class Layer:
    """One entry of LAYERS."""

    build: Build  # (I, O, options) -> the convolution
    attention: bool = False  # has heads
    self_loops: bool = False  # reads a node's own features through a self-loop only
    edges: bool = False  # reads edge features
    weights: str | None = None  # reads weights of edges: "given", or "normalized" by degrees; None: it does not
    edge_states: bool = False  # also updates a state of each edge
    initial: bool = False  # reads the first layer's input, too
    sparse: bool = True  # takes a SparseMatrix
    lookup: bool = False  # takes a Lookup for features of nodes and edges
    relations: bool = False  # reads the types of edges as relations, with weights for each


def _attention(kind: type[GATConv] | type[GATv2Conv]) -> Build:
    def build(in_feats: int, out_feats: int, o: Options) -> nn.Module:
        if o.concat and out_feats % o.heads:
            raise ValueError(f"heads is {o.heads}; it must divide the {out_feats} features that the heads share")
        size = out_feats // o.heads if o.concat else out_feats
        return kind(in_feats, size, o.heads, concat=o.concat, attn_drop=o.attention_dropout)

    return build


LAYERS = {
    "gcn": Layer(lambda i, o, _: GCNConv(i, o), self_loops=True, weights="normalized"),
    "sage": Layer(lambda i, o, _: SAGEConv(i, o), weights="given"),
    "gat": Layer(_attention(GATConv), attention=True, self_loops=True, weights="given"),
    "gatv2": Layer(_attention(GATv2Conv), attention=True, self_loops=True, weights="given"),
    "gin": Layer(lambda i, o, given: GINConv(i, o, norm=given.norm), weights="given"),
    "gine": Layer(lambda i, o, given: GINEConv(i, o, edge_feats=given.edge_feats or None, norm=given.norm), edges=True),
    "gatedgcn": Layer(
        lambda i, o, given: GatedGCNConv(i, given.edge_feats, o), edges=True, edge_states=True, lookup=True
    ),
    "gcnii": Layer(
        lambda i, _, given: GCNIIConv(i, given.number, alpha=given.alpha, lambda_=given.lambda_),
        self_loops=True,
        weights="normalized",
        initial=True,
    ),
    "rgcn": Layer(
        lambda i, o, given: RGCNConv(
            i,
            o,
            given.num_relations,
            decomposition=given.decomposition,
            num_bases=given.num_bases,
            self_loop=given.self_loop,
        ),
        weights="given",
        sparse=False,
        relations=True,
    ),
    "mlp": Layer(lambda i, o, _: MLPConv(i, o)),
}
