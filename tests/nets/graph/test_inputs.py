"""Test that data on nodes and edges reaches the net, dense or sparse, only if requested."""

import pytest
import torch
from torch import nn

from lightning_dl2.graphs import SparseMatrix
from lightning_dl2.nets import LAYERS
from tests.nets.graph.graph_cases import EDGE, IN, C, batch_of_graphs, build, papers, random_graph


@pytest.mark.parametrize("layer", LAYERS)
def test_sparse_features(layer):
    graph = random_graph(dtype=torch.float64)
    x = graph.ndata["features"] * (torch.rand(graph.num_nodes, IN) < 0.4)
    nets = [build(layer)] + ([papers(layer)] if layer != "gcnii" else [])
    for net in nets:
        results = []
        for features in (x, SparseMatrix.from_dense(x)):
            net.double().zero_grad()
            logits = net(graph.replace(ndata={"features": features}))
            logits.square().sum().backward()
            results.append([logits, *(parameter.grad for parameter in net.parameters())])
        torch.testing.assert_close(*results, rtol=1e-9, atol=1e-9)


def test_dropout_of_sparse_features_is_of_what_is_there():
    graph = random_graph()
    net = papers("mlp", num_layers=1, input_dropout=0.5)
    net.layers[0].convolution.fc.weight.data = torch.eye(IN)[:C]
    net.layers[0].convolution.fc.bias.data.zero_()
    sparse = graph.replace(ndata={"features": SparseMatrix.from_dense(graph.ndata["features"])})
    for graph_ in (graph, sparse):
        factor = net(graph_) / graph.ndata["features"][:, :C]
        assert factor.unique().round().tolist() == [0, 2]
    net.eval()  # without dropout
    for graph_ in (graph, sparse):
        torch.testing.assert_close(net(graph_), graph.ndata["features"][:, :C])


def test_the_inputs_are_summed_after_their_layers():
    graph = random_graph()
    net = build("mlp", node_types=5, positional_size=3, positional="random_walk")
    ndata, inputs = graph.ndata, net.inputs
    expected = inputs.features(ndata["features"]) + inputs.types(ndata["types"]) + inputs.position(ndata["positional"])
    torch.testing.assert_close(inputs(ndata), expected)
    types = build("mlp", in_feats=0, node_types=5, input_layer=False)
    torch.testing.assert_close(types.inputs(ndata), types.inputs.types(ndata["types"]))
    plain = build("mlp", positional_size=3, positional="random_walk", input_layer=False)
    torch.testing.assert_close(plain.inputs(ndata), torch.cat([ndata["features"], ndata["positional"]], 1))
    assert build("mlp", in_feats=0, positional_size=3, positional="laplacian")(graph).shape == (20, C)


def test_laplacian_signs_are_drawn_for_each_eigenvector_and_graph():
    batch = batch_of_graphs(sizes=(6, 2, 0, 4))
    ones = batch.replace(ndata={"positional": torch.ones(12, 3)})
    inputs = build("mlp", in_feats=0, positional_size=3, positional="laplacian").inputs
    inputs.position = nn.Identity()
    drawn = torch.stack([inputs(ones.ndata, ones) for _ in range(60)])
    assert torch.equal(drawn.abs(), torch.ones_like(drawn))
    graphs = [part for part in drawn.split(ones.batch_num_nodes.tolist(), dim=1) if part.shape[1]]
    assert all((part == part[:, :1]).all() for part in graphs)
    signs = torch.stack([part[:, 0] for part in graphs], 1).flatten(1)  # [60, graphs and eigenvectors]
    assert torch.corrcoef(signs.t()).fill_diagonal_(0).abs().max() < 0.5 and signs.mean(0).abs().max() < 0.5
    torch.testing.assert_close(inputs.eval()(ones.ndata, ones), ones.ndata["positional"])
    walk = build("mlp", in_feats=0, positional_size=3, positional="random_walk").inputs
    assert torch.equal(walk(ones.ndata, ones), walk(ones.ndata, ones))


@pytest.mark.slow
def test_edge_types_and_features_are_read_unless_told_not_to():
    graph = random_graph()
    other = graph.replace(edata={"types": (graph.edata["types"] + 1) % 3, "features": graph.edata["features"] + 1})
    for layer in (name for name in LAYERS if name != "rgcn"):  # whose types are relations, not features
        for options in (
            {"edge_types": 3},
            {"edge_types": 0, "edge_feats": EDGE},
            {"edge_types": 3, "edge_feats": EDGE},
        ):
            reads = not torch.equal(*(build(layer, **options)(g) for g in (graph, other)))
            assert reads == (layer in ("gine", "gatedgcn"))
            bare = [build(layer, edge_features=False, **options)(g) for g in (graph, other)]
            assert torch.equal(*bare)


def test_missing_inputs_are_named():
    graph = random_graph()
    with pytest.raises(ValueError, match="no 'types', .* it has features"):
        build("gcn", node_types=5)(graph.replace(ndata={"features": graph.ndata["features"]}))
    with pytest.raises(ValueError, match="no 'types'"):
        build("gatedgcn")(graph.replace(edata={}))
    sparse = {**graph.ndata, "features": SparseMatrix.from_dense(graph.ndata["features"])}
    net = build("gcn", input_layer=False, positional="random_walk", positional_size=3)
    with pytest.raises(ValueError, match="set input_layer=True"):
        net(graph.replace(ndata=sparse))
