"""Test weights of edges: against dense matrices, against DGL, in chunks, and where no layer reads them."""

import pytest
import torch

from lightning_dl2 import NodeDataModule, UserError
from lightning_dl2.graphs import Graph, NeighborBlocks, load_dgl
from lightning_dl2.nets import GraphNetwork
from lightning_dl2.nets.graph.attention import GATConv
from lightning_dl2.nets.graph.convolutions import EDGE_WEIGHT, GCNConv, GINConv, SAGEConv, prepare_weights
from tests.graphs.examples import needs_dgl
from tests.small import small_graph_net

WEIGHTED = ("gcn", "gcnii", "sage", "gat", "gatv2", "gin")
SIZES = {"node_types": 0, "edge_feats": 0, "edge_types": 0, "positional_size": 0, "positional": None, "num_outputs": 3}


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


def weighted_graph(num_nodes: int = 8, num_edges: int = 30) -> Graph:
    """Return a directed graph with weights, one of them 0, and a self-loop of node 2 with the weight 3."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randperm(num_nodes**2, generator=generator)[:num_edges]
    src, dst = pairs // num_nodes, pairs % num_nodes
    others = src != dst
    src, dst = torch.cat([src[others], torch.tensor([2])]), torch.cat([dst[others], torch.tensor([2])])
    weights = torch.rand(len(src), generator=generator) + 0.5
    weights[0], weights[-1] = 0, 3
    x = torch.randn(num_nodes, 5, generator=generator)
    return Graph(src, dst, num_nodes, ndata={"features": x}, edata={EDGE_WEIGHT: weights})


def network(layer: str, **options) -> GraphNetwork:
    torch.manual_seed(0)
    more = {"input_layer": True, "output_layer": "linear"} if layer == "gcnii" else {}
    net = GraphNetwork(in_feats=5, level="node", layer=layer, hidden_size=4, **SIZES, **more, **options)
    return net.eval()


def dense(graph: Graph, values: torch.Tensor) -> torch.Tensor:
    return torch.zeros(graph.num_nodes, graph.num_nodes).index_put((graph.dst, graph.src), values, accumulate=True)


def test_gcn_normalises_by_the_sums_of_weights():
    """D^-1/2 A D^-1/2 of the weighted adjacency; a self-loop keeps its weight, another has the weight 1."""
    given = weighted_graph()
    graph = prepare_weights(given.with_self_loops(), given, normalize=True)
    matrix = dense(given, given.edata[EDGE_WEIGHT])
    matrix += torch.diag((matrix.diagonal() == 0).float())
    assert matrix[2, 2] == 3
    matrix = matrix / (matrix.sum(1, keepdim=True) * matrix.sum(0)).sqrt()
    layer, x = GCNConv(5, 3), given.ndata["features"]
    assert close(layer(graph, x), matrix @ x @ layer.fc.weight.T + layer.bias)


def test_the_others_multiply_messages():
    graph = weighted_graph()
    x, matrix = graph.ndata["features"], dense(graph, graph.edata[EDGE_WEIGHT])
    sage, gin = SAGEConv(5, 3), GINConv(5, 3, norm="none")
    count = graph.in_degrees.clamp(min=1)[:, None]
    assert close(sage(graph, x), sage.fc_self(x) + sage.fc_neigh(matrix @ x / count))
    assert close(gin(graph, x), gin.mlp(x + matrix @ x))


@needs_dgl
def test_weights_are_those_of_dgl():
    dgl = load_dgl()
    graph = weighted_graph()
    handle, x, weights = graph.to_dgl(), graph.ndata["features"], graph.edata[EDGE_WEIGHT]
    ours, theirs = SAGEConv(5, 3), dgl.nn.SAGEConv(5, 3, "mean")
    theirs.fc_self.weight.data, theirs.fc_neigh.weight.data = ours.fc_self.weight.data, ours.fc_neigh.weight.data
    theirs.fc_self.bias.data = ours.fc_self.bias.data
    assert close(ours(graph, x), theirs(handle, x, edge_weight=weights))
    attention, other = GATConv(5, 3, 2), dgl.nn.GATConv(5, 3, 2, allow_zero_in_degree=True)
    other.fc.weight.data = attention.fc.weight.data
    other.attn_l.data, other.attn_r.data = attention.attn_l.data[None], attention.attn_r.data[None]
    assert close(attention(graph, x), other(handle, x, edge_weight=weights).flatten(1))
    above = graph.replace(edata={EDGE_WEIGHT: weights + 0.5})  # DGL refuses a weight of 0
    norm = dgl.nn.EdgeWeightNorm(norm="both")(handle, above.edata[EDGE_WEIGHT])
    assert close(prepare_weights(above, above, normalize=True).edata[EDGE_WEIGHT], norm)


@pytest.mark.parametrize("layer", WEIGHTED)
def test_weights_of_one_change_nothing_and_others_do(layer):
    graph, net = weighted_graph(), network(layer)
    ones = graph.replace(edata={EDGE_WEIGHT: torch.ones(graph.num_edges)})
    plain = net(graph.replace(edata={}))
    assert close(net(ones), plain) and not close(net(graph), plain)


@pytest.mark.parametrize("layer", WEIGHTED)
def test_weights_in_chunks_are_those_of_the_whole_graph(layer):
    graph, net = weighted_graph(), network(layer)
    with torch.no_grad():
        assert close(net.layerwise(graph, 3), net(graph))


@pytest.mark.slow
@pytest.mark.parametrize("by_weight", [False, True])
@pytest.mark.parametrize("loops", [False, True])
def test_normalised_weights_of_blocks_are_those_of_the_whole_graph_in_the_mean(loops, by_weight):
    graph, nodes, left = weighted_graph(12, 60), torch.arange(12), torch.tensor([1, 5, 20])
    weights = graph.edata[EDGE_WEIGHT]
    options = {"weights": weights, "estimates": EDGE_WEIGHT} if by_weight else {}
    net = network("gcn", num_layers=1, self_loops=loops)
    with torch.no_grad():
        exact = net(graph)
        every = NeighborBlocks(graph, [60], totals=EDGE_WEIGHT, **options)
        assert close(net(every.sample(nodes, 0)), exact)
        for gone in (left, torch.cat([left, (graph.src == graph.dst).nonzero()[-1:, 0]])):  # also the self-loop of 3
            kept = torch.ones(graph.num_edges, dtype=torch.bool).index_fill(0, gone, False)
            edata = {EDGE_WEIGHT: weights[kept]}
            rest = Graph(graph.src[kept], graph.dst[kept], 12, ndata=graph.ndata, edata=edata)
            assert close(net(every.sample(nodes, 0, leave_out=gone)), net(rest))
        few = NeighborBlocks(graph, [2], totals=EDGE_WEIGHT, **options)
        found = torch.stack([net(few.sample(nodes, seed)) for seed in range(120)])
    assert bool(((found.mean(0) - exact).abs() <= 5 * found.std(0) / 120**0.5 + 1e-5).all())
    assert bool((found.std(0) > 0.01).any())


def test_a_layer_that_reads_no_weights_refuses_them():
    graph = weighted_graph(12, 60)
    node = {"features": graph.ndata["features"], "label": torch.tensor([0, 1] * 6)}
    own = Graph(graph.src, graph.dst, 12, ndata=node, edata={"w": graph.edata[EDGE_WEIGHT]})
    options = {"train_per_class": 2, "validation_size": 2}
    data = NodeDataModule.from_graph(own, edge_weight="w", **options)
    assert torch.equal(data.graph.edata[EDGE_WEIGHT], graph.edata[EDGE_WEIGHT])
    small_graph_net(data, layer="gcn").check_data(data)
    for layer in ("gine", "gatedgcn", "mlp"):
        with pytest.raises(UserError, match=f"task.layer={layer}: reads no weights of edges; fix: use gcn, sage, gat"):
            small_graph_net(data, layer=layer).check_data(data)
    sampled = NodeDataModule.from_graph(own, edge_weight="w", fanouts=[3, 3], **options)
    small_graph_net(sampled, layer="sage").check_data(sampled)
    small_graph_net(sampled, layer="gcn").check_data(sampled)
    with pytest.raises(UserError, match="edge_weight=v: the graph has no such data of edges; allowed: w"):
        NodeDataModule.from_graph(own, edge_weight="v", **options)


def test_features_of_edges_that_no_layer_reads_are_told():
    graph = weighted_graph(12, 60)
    node = {"features": graph.ndata["features"], "label": torch.tensor([0, 1] * 6)}
    own = Graph(graph.src, graph.dst, 12, ndata=node, edata={"features": graph.edata[EDGE_WEIGHT]})
    told = {}
    for layer in ("gcn", "gine"):
        data = NodeDataModule.from_graph(own, train_per_class=2, validation_size=2)
        small_graph_net(data, layer=layer).check_data(data)
        told[layer] = "features of edges are not read by task.layer=gcn" in data.note
    assert told == {"gcn": True, "gine": False}
