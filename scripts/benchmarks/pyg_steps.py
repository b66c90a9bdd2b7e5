"""Build the peers of `benchmark.py graph` in PyG, as PyG's examples and GraphGPS write them.

Shapes: N nodes, E edges, B graphs, H hidden_size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GCNConv, GINConv, MessagePassing, global_mean_pool
from torch_geometric.utils import scatter, to_torch_csr_tensor

from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.graphs import PackedGraphs
from lightning_dl2.nets.graph.readouts import build_output


class GCN(nn.Module):
    """Two GCN layers on the whole graph, with dense features and a cached normalisation."""

    def __init__(self, nodes: NodeSet, hidden_size: int, dropout: float) -> None:
        super().__init__()
        x = nodes.features
        self.x = x if isinstance(x, Tensor) else x.to_dense()
        self.edge_index: Tensor = torch.stack([nodes.src, nodes.dst])  # messages along edges, then scatter
        self.dropout = dropout
        self.first = GCNConv(self.x.shape[1], hidden_size, cached=True)
        self.second = GCNConv(hidden_size, len(nodes.class_names), cached=True)

    def forward(self) -> Tensor:
        """Return logits [N, C]."""
        x = F.dropout(self.x, self.dropout, self.training)
        x = F.dropout(self.first(x, self.edge_index).relu(), self.dropout, self.training)
        return self.second(x, self.edge_index)


class SparseGCN(GCN):
    """The same GCN by PyG's faster path: a product with the adjacency as a CSR tensor instead of messages."""

    def __init__(self, nodes: NodeSet, hidden_size: int, dropout: float) -> None:
        super().__init__(nodes, hidden_size, dropout)
        # PyG multiplies by the transposed adjacency, which has a row for each destination node.
        self.edge_index = to_torch_csr_tensor(self.edge_index.flip(0), size=(nodes.num_nodes, nodes.num_nodes))


class GatedGCN(MessagePassing):
    """GatedGCNLayer of GraphGPS; the last layer has no norm and no new state of the edges."""

    def __init__(self, hidden_size: int, last: bool) -> None:
        super().__init__(aggr="add")
        self.A, self.B, self.C, self.D, self.E = (nn.Linear(hidden_size, hidden_size) for _ in range(5))
        self.norm = nn.BatchNorm1d(hidden_size)
        self.edge_norm = None if last else nn.BatchNorm1d(hidden_size)

    def forward(self, x: Tensor, e: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor | None]:
        y = self.A(x) + self.propagate(edge_index, Bx=self.B(x), Dx=self.D(x), Ex=self.E(x), Ce=self.C(e))
        raw, self.raw = self.raw, None
        if self.edge_norm is not None:
            e = e + F.relu(self.edge_norm(raw))
        return x + F.relu(self.norm(y)), e

    def message(self, Dx_j: Tensor, Ex_i: Tensor, Ce: Tensor) -> Tensor:
        self.raw = Dx_j + Ex_i + Ce
        return torch.sigmoid(self.raw)

    def aggregate(self, gate: Tensor, index: Tensor, Bx_j: Tensor, dim_size: int) -> Tensor:
        total = scatter(gate * Bx_j, index, 0, dim_size, "sum")
        return total / (scatter(gate, index, 0, dim_size, "sum") + 1e-6)


class GIN(nn.Module):
    def __init__(self, hidden_size: int, last: bool) -> None:
        super().__init__()
        size = hidden_size
        mlp = [nn.Linear(size, size, bias=False), nn.BatchNorm1d(size), nn.ReLU(), nn.Linear(size, size)]
        self.convolution, self.norm = GINConv(nn.Sequential(*mlp), train_eps=True), nn.BatchNorm1d(size)

    def forward(self, x: Tensor, e: None, edge_index: Tensor) -> tuple[Tensor, None]:
        return x + F.relu(self.norm(self.convolution(x, edge_index))), None


class Molecules(nn.Module):
    """Batches of molecules, and a net that predicts one number per molecule."""

    def __init__(self, graphs: PackedGraphs, y: Tensor, layer: str, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.items = [
            Data(
                x=graph.ndata["types"],
                edge_index=torch.stack([graph.src, graph.dst]),
                edge_attr=graph.edata["types"],
                y=y[number : number + 1],
            )
            for number, graph in ((number, graphs[number]) for number in range(len(graphs)))
        ]
        self.atoms = nn.Embedding(int(graphs.ndata["types"].max()) + 1, hidden_size)
        gated = layer == "gatedgcn"
        self.bonds = nn.Embedding(int(graphs.edata["types"].max()) + 1, hidden_size) if gated else None
        kind = GatedGCN if gated else GIN
        self.layers = nn.ModuleList(kind(hidden_size, number == num_layers) for number in range(1, num_layers + 1))
        self.output = build_output("mlp", hidden_size, 1)

    def batch(self, index: Tensor) -> tuple[Batch, Tensor]:
        batch = Batch.from_data_list([self.items[number] for number in index.tolist()])
        return batch, batch.y

    def forward(self, batch: Batch) -> Tensor:
        """Return predictions [B]."""
        x, e = self.atoms(batch.x), None if self.bonds is None else self.bonds(batch.edge_attr)
        for layer in self.layers:
            x, e = layer(x, e, batch.edge_index)
        return self.output(global_mean_pool(x, batch.batch, len(batch.y))).squeeze(1)
