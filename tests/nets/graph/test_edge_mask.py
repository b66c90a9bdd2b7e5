"""Test that an edge mask of a graph multiplies the messages of its edges, in every layer and with a gradient."""

import pytest
import torch

from lightning_dl2.graphs import Graph, spmm
from lightning_dl2.nets import GraphNetwork
from lightning_dl2.nets.graph.layers import LAYERS

SRC, DST = torch.tensor([0, 1, 1, 2, 2, 3, 4, 0]), torch.tensor([1, 0, 2, 1, 3, 2, 0, 4])


def build(layer: str) -> tuple[GraphNetwork, Graph]:
    torch.manual_seed(0)
    sizes = dict(in_feats=3, node_types=0, edge_feats=0, edge_types=0, positional_size=0, positional=None)
    ends = {"input_layer": True, "output_layer": "linear", "activation": "elu"}
    net = GraphNetwork(**sizes, num_outputs=2, level="node", layer=layer, hidden_size=4, **ends).double().eval()
    return net, net.prepare(Graph(SRC, DST, 5, ndata={"features": torch.randn(5, 3).double()}))


def masked(graph: Graph, mask: torch.Tensor) -> Graph:
    copy = graph.replace()
    copy.edge_mask = torch.cat([mask, mask.new_ones(graph.num_edges - len(mask))])  # self-loops of the net come last
    return copy


@pytest.mark.parametrize("layer", LAYERS)
def test_ones_change_nothing_and_each_edge_has_its_gradient(layer):
    net, graph = build(layer)
    ones = torch.ones(8, dtype=torch.float64, requires_grad=True)
    answers = net(masked(graph, ones))
    torch.testing.assert_close(answers, net(graph), rtol=0, atol=1e-12)
    assert graph.edge_mask is None
    (slope,) = torch.autograd.grad(answers[0].sum(), ones, allow_unused=True)
    if layer == "mlp":
        assert slope is None
        return
    for edge in range(8):  # of two layers: those that end at node 0, or at its neighbours 1 and 4
        step = torch.zeros(8, dtype=torch.float64)
        step[edge] = 1e-5
        rise = (net(masked(graph, ones + step)) - net(masked(graph, ones - step)))[0].sum().detach() / 2e-5
        assert float(slope[edge]) == pytest.approx(float(rise), abs=1e-7)
    assert bool((slope[[2, 4, 5]] == 0).all()) and bool((slope[[0, 1, 3, 6, 7]] != 0).any())


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_a_message_of_mask_0_is_0(reduce):
    graph, x = Graph(SRC, DST, 5), torch.rand(5, 3) + 1
    graph.edge_mask = torch.tensor([1.0, 1, 1, 0, 1, 1, 1, 1])
    found = spmm(graph, x, reduce=reduce)
    assert torch.equal(found[1], {"sum": x[0], "mean": x[0] / 2, "max": x[0]}[reduce])  # of the edges from 0 and 2
    assert torch.equal(spmm(graph, None, torch.ones(8), reduce="sum"), graph.in_degrees - torch.eye(5)[1])
