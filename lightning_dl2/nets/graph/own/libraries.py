"""Adapt layers and readouts of DGL and PyG to forward(graph, x, e=None), without importing either library.

Shapes: S sources, N destination nodes, E edges, B graphs, I in_feats, O out_feats, G edge_feats, H heads, F features.
"""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.graphs import Graph


def library_of(kind: Any) -> str | None:
    """Tell the library whose graphs a class reads: "dgl", "pyg", or None for this package's `Graph`.

    A class of dgl.nn, PyG's MessagePassing and Aggregation, and their subclasses are recognised. Others declare
    `graph_format`.
    """
    declared = getattr(kind, "graph_format", None)
    if declared in ("dgl", "pyg"):
        return declared
    for base in getattr(kind, "__mro__", ()):
        if base.__module__.startswith("dgl.nn."):
            return "dgl"
        if base.__module__.startswith("torch_geometric.nn.") and base.__name__ in ("MessagePassing", "Aggregation"):
            return "pyg"
    return None


class PyGConv(nn.Module):
    """A convolution of PyG, forward(x, edge_index, edge_attr=...).

    A sampled block is given as a graph of its S sources, of which the first N rows are read.
    """

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, graph: Graph, x: Tensor, e: Tensor | None = None) -> Tensor:
        """Map features [S, I] and edge features [E, G] to [N, O]."""
        edge_index = graph.cached("edge_index", lambda: torch.stack([graph.src, graph.dst]))
        y = self.layer(x, edge_index) if e is None else self.layer(x, edge_index, edge_attr=e)
        return y[: graph.num_nodes] if graph.is_block else y


class DGLConv(nn.Module):
    """A convolution of dgl.nn, forward(g, x) or forward(g, x, e).

    Args:
        layer: its output may have a dimension of heads, [N, H, O].
        concat: the heads side by side; False: their mean.
    """

    def __init__(self, layer: nn.Module, *, concat: bool = True):
        super().__init__()
        self.layer, self.concat = layer, concat

    def forward(self, graph: Graph, x: Tensor, e: Tensor | None = None) -> Tensor:
        """Map features [S, I] and edge features [E, G] to [N, H * O], or to the mean over the heads."""
        g = graph.to_dgl()
        y = self.layer(g, x) if e is None else self.layer(g, x, e)
        if y.ndim == 3:
            return y.flatten(1) if self.concat else y.mean(1)
        return y


class PyGReadout(nn.Module):
    """An aggregation of PyG, forward(x, index, dim_size=...)."""

    def __init__(self, aggregation: nn.Module):
        super().__init__()
        self.aggregation = aggregation

    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        """Map features [N, F] to [B, O]."""
        return self.aggregation(x, graph.graph_of_node, dim_size=graph.batch_size)


class DGLReadout(nn.Module):
    """A readout of dgl.nn, forward(g, x)."""

    def __init__(self, readout: nn.Module):
        super().__init__()
        self.readout = readout

    def forward(self, graph: Graph, x: Tensor) -> Tensor:
        """Map features [N, F] to [B, O]."""
        return self.readout(graph.to_dgl(), x)
