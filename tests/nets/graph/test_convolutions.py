"""Test that each convolution equals DGL's layer of that name on both engines, and accepts odd graphs."""

import pytest
import torch
from torch import nn

from lightning_dl2.graphs import Graph, SparseMatrix, load_dgl
from lightning_dl2.nets import GATConv, GatedGCNConv, GATv2Conv, GCNConv, GCNIIConv, GINConv, SAGEConv
from lightning_dl2.nets.graph.convolutions import propagate
from tests.nets.graph.graph_cases import EDGE, ENGINES, IN, LAYERS, NEEDS_DGL, OUT, apply, build_layer, random_graph

TAKE_SPARSE = [name for name in LAYERS if name != "gcnii"]


def oracle(name: str, layer):
    """Return DGL's layer with our weights as a function of (dgl graph, x, e)."""
    dgl = load_dgl().nn
    mean = lambda output: output.mean(1)  # noqa: E731
    if name.startswith("gcn") and name != "gcnii":
        theirs = dgl.GraphConv(IN, layer.fc.out_features, allow_zero_in_degree=True).double()
        theirs.weight.data, theirs.bias.data = layer.fc.weight.data.t(), layer.bias.data
        return lambda g, x, e: theirs(g, x)
    if name.startswith("sage"):
        theirs = dgl.SAGEConv(IN, layer.fc_neigh.out_features, layer.aggregator).double()
        theirs.load_state_dict(layer.state_dict())
        return lambda g, x, e: theirs(g, x)
    if name.startswith("gat_") or name == "gat":
        theirs = dgl.GATConv(IN, OUT, 3, allow_zero_in_degree=True).double()
        theirs.fc.weight.data = layer.fc.weight.data
        theirs.attn_l.data, theirs.attn_r.data = layer.attn_l.data[None], layer.attn_r.data[None]
        theirs.bias.data = layer.bias.data if layer.concat else layer.bias.data.repeat(3)
        return lambda g, x, e: theirs(g, x).flatten(1) if layer.concat else mean(theirs(g, x))
    if name.startswith("gatv2"):
        shared = layer.fc_src is layer.fc_dst
        theirs = dgl.GATv2Conv(IN, OUT, 3, allow_zero_in_degree=True, share_weights=shared).double()
        theirs.load_state_dict({**layer.state_dict(), "attn": layer.attn[None]})
        return lambda g, x, e: theirs(g, x).flatten(1) if layer.concat else mean(theirs(g, x))
    if name == "gin":
        theirs = dgl.GINConv(layer.mlp, learn_eps=True).double()
        theirs.eps.data = layer.eps.data[None]
        return lambda g, x, e: theirs(g, x)
    if name == "gine":
        theirs = dgl.GINEConv(layer.mlp, learn_eps=True).double()
        theirs.eps.data = layer.eps.data[None]
        return lambda g, x, e: theirs(g, x, layer.fc_edge(e))
    if name == "gatedgcn":
        theirs = dgl.GatedGCNConv(IN, EDGE, OUT, batch_norm=False, residual=False, activation=None).double()
        theirs.load_state_dict(layer.state_dict(), strict=False)  # DGL's layer has norms too
        return lambda g, x, e: theirs(g, x, e)[0] + theirs(g, x, e)[1].sum()
    theirs = dgl.GCN2Conv(IN, 2, alpha=0.1, lambda_=0.5, allow_zero_in_degree=True).double()
    theirs.weight1.data, theirs.bias.data = layer.fc.weight.data.t(), layer.fc.bias.data
    return lambda g, x, e: theirs(g, x, x)


