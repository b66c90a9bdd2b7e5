"""Test the gated graph convolution against DGL's layer, and its reach by rounds."""

import pytest
import torch

from lightning_dl2.graphs import Graph, load_dgl
from lightning_dl2.nets import GatedGraphConv
from tests.nets.graph.graph_cases import NEEDS_DGL, random_graph


@NEEDS_DGL
def test_it_is_dgls_layer_in_value_and_gradient():
    load_dgl()
    from dgl.nn import GatedGraphConv as Theirs

    graph = random_graph(dtype=torch.float64)
    x = graph.ndata["features"]
    ours = GatedGraphConv(x.shape[1], 9, rounds=3).double()
    theirs = Theirs(x.shape[1], 9, n_steps=3, n_etypes=1).double()
    theirs.linears[0].load_state_dict(ours.message.state_dict())
    theirs.gru.load_state_dict(ours.cell.state_dict())
    expected = theirs(graph.to_dgl(), x, torch.zeros(graph.num_edges, dtype=torch.int64))
    torch.testing.assert_close(ours(graph, x), expected, rtol=1e-10, atol=1e-10)
    ours(graph, x).square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.message.weight.grad, theirs.linears[0].weight.grad, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(ours.cell.weight_ih.grad, theirs.gru.weight_ih.grad, rtol=1e-8, atol=1e-8)


def test_a_node_hears_of_another_after_as_many_rounds_as_there_are_edges_between():
    graph, x = Graph(torch.arange(5), torch.arange(1, 6), 6), torch.eye(6)
    layer, changed = GatedGraphConv(6, 8, rounds=1), x.clone()
    changed[0] = -1
    for layer.rounds in range(1, 8):
        moved = (layer(graph, x) != layer(graph, changed)).any(1)
        assert moved.tolist() == [node <= layer.rounds for node in range(6)]


def test_rounds_cost_no_parameters():
    sizes = {sum(p.numel() for p in GatedGraphConv(4, 8, rounds).parameters()) for rounds in (1, 9)}
    assert sizes == {8 * 8 + 8 + 2 * (3 * 8 * 8 + 3 * 8)}


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="out_feats is 3; it must be >= in_feats, 4"):
        GatedGraphConv(4, 3, 1)
    with pytest.raises(ValueError, match="rounds is 0; it must be >= 1"):
        GatedGraphConv(4, 4, 0)
