"""Build graphs and layers for the tests of graph nets."""

import pytest
import torch

from lightning_dl2.graphs import Graph, dgl_available
from lightning_dl2.nets import (
    GATConv,
    GatedGCNConv,
    GATv2Conv,
    GCNConv,
    GCNIIConv,
    GINConv,
    GINEConv,
    GraphNetwork,
    MLPConv,
    SAGEConv,
)

NEEDS_DGL = pytest.mark.skipif(not dgl_available(), reason="DGL cannot be imported")
ENGINES = ["torch", pytest.param("dgl", marks=NEEDS_DGL)]
IN, OUT, EDGE = 6, 4, 5  # in_feats, out_feats, edge_feats

C = 3  # num_outputs of the nets
INPUTS = {"in_feats": IN, "node_types": 0, "edge_feats": 0, "edge_types": 3, "positional_size": 0, "positional": None}

LAYERS = {
    "mlp": lambda: MLPConv(IN, OUT),
    "gcn": lambda: GCNConv(IN, OUT),
    "gcn_wider": lambda: GCNConv(IN, 9),
    "sage_mean": lambda: SAGEConv(IN, OUT),
    "sage_wider": lambda: SAGEConv(IN, 9),
    "sage_sum": lambda: SAGEConv(IN, OUT, aggregator="sum"),
    "sage_pool": lambda: SAGEConv(IN, OUT, aggregator="pool"),
    "gat": lambda: GATConv(IN, OUT, 3),
    "gat_averaged": lambda: GATConv(IN, OUT, 3, concat=False),
    "gatv2": lambda: GATv2Conv(IN, OUT, 3),
    "gatv2_averaged_shared": lambda: GATv2Conv(IN, OUT, 3, concat=False, share_weights=True),
    "gin": lambda: GINConv(IN, OUT, hidden_sizes=(7, 8), eps=0.3),
    "gine": lambda: GINEConv(IN, OUT, edge_feats=EDGE, norm="layer"),
    "gatedgcn": lambda: GatedGCNConv(IN, EDGE, OUT),
    "gcnii": lambda: GCNIIConv(IN, 2, bias=True),
}


def build_layer(name: str, dtype=torch.float64):
    """Build a layer with random parameters, so that none is zero by its initialisation."""
    torch.manual_seed(1)
    layer = LAYERS[name]().to(dtype)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer


def apply(layer, graph: Graph, x, e=None):
    """Return the layer's output [N, OUT]; a gated layer adds the sum of its edge states, to compare them too."""
    if isinstance(layer, GatedGCNConv):
        x, e = layer(graph, x, e)
        return x + e.sum()
    return layer(graph, x, x) if isinstance(layer, GCNIIConv) else layer(graph, x, e)


def random_edges(num_nodes: int, num_edges: int, symmetric: bool = False):
    """Return (src, dst) in random order, without parallel edges and self-loops."""
    keys = torch.randperm(num_nodes * num_nodes)
    src, dst = keys // num_nodes, keys % num_nodes
    keep = src < dst if symmetric else src != dst
    src, dst = src[keep][:num_edges], dst[keep][:num_edges]
    return (torch.cat([src, dst]), torch.cat([dst, src])) if symmetric else (src, dst)


def random_graph(
    num_nodes=20, num_edges=50, *, symmetric=False, dtype=torch.float32, engine="torch", isolated=2, sizes=None, seed=0
) -> Graph:
    """Return a graph with features, types and positions on nodes and edges; the last `isolated` nodes have no edge."""
    torch.manual_seed(seed)
    src, dst = random_edges(num_nodes - isolated, num_edges, symmetric)
    ndata = {
        "features": torch.randn(num_nodes, IN, dtype=dtype),
        "types": torch.randint(5, (num_nodes,)),
        "positional": torch.randn(num_nodes, 3, dtype=dtype),
    }
    edata = {"features": torch.randn(len(src), EDGE, dtype=dtype), "types": torch.randint(3, (len(src),))}
    return Graph(src, dst, num_nodes, ndata=ndata, edata=edata, engine=engine, batch_num_nodes=sizes)


def build(layer="gcn", level="node", **options) -> GraphNetwork:
    """Build a net, by default with the arguments that `gcnii` and graph level need."""
    torch.manual_seed(0)
    options = {"input_layer": True, "output_layer": "linear", "hidden_size": 8, **INPUTS, **options}
    return GraphNetwork(num_outputs=C, level=level, layer=layer, **options)


def num_parameters(net) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def papers(layer, **options) -> GraphNetwork:
    return build(layer, **{"input_layer": False, "output_layer": "none", **options})


def batch_of_graphs(dtype=torch.float32, engine="torch", sizes=(6, 1, 0, 5)) -> Graph:
    """Return a batch of graphs with 6, 1, 0 and 5 nodes."""
    graph = random_graph(12, 40, isolated=0, dtype=dtype, engine=engine)
    sizes = torch.tensor(sizes)
    number = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    inside = number[graph.src] == number[graph.dst]
    edata = {name: x[inside] for name, x in graph.edata.items()}
    src, dst = graph.src[inside], graph.dst[inside]
    return Graph(src, dst, 12, ndata=graph.ndata, edata=edata, batch_num_nodes=sizes, engine=engine)