@NEEDS_DGL
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ("mlp", "sage_sum")])
def test_it_is_dgls_layer_in_value_and_gradient(name, engine):
    # DGL's GCN2Conv uses in-degrees on both sides, which equals ours for undirected edges
    graph = random_graph(symmetric=name == "gcnii", dtype=torch.float64, engine=engine)
    layer = build_layer(name).train()
    theirs = oracle(name, layer)
    results = []
    for function in (lambda x, e: apply(layer, graph, x, e), lambda x, e: theirs(graph.to_dgl(), x, e)):
        x, e = graph.ndata["features"].clone().requires_grad_(), graph.edata["features"].clone().requires_grad_()
        y = function(x, e)
        loss = (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum()
        gradients = torch.autograd.grad(loss, (x, e), allow_unused=True)
        results.append((y, *(gradient for gradient in gradients if gradient is not None)))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", LAYERS)
def test_the_engines_agree_in_the_gradients_of_the_weights(name):
    gradients = []
    for engine in ("torch", "dgl") if load_dgl() else ("torch", "torch"):
        graph = random_graph(dtype=torch.float64, engine=engine)
        layer = build_layer(name)
        apply(layer, graph, graph.ndata["features"], graph.edata["features"]).square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in layer.named_parameters()})
    assert all(gradient is not None for gradient in gradients[0].values())
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


def test_gcn_is_the_dense_formula():
    graph = random_graph(symmetric=True, dtype=torch.float64)
    layer = build_layer("gcn")
    adjacency = torch.eye(graph.num_nodes, dtype=torch.float64)
    adjacency[graph.dst, graph.src] += 1
    scale = adjacency.sum(1).rsqrt().diag()
    expected = scale @ adjacency @ scale @ graph.ndata["features"] @ layer.fc.weight.t() + layer.bias
    ours = layer(graph.with_self_loops(), graph.ndata["features"])
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [OUT, 9])
@pytest.mark.parametrize("aggregator", ["sum", "mean"])
def test_sage_is_the_dense_formula_where_it_narrows_and_where_it_widens(aggregator, size, engine):
    graph = random_graph(dtype=torch.float64, engine=engine)
    layer, x = SAGEConv(IN, size, aggregator=aggregator).double(), graph.ndata["features"]
    total = torch.zeros_like(x).index_add(0, graph.dst, x[graph.src])
    gathered = total if aggregator == "sum" else total / graph.in_degrees.clamp(min=1)[:, None]
    torch.testing.assert_close(layer(graph, x), layer.fc_self(x) + layer.fc_neigh(gathered))


def test_gat_without_preference_is_the_mean():
    graph = random_graph(dtype=torch.float64).with_self_loops()
    layer, x = build_layer("gat_averaged"), random_graph(dtype=torch.float64).ndata["features"]
    nn.init.zeros_(layer.attn_l)
    neighbours = graph.adjacency(torch.float64).to_dense()
    mean = neighbours @ x / neighbours.sum(1, keepdim=True)
    expected = layer.heads(mean @ layer.fc.weight.t()).mean(1) + layer.bias
    torch.testing.assert_close(layer(graph, x), expected)


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["gat", "gatv2"])
def test_only_gatv2_can_ask_for_another_neighbour_at_every_node(layer):
    """GATv2 learns the dictionary of Brody et al. 2022, n queries that each look up one of n keys; GAT cannot.

    GAT ranks the keys in the same order for all queries, so its loss stays near that of guessing.
    """
    torch.manual_seed(0)
    n, size = 6, 16
    query, key = torch.meshgrid(torch.arange(n), torch.arange(n, 2 * n), indexing="ij")
    graph = Graph(key.flatten(), query.flatten(), 2 * n)
    value = torch.randperm(n)
    eye = torch.eye(n)
    x = torch.cat([torch.cat([eye, 0 * eye], 1), torch.cat([eye, eye[value]], 1)])
    kind = {"gat": LAYERS["gat"]().__class__, "gatv2": GATv2Conv}[layer]
    net = nn.ModuleList([nn.Linear(2 * n, size), kind(size, size, 1), nn.Linear(size, n)])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(250):
        logits = net[2](net[1](graph, torch.relu(net[0](x))))[:n]
        loss = nn.functional.cross_entropy(logits, value)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    accuracy = (logits.argmax(1) == value).float().mean()
    assert accuracy == 1 if layer == "gatv2" else accuracy < 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LAYERS)
