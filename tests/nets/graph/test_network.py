"""Test the whole net: symmetries, the papers' sizes, odd graphs, and learning."""

import math

import pytest
import torch
from torch.nn import functional as F

from lightning_dl2.graphs import Graph, load_dgl
from lightning_dl2.nets import LAYERS, GatedGCNConv, GCNConv, GraphLayer, GraphNetwork
from tests.nets.graph.graph_cases import (
    EDGE,
    ENGINES,
    IN,
    INPUTS,
    NEEDS_DGL,
    C,
    batch_of_graphs,
    build,
    num_parameters,
    papers,
    random_graph,
)


def permuted(graph: Graph, order: torch.Tensor) -> Graph:
    """Return `graph` with shuffled edges, in which node order[i] is node i."""
    place, edges = torch.argsort(order), torch.randperm(graph.num_edges)
    return Graph(
        place[graph.src[edges]],
        place[graph.dst[edges]],
        graph.num_nodes,
        ndata={name: x[order] for name, x in graph.ndata.items()},
        edata={name: x[edges] for name, x in graph.edata.items()},
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_another_numbering_of_the_nodes_changes_nothing(layer):
    graph = random_graph(dtype=torch.float64)
    order = torch.randperm(graph.num_nodes)
    net = build(layer, norm="batch", residual=True).double()
    torch.testing.assert_close(net(permuted(graph, order)), net(graph)[order])
    for readout in ("sum", "mean", "max", "attention"):
        net = build(layer, "graph", readout=readout).double()
        torch.testing.assert_close(net(permuted(graph, order)), net(graph))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_batch_of_graphs_is_the_graphs_one_by_one(layer):
    batch = batch_of_graphs(torch.float64)
    net = build(layer, "graph", output_layer="mlp", readout="sum", node_types=5).double().eval()
    ends = batch.batch_num_nodes.cumsum(0).tolist()
    for index, (size, end) in enumerate(zip(batch.batch_num_nodes.tolist(), ends, strict=True)):
        start = end - size
        inside = (batch.src >= start) & (batch.src < end)
        ndata = {name: x[start:end] for name, x in batch.ndata.items()}
        edata = {name: x[inside] for name, x in batch.edata.items()}
        one = Graph(batch.src[inside] - start, batch.dst[inside] - start, size, ndata=ndata, edata=edata)
        torch.testing.assert_close(net(one), net(batch)[index : index + 1])


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("level", ["node", "graph"])
def test_the_engines_agree(level, layer):
    graph = batch_of_graphs(torch.float64)
    results = []
    for engine in ("torch", "dgl" if load_dgl() else "auto"):
        net = build(layer, level, engine=engine, norm="batch", heads=2, jumping_knowledge="cat").double()
        logits = net(graph)
        logits.square().sum().backward()
        results.append([logits, *(parameter.grad for parameter in net.parameters())])
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("layer", LAYERS)
def test_every_parameter_gets_a_gradient(layer, norm):
    """Every parameter gets a gradient, without which DDP would stop."""
    everything = {"node_types": 5, "edge_feats": EDGE, "positional_size": 3, "positional": "laplacian"}
    pooled = {"jumping_knowledge": "max", "output_layer": "mlp", "feed_forward": True, "virtual_node": True}
    for options in ({}, everything, {"edge_features": False}, pooled):
        for level in ("node", "graph"):
            net = build(layer, level, norm=norm, readout="attention", num_layers=3, residual=True, **options)
            net(batch_of_graphs()).square().sum().backward()
            assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []
    if layer != "gcnii":
        net = papers(layer, norm=norm, heads=2, output_heads=3)
        net(random_graph()).square().sum().backward()
        assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layer", LAYERS)
def test_bfloat16_autocast(layer, engine):
    for level, graph in (("node", random_graph()), ("graph", batch_of_graphs())):
        net = build(layer, level, engine=engine, norm="layer", readout="attention", jumping_knowledge="sum")
        exact = net(graph)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(graph)
        logits.float().square().sum().backward()
        assert (logits - exact).norm() < 0.05 * exact.norm()
        assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("layer", LAYERS)
def test_odd_graphs_in_training(layer, norm):
    none = torch.zeros(0, dtype=torch.int64)
    for num_nodes in (1, 4):
        ndata, edata = {"features": torch.randn(num_nodes, IN)}, {"types": none}
        graph = Graph(none, none, num_nodes, ndata=ndata, edata=edata)
        for level in ("node", "graph"):
            net = build(layer, level, norm=norm, num_layers=3)
            logits = net(graph)
            assert logits.shape == (num_nodes if level == "node" else 1, C)
            logits.sum().backward()
            assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_batch_norm_of_one_row_leaves_the_statistics_alone():
    graph = Graph(torch.tensor([0]), torch.tensor([0]), 1, ndata={"features": torch.randn(1, IN)})
    net = build("gcn", norm="batch", edge_types=0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    trained = net(graph)
    torch.testing.assert_close(net.state_dict(), before)
    torch.testing.assert_close(net.eval()(graph), trained)


@NEEDS_DGL
def test_a_gated_layer_is_dgls_with_all_that_follows():
    graph = random_graph(dtype=torch.float64)
    torch.manual_seed(0)
    layer = GraphLayer(
        GatedGCNConv(8, 8, 8), 8, 8, norm="batch", activation="relu", residual=True, edge_feats=8
    ).double()
    theirs = load_dgl().nn.GatedGCNConv(8, 8, 8).double()
    theirs.load_state_dict(layer.convolution.state_dict(), strict=False)
    x, e = torch.randn(20, 8, dtype=torch.float64), torch.randn(graph.num_edges, 8, dtype=torch.float64)
    y, raw = layer(graph, x, e, None)
    torch.testing.assert_close((y, layer.edges(raw, e)), theirs(graph.to_dgl(), x, e), rtol=1e-10, atol=1e-10)


def test_a_feed_forward_block_is_its_formula():
    """GINE+ and GatedGCN+ end each layer with norm(z + W2 relu(W1 z)), z = norm(conv + residual)."""
    graph, x = random_graph(dtype=torch.float64), torch.randn(20, 8, dtype=torch.float64)
    torch.manual_seed(0)
    options = {"norm": "layer", "activation": "relu", "residual": True}
    layer = GraphLayer(GCNConv(8, 8), 8, 8, feed_forward=True, **options).double()
    plain = GraphLayer(layer.convolution, 8, 8, **options).double()
    block = layer.feed_forward
    z = F.layer_norm(plain(graph, x, None, None)[0], [8])
    wide = (z @ block.widen.weight.T + block.widen.bias).clamp(min=0)
    expected = F.layer_norm(z + wide @ block.narrow.weight.T + block.narrow.bias, [8])
    torch.testing.assert_close(layer(graph, x, None, None)[0], expected)
    assert num_parameters(layer) - num_parameters(plain) == 4 * 8 * 8 + 3 * 8 + 2 * 2 * 8


def test_a_virtual_node_is_ogbs():
    """The net with a virtual node is the loop of OGB's baseline over the same parts, in one batch of graphs."""
    batch = batch_of_graphs(torch.float64)
    net = build("gin", "graph", virtual_node=True, num_layers=3, residual=True, norm="batch", readout="mean").double()
    net.virtual_node.first.data.normal_()
    owner, inputs = batch.graph_of_node, net.inputs(batch.ndata, batch)
    member = F.one_hot(owner).double()  # [N, B]
    h, v = inputs, net.virtual_node.first.expand(batch.batch_size, -1)
    for number, layer in enumerate(net.layers):
        h = h + member @ v
        before, h = h, layer(batch, h, None, None)[0]
        if number < 2:
            v = v + net.virtual_node.updates[number](member.T @ before + v)
    counts = member.sum(0)[:, None].clamp(min=1)
    torch.testing.assert_close(net(batch), net.output(member.T @ h / counts))
    for options in ({"output_layer": "none"}, {"input_layer": False}):
        with pytest.raises(ValueError, match="virtual_node=True needs input_layer=True and output_layer"):
            build("gcn", virtual_node=True, **options)


def test_what_a_virtual_node_reaches():
    """A node's answer depends on all nodes of its own graph after two layers, and on no other graph."""
    batch = batch_of_graphs(torch.float64)
    net = build("mlp", virtual_node=True, num_layers=2).double().eval()
    x = batch.ndata["features"].clone().requires_grad_()
    first = batch.replace(ndata=batch.ndata | {"features": x})
    net(first)[0].sum().backward()
    assert torch.equal(x.grad.abs().sum(1) > 0, batch.graph_of_node == 0)
    with pytest.raises(ValueError, match="virtual_node=True reads the whole graph"):
        net.layerwise(batch, 4)


def test_sizes_of_the_papers():
    """Nets have the papers' parameter counts: GCN and GAT on Cora, and ZINC in Dwivedi et al. 2020, budget 100k."""
    cora = {**INPUTS, "in_feats": 1433, "edge_types": 0, "num_outputs": 7, "level": "node"}
    assert num_parameters(GraphNetwork(**cora, hidden_size=16)) == 1433 * 16 + 16 + 16 * 7 + 7 == 23063
    gat = GraphNetwork(**cora, layer="gat", hidden_size=8, heads=8)
    assert num_parameters(gat) == (1433 * 64 + 3 * 64) + (64 * 7 + 3 * 7) == 92373

    zinc = {**INPUTS, "in_feats": 0, "node_types": 28, "edge_types": 4, "num_outputs": 1, "level": "graph"}
    zinc |= {"num_layers": 4, "output_layer": "mlp", "norm": "batch", "residual": True}
    assert num_parameters(GraphNetwork(**zinc, layer="gcn", hidden_size=145)) == 103077  # as in the paper
    gated = GraphNetwork(**zinc, layer="gatedgcn", hidden_size=70)
    # the paper's 105875 without the norm of the last layer's edge states, which nothing reads
    assert num_parameters(gated) == 105875 - 140 == 105735
    bare = GraphNetwork(**zinc, layer="gatedgcn", hidden_size=70, edge_features=False)
    # the paper's 105735 without that norm, and without the weight of a linear layer on a constant
    assert num_parameters(bare) == 105735 - 140 - 70


def test_a_linear_residual_comes_before_the_norm_whatever_the_sizes():
    graph = random_graph(dtype=torch.float64)
    features = {"input_layer": False, "node_types": 0, "positional_size": 0, "positional": None, "num_layers": 2}
    net = build("gcn", residual="linear", norm="layer", **features).double()
    looped, x = graph.with_self_loops(), graph.ndata["features"]
    for layer in net.layers:
        whole = layer.convolution(looped, x) + x @ layer.skip.weight.t() + layer.skip.bias
        x = F.relu(F.layer_norm(whole, (8,), layer.norm.weight, layer.norm.bias))
    torch.testing.assert_close(net(graph), net.output(x))
    assert [layer.skip.in_features for layer in net.layers] == [IN, 8]
    logits = papers("gcn", residual="linear", norm="layer", num_layers=2)
    assert logits.layers[-1].skip is None, "nothing follows a convolution that gives the logits"


def test_heads():
    graph = random_graph()
    net = papers("gat", hidden_size=8, heads=4, output_heads=2)
    assert [layer.convolution.num_heads for layer in net.layers] == [4, 2]
    assert net.layers[0](graph, graph.ndata["features"], None, None)[0].shape == (20, 32)
    shared = build("gatv2", heads=4)
    assert shared.layers[0].convolution.out_feats == 2 and shared(graph).shape == (20, C)


def test_self_loops():
    graph = random_graph(isolated=3)
    for layer in LAYERS:
        assert build(layer).self_loops == (layer in ("gcn", "gat", "gatv2", "gcnii"))
    with_loops, without = (papers("gcn", self_loops=loops)(graph) for loops in (True, False))
    assert not torch.allclose(with_loops, without)
    assert torch.equal(without[-3:], without[-1].expand(3, -1))  # only the bias reaches them
    assert torch.equal(papers("gcn")(graph), with_loops)


def test_jumping_knowledge_reads_all_layers():
    graph = random_graph()
    for kind, width in (("none", 8), ("cat", 24), ("max", 8), ("sum", 8)):
        net = build("sage", num_layers=3, jumping_knowledge=kind)
        assert net.output.in_features == width
        outputs, x = [], net.inputs(graph.ndata)
        for layer in net.layers:
            x, _ = layer(graph, x, None, None)
            outputs.append(x)
        joined = {"none": x, "cat": torch.cat(outputs, 1), "max": torch.stack(outputs).amax(0), "sum": sum(outputs)}[
            kind
        ]
        torch.testing.assert_close(net(graph), net.output(joined))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layer", LAYERS)
def test_what_was_cached_in_inference_mode_serves_training(layer, engine):
    """A graph cached in inference mode, as by Lightning's sanity check, can train."""
    for level in ("node", "graph"):
        graph, net = batch_of_graphs(), build(layer, level, engine=engine, readout="attention", self_loops=True)
        with torch.inference_mode():
            net(graph)
        net(graph).sum().backward()


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_it_learns_a_batch_by_heart(layer):
    torch.manual_seed(0)
    graph = random_graph(24, 40)
    labels = torch.randint(C, (24,))
    net = build(layer, hidden_size=32, self_loops=True if layer != "gatedgcn" else None, residual=True, norm="batch")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(80):
        loss = F.cross_entropy(net(graph), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


@pytest.mark.slow
def test_it_learns_graphs_by_heart():
    batch, targets = batch_of_graphs(), torch.tensor([0.3, -1.0, 0.0, 2.0])
    net = build("gatedgcn", "graph", output_layer="mlp", hidden_size=16, norm="batch", residual=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(100):
        loss = F.l1_loss(net(batch)[:, 0], targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.15


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layer": "pna"}, "layer is 'pna'; it must be one of gcn, sage"),
        ({"level": "edge"}, "level is 'edge'; it must be one of node, graph"),
        ({"activation": "tanh"}, "activation is 'tanh'; it must be one of relu, elu"),
        ({"norm": "group"}, "norm is 'group'; it must be one of none, batch, layer"),
        ({"jumping_knowledge": "lstm"}, "jumping_knowledge is 'lstm'; it must be one of none, cat, max, sum"),
        ({"output_layer": "deep"}, "output_layer is 'deep'; it must be one of none, linear, mlp"),
        ({"readout": "median"}, "readout is 'median'; it must be one of sum, mean, max, attention"),
        ({"residual": "conv"}, "residual is 'conv'; it must be one of linear"),
        ({"engine": "jax"}, "engine is 'jax'; it must be one of auto, dgl, torch"),
        ({"hidden_size": 0}, "hidden_size is 0; it must be >= 1"),
        ({"num_layers": 0}, "num_layers is 0; it must be >= 1"),
        ({"heads": 0}, "heads is 0; it must be >= 1"),
        ({"dropout": 1.0}, r"dropout is 1.0; it must be in \[0, 1\)"),
        ({"attention_dropout": -0.1}, r"attention_dropout is -0.1; it must be in \[0, 1\)"),
        ({"level": "graph", "output_layer": "none"}, "level='graph' needs linear or mlp"),
        ({"jumping_knowledge": "cat", "output_layer": "none"}, "jumping_knowledge='cat' needs linear or mlp"),
        ({"layer": "gcnii", "input_layer": False}, "gcnii' needs input_layer=True"),
        ({"layer": "gcnii", "output_layer": "none"}, "gcnii' needs input_layer=True and output_layer linear or mlp"),
        ({"layer": "gat", "heads": 3}, "heads is 3; it must divide the 8 features"),
        (
            {"positional": "fourier", "positional_size": 2},
            "positional is 'fourier'; it must be None or one of laplacian",
        ),
        ({"positional": "laplacian"}, "positional is 'laplacian' but positional_size is 0"),
        ({"positional_size": 4}, "positional is None but positional_size is 4"),
        ({"in_feats": 0}, "the nodes need some input"),
        ({"hidden_size": 3, "output_layer": "mlp"}, "hidden_size is 3"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_gcnii_knows_the_depth_of_each_layer():
    net = build("gcnii", num_layers=3, alpha=0.3, lambda_=1.0)
    assert [layer.convolution.alpha for layer in net.layers] == [0.3] * 3
    assert [layer.convolution.beta for layer in net.layers] == [pytest.approx(math.log(1 / k + 1)) for k in (1, 2, 3)]


@pytest.mark.parametrize("layer", ["gat", "gatv2"])
def test_attention_is_dropped_as_asked_for(layer):
    graph, net = random_graph(), build(layer, attention_dropout=0.5)
    assert [layer.convolution.attn_drop for layer in net.layers] == [0.5] * len(net.layers)
    assert not torch.equal(net(graph), net(graph))
    net.eval()
    assert torch.equal(net(graph), net(graph))
