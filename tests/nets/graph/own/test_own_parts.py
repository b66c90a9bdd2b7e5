"""Test the parts of a graph network that a user names by their dotted paths, also those of DGL and PyG."""

import importlib.util

import pytest
import torch

from lightning_dl2 import UserError
from lightning_dl2.graphs import SparseMatrix
from tests.nets.graph.graph_cases import NEEDS_DGL, batch_of_graphs, build, papers, random_graph

OWN = "tests.own_graph_parts."
NEEDS_PYG = pytest.mark.skipif(
    importlib.util.find_spec("torch_geometric") is None, reason="torch_geometric is not installed"
)
LIBRARIES = [
    *(pytest.param(f"dgl.nn.{name}", marks=NEEDS_DGL) for name in ("GraphConv", "GATConv", "EdgeGATConv")),
    *(pytest.param(f"torch_geometric.nn.{name}", marks=NEEDS_PYG) for name in ("GCNConv", "GATv2Conv", "SAGEConv")),
    pytest.param(OWN + "sage_of_dgl", marks=NEEDS_DGL),
]
INEXACT = ("dgl.nn.GraphConv", "torch_geometric.nn.GCNConv")  # they divide by degrees, which a block has others of


def test_the_packages_own_layer_under_another_name_gives_the_same_bits():
    graph, built_in, own = random_graph(), papers("gcn"), papers(OWN + "Copied")
    assert torch.equal(built_in(graph), own(graph)) and built_in.state_dict().keys() == own.state_dict().keys()


@pytest.mark.parametrize("name", ["Mean", "Attentive", "factory"])
def test_an_own_layer_in_a_whole_graph_and_in_chunks(name):
    net = build(OWN + name, heads=2).eval()
    graph = random_graph()
    torch.testing.assert_close(net.layerwise(graph, 7), net(graph))
    assert net.block_problem(exact=True) is None
    edges = graph.replace(edata={name: 0 * x for name, x in graph.edata.items()})
    assert torch.equal(net(edges), net(graph)) == (name != "Attentive")  # it takes edge_feats, and so reads edges


def test_heads_are_averaged_where_the_last_layer_gives_the_logits():
    net = papers(OWN + "Attentive", heads=2, output_heads=3)
    assert [layer.convolution.heads for layer in net.layers] == [2, 3] and net(random_graph()).shape == (20, 3)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_layer_of_a_library(name):
    net, graph = build(name, heads=2).eval(), random_graph()  # two nodes have no edge
    assert net(graph).shape == (20, 3) and net(graph).isfinite().all()
    assert net.block_problem(exact=False) is None
    assert (net.block_problem(exact=True) is None) == (name not in INEXACT)
    if name not in INEXACT:
        torch.testing.assert_close(net.layerwise(graph, 7), net(graph))


@NEEDS_DGL
def test_a_layer_of_dgl_equals_this_packages():
    graph = random_graph(symmetric=True)
    ours, theirs = build("gcn", self_loops=False), build("dgl.nn.GraphConv")
    for layer, other in zip(ours.layers, theirs.layers, strict=True):
        other.convolution.layer.weight.data.copy_(layer.convolution.fc.weight.data.t())
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if not k.startswith("layers")}, strict=False)
    torch.testing.assert_close(theirs(graph), ours(graph))


@NEEDS_PYG
def test_a_layer_of_pyg_equals_this_packages():
    graph = random_graph(symmetric=True)
    ours, theirs = build("gcn"), build("torch_geometric.nn.GCNConv")
    for layer, other in zip(ours.layers, theirs.layers, strict=True):
        other.convolution.layer.lin.weight.data.copy_(layer.convolution.fc.weight.data)
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if not k.startswith("layers")}, strict=False)
    torch.testing.assert_close(theirs(graph), ours(graph))


def test_sparse_features_become_dense_for_a_layer_that_does_not_take_them():
    graph = random_graph()
    rows, columns = graph.ndata["features"].nonzero().T
    values = graph.ndata["features"][rows, columns]
    sparse = SparseMatrix.from_coo(rows, columns, values, tuple(graph.ndata["features"].shape))
    net = papers(OWN + "Mean").eval()
    wanted = net(graph)
    torch.testing.assert_close(net(graph.replace(ndata={"features": sparse})), wanted)
    torch.testing.assert_close(net.layerwise(graph.replace(ndata={"features": sparse}), 7), wanted)


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"readout": OWN + "MeanAndMax"}, 8 * 3),
        ({"norm": "torch.nn.LayerNorm"}, 0),
        ({"activation": "torch.nn.PReLU"}, 2),
        ({"activation": "torch.nn.functional.gelu"}, 0),
        pytest.param({"readout": "dgl.nn.SumPooling"}, 0, marks=NEEDS_DGL),
        pytest.param({"readout": "torch_geometric.nn.SumAggregation"}, 0, marks=NEEDS_PYG),
    ],
)
def test_own_readouts_norms_and_activations(options, more):
    net, like = build("gin", level="graph", **options), build("gin", level="graph", norm="layer")
    counts = [sum(p.numel() for p in each.parameters()) for each in (net, like)]
    norms = 0 if "norm" in options else 4 * 16  # of the two layers and their MLPs
    assert counts[0] == counts[1] - norms + more and net(batch_of_graphs()).shape == (4, 3)


WRONG = {
    ("layer", "Narrow"): "forward returns [5, 1] for a graph of 5 nodes, [5, 8]; allowed: [5, 8]",
    ("layer", "Failing"): "forward fails on a graph of 5 nodes, [5, 8], ValueError: no such thing (",
    ("layer", "Sized"): "fix: name a function of (in_feats, out_feats) that builds it",
    ("layer", "dictionary"): "returns a dict; allowed: a torch.nn.Module",
    ("layer", "lazy"): "has lazy parameters; fix: build them from the sizes that it is given",
    ("layer", "Graph"): "is no torch.nn.Module; allowed: a subclass of it",
    ("layer", "Missing"): "tests.own_graph_parts has no Missing; did you mean Failing?",
    ("readout", "Flat"): "forward returns [8] for a graph of 5 nodes, [5, 8]; allowed: [1, any number]",
    ("norm", "GraphNorm"): "reads the graph of each row; allowed: a norm of rows, forward(x)",
    ("activation", "halved"): "forward returns [5, 1] for [5, 3]; allowed: [5, 3]",
}


@pytest.mark.parametrize(("key", "name"), WRONG)
def test_a_part_that_does_not_fit_is_one_line(key, name):
    with pytest.raises(UserError) as caught:
        build(**{"layer": "gcn", "level": "graph", key: OWN + name})
    says = str(caught.value)
    assert says.startswith(f"task.{key}={OWN}{name}: ") and WRONG[key, name] in says and "\n" not in says


def test_a_layer_that_cannot_read_a_part_of_a_graph_says_so():
    assert "fails on a part of a graph" in (build(OWN + "WholeOnly").block_problem(exact=False) or "")
    net = build(OWN + "ByDegree")
    assert net.block_problem(exact=False) is None
    assert net.block_problem(exact=True) == "gives a node other features in a part of a graph than in the whole graph"


def test_the_check_leaves_the_generator_and_the_buffers_as_they_are():
    net, other = (build("gcn", norm=name) for name in ("torch.nn.BatchNorm1d", "batch"))
    state = net.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())
