"""Build the peers of `benchmark.py graph` in plain DGL, from DGL's own layers and batches.

Import this module after `lightning_dl2.graphs.load_dgl`, which makes DGL start with this torch.

Shapes: N nodes, E edges, B graphs, H hidden_size.
"""

import dgl
import torch.nn.functional as F
from dgl.nn import GatedGCNConv, GINConv, GraphConv
from torch import Tensor, nn

from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.graphs import PackedGraphs
from lightning_dl2.nets.graph.readouts import build_output


class GCN(nn.Module):
    """Two GCN layers on the whole graph, with dense features."""

    def __init__(self, nodes: NodeSet, hidden_size: int, dropout: float) -> None:
        super().__init__()
        x = nodes.features
        self.x, self.dropout = x if isinstance(x, Tensor) else x.to_dense(), dropout
        graph = dgl.graph((nodes.src, nodes.dst), num_nodes=nodes.num_nodes)
        self.graph = dgl.add_self_loop(dgl.remove_self_loop(graph))
        self.first = GraphConv(self.x.shape[1], hidden_size, activation=F.relu)
        self.second = GraphConv(hidden_size, len(nodes.class_names))

    def forward(self) -> Tensor:
        """Return logits [N, C]."""
        x = F.dropout(self.x, self.dropout, self.training)
        x = F.dropout(self.first(self.graph, x), self.dropout, self.training)
        return self.second(self.graph, x)


class GIN(nn.Module):
    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        size = hidden_size
        mlp = [nn.Linear(size, size, bias=False), nn.BatchNorm1d(size), nn.ReLU(), nn.Linear(size, size)]
        self.convolution = GINConv(nn.Sequential(*mlp), "sum", learn_eps=True)
        self.norm = nn.BatchNorm1d(size)

    def forward(self, graph: dgl.DGLGraph, x: Tensor, e: None) -> tuple[Tensor, None]:
        return x + F.relu(self.norm(self.convolution(graph, x))), None


class Molecules(nn.Module):
    """Batches of molecules, and a net that predicts one number per molecule."""

    def __init__(self, graphs: PackedGraphs, y: Tensor, layer: str, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.items, self.y = [], y
        for graph in (graphs[number] for number in range(len(graphs))):
            item = dgl.graph((graph.src, graph.dst), num_nodes=graph.num_nodes)
            item.ndata["types"], item.edata["types"] = graph.ndata["types"], graph.edata["types"]
            self.items.append(item)
        self.atoms = nn.Embedding(int(graphs.ndata["types"].max()) + 1, hidden_size)
        self.bonds = None
        if layer == "gatedgcn":
            self.bonds = nn.Embedding(int(graphs.edata["types"].max()) + 1, hidden_size)
            layers = [GatedGCNConv(hidden_size, hidden_size, hidden_size) for _ in range(num_layers)]
            layers[-1].bn_edge = nn.Identity()  # no layer reads the edges' state after it
        else:
            layers = [GIN(hidden_size) for _ in range(num_layers)]
        self.layers = nn.ModuleList(layers)
        self.output = build_output("mlp", hidden_size, 1)

    def batch(self, index: Tensor) -> tuple[dgl.DGLGraph, Tensor]:
        return dgl.batch([self.items[number] for number in index.tolist()]), self.y[index]

    def forward(self, batch: dgl.DGLGraph) -> Tensor:
        """Return predictions [B]."""
        x = self.atoms(batch.ndata["types"])
        e = None if self.bonds is None else self.bonds(batch.edata["types"])
        for layer in self.layers:
            x, e = layer(batch, x, e)
        with batch.local_scope():
            batch.ndata["x"] = x
            return self.output(dgl.mean_nodes(batch, "x")).squeeze(1)