def test_bfloat16_autocast_stays_close(name, engine):
    graph = random_graph(engine=engine)
    layer = build_layer(name, torch.float32)
    results = []
    for enabled in (False, True):
        layer.zero_grad()
        x, e = graph.ndata["features"].clone().requires_grad_(), graph.edata["features"]
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = layer(graph, x, x) if name == "gcnii" else layer(graph, x, e)
            y = y[0] if isinstance(y, tuple) else y
        y.float().square().mean().backward()
        results.append([y.detach().float(), x.grad, *(parameter.grad for parameter in layer.parameters())])
    for exact, rounded in zip(*results, strict=True):
        assert rounded.isfinite().all()
        assert (rounded - exact).norm() <= 0.1 * exact.norm() + 1e-3


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("num_nodes, num_edges", [(1, 0), (5, 0), (0, 0), (1, 1)], ids=["one", "apart", "none", "loop"])
@pytest.mark.parametrize("name", LAYERS)
def test_odd_graphs(name, num_nodes, num_edges, engine):
    loops = torch.zeros(num_edges, dtype=torch.int64)
    graph = Graph(loops, loops, num_nodes, engine=engine)
    layer = build_layer(name, torch.float32).train()
    x, e = torch.randn(num_nodes, IN), torch.randn(num_edges, EDGE)
    y = apply(layer, graph, x, e)
    assert y.shape[0] == num_nodes and y.isfinite().all()
    y.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


@pytest.mark.parametrize("name", TAKE_SPARSE)
def test_sparse_features_are_dense_ones(name):
    graph = random_graph(dtype=torch.float64)
    x = graph.ndata["features"] * (torch.rand(graph.num_nodes, IN) < 0.3)
    # also a block with fewer destinations than sources
    block, source, edge = graph.in_block(3, 9)
    for graph_, rows, e in ((graph, x, graph.edata["features"]), (block, x[source], graph.edata["features"][edge])):
        results = []
        for features in (rows, SparseMatrix.from_dense(rows)):
            layer = build_layer(name)
            y = apply(layer, graph_, features, e)
            y.square().sum().backward()
            results.append([y, *(parameter.grad for parameter in layer.parameters())])
        torch.testing.assert_close(*results, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LAYERS)
def test_a_block_gives_the_rows_of_the_graph(name, engine):
    graph = random_graph(dtype=torch.float64, engine=engine)
    layer = build_layer(name).eval()
    x, e = graph.ndata["features"], graph.edata["features"]
    block, source, edge = graph.in_block(4, 11)
    whole, part = (
        layer(*arguments) if name != "gcnii" else layer(*arguments[:2], arguments[1])
        for arguments in ((graph, x, e), (block, x[source], e[edge]))
    )
    if name == "gatedgcn":
        torch.testing.assert_close(part[1], whole[1][edge])
        whole, part = whole[0], part[0]
    torch.testing.assert_close(part, whole[4:11])


def test_gcn_multiplies_the_narrower_side_but_means_the_same():
    graph, narrow, wide = random_graph(dtype=torch.float64), build_layer("gcn"), build_layer("gcn_wider")
    x = graph.ndata["features"]
    for layer in (narrow, wide):
        torch.testing.assert_close(layer(graph, x), propagate(graph, x) @ layer.fc.weight.t() + layer.bias)


def test_gine_without_edge_features_is_gin():
    graph, gine = random_graph(dtype=torch.float64), build_layer("gine")
    gin = GINConv(IN, OUT, norm="layer").double()
    gin.load_state_dict(gine.state_dict(), strict=False)
    torch.testing.assert_close(gine(graph, graph.ndata["features"]), gin(graph, graph.ndata["features"]))


def test_gcnii_nears_the_identity_with_depth():
    first, deep = GCNIIConv(IN, 1, lambda_=1.0), GCNIIConv(IN, 100, lambda_=1.0)
    assert first.beta == pytest.approx(0.6931, abs=1e-4) and deep.beta == pytest.approx(0.00995, abs=1e-5)
    assert [name for name, _ in first.named_parameters()] == ["fc.weight"]


def test_gated_messages_are_a_weighted_mean():
    """With equal gates, h' = A h + mean of B h."""
    graph, layer = random_graph(dtype=torch.float64), GatedGCNConv(IN, EDGE, OUT).double()
    for gate in (layer.C, layer.D, layer.E):
        nn.init.zeros_(gate.weight)
    x = graph.ndata["features"]
    mean = SAGEConv(IN, OUT, bias=False).double()
    mean.fc_self.weight.data, mean.fc_neigh.weight.data = layer.A.weight.data, layer.B.weight.data
    expected = mean(graph, x) + layer.A.bias + layer.B.bias * (graph.in_degrees > 0)[:, None]
    torch.testing.assert_close(layer(graph, x, graph.edata["features"])[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_attention_dropout_is_of_the_weights_in_training_alone(p):
    graph, x = random_graph().with_self_loops(), random_graph().ndata["features"]
    for kind in (LAYERS["gat"]().__class__, GATv2Conv):
        layer = kind(IN, OUT, 2, attn_drop=p)
        assert torch.equal(layer(graph, x), layer(graph, x)) == (p == 0)
        layer.eval()
        assert torch.equal(layer(graph, x), layer(graph, x))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="aggregator is 'lstm'; it must be one of mean, sum, pool"):
        SAGEConv(IN, OUT, aggregator="lstm")
    with pytest.raises(ValueError, match="num_heads is 0"):
        GATv2Conv(IN, OUT, 0)
    with pytest.raises(ValueError, match="norm is 'group'"):
        GINConv(IN, OUT, norm="group")
    for options in ({"alpha": 1.5}, {"lambda_": -1.0}, {"layer": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            GCNIIConv(IN, **{"layer": 1, **options})
    assert GCNConv(IN, OUT, bias=False).bias is None


@pytest.mark.parametrize("kind", [GATConv, GATv2Conv])
def test_features_are_dropped_before_attention_in_training_alone(kind):
    graph, x = random_graph().with_self_loops(), random_graph().ndata["features"]
    layer = kind(IN, OUT, 2, feat_drop=0.5)
    assert not torch.equal(layer(graph, x), layer(graph, x))
    layer.eval()
    assert torch.equal(layer(graph, x), layer(graph, x))


@NEEDS_DGL
@pytest.mark.parametrize("slope", [0.05, 0.7])
def test_the_slope_of_attention_is_dgls(slope):
    dgl, graph = load_dgl().nn, random_graph(dtype=torch.float64)
    x = graph.ndata["features"]
    gat = GATConv(IN, OUT, 3, negative_slope=slope).double()
    theirs = dgl.GATConv(IN, OUT, 3, negative_slope=slope, allow_zero_in_degree=True).double()
    theirs.fc.weight.data, theirs.bias.data = gat.fc.weight.data, gat.bias.data
    theirs.attn_l.data, theirs.attn_r.data = gat.attn_l.data[None], gat.attn_r.data[None]
    torch.testing.assert_close(gat(graph, x), theirs(graph.to_dgl(), x).flatten(1), rtol=1e-10, atol=1e-10)
    gatv2 = GATv2Conv(IN, OUT, 3, negative_slope=slope).double()
    theirs = dgl.GATv2Conv(IN, OUT, 3, negative_slope=slope, allow_zero_in_degree=True).double()
    theirs.load_state_dict({**gatv2.state_dict(), "attn": gatv2.attn[None]})
    torch.testing.assert_close(gatv2(graph, x), theirs(graph.to_dgl(), x).flatten(1), rtol=1e-10, atol=1e-10)


def test_gins_epsilon_is_what_was_asked_for():
    graph = random_graph()
    x = graph.ndata["features"]
    for learnt in (True, False):
        layer = GINConv(IN, OUT, norm="none", eps=0.3, learn_eps=learnt)
        assert layer.eps.item() == pytest.approx(0.3) and ("eps" in dict(layer.named_parameters())) == learnt
        torch.testing.assert_close(layer(graph, x), layer.mlp(1.3 * x + layer.aggregate(graph, x, None)))
