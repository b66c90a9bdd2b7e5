"""Test that a lookup table kept as indices gives the output of the full table."""

import pytest
import torch

from lightning_dl2.nets.graph.lookup import Lookup
from lightning_dl2.nets.graph.sparse_linear import SparseLinear, as_dense
from tests.nets.graph.graph_cases import batch_of_graphs, build


@pytest.mark.slow
def test_a_linear_map_and_its_gradient_are_those_of_the_rows():
    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([4, 0, 0, 2, 4, 4, 1])  # no row has type 3
    lookup, linear = Lookup(table, index), SparseLinear(3, 20).double()
    assert lookup.shape == (7, 3) and torch.equal(as_dense(lookup), table[index])
    weights = torch.randn(7, 20, dtype=torch.float64)
    results = []
    for x in (lookup, table[index]):
        y = linear(x)
        results.append([y, *torch.autograd.grad((y * weights).sum(), (table, linear.weight, linear.bias))])
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda table: linear(Lookup(table, index)).sin(), table)
    assert torch.autograd.gradgradcheck(lambda table: linear(Lookup(table, index)).sin(), table)


def test_without_rows():
    table = torch.randn(5, 3, requires_grad=True)
    y = SparseLinear(3, 20)(Lookup(table, torch.empty(0, dtype=torch.int64)))
    assert y.shape == (0, 20)
    y.sum().backward()
    assert not table.grad.any()


def test_a_gated_net_gives_the_same_with_its_tables_written_out(monkeypatch):
    graph = batch_of_graphs()
    types = torch.arange(graph.num_nodes) % 4
    graph = graph.replace(ndata={"types": types}, edata={"types": torch.arange(graph.num_edges) % 3})
    sizes = {"in_feats": 0, "node_types": 4}
    net = build("gatedgcn", "graph", norm="batch", residual=True, output_layer="linear", **sizes).double()
    results = []
    for _ in range(2):
        net.zero_grad()
        y = net(graph)
        y.square().sum().backward()
        results.append([y, *(parameter.grad for parameter in net.parameters())])
        monkeypatch.setattr("lightning_dl2.nets.graph.inputs.Lookup", lambda table, index: table[index])
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-9)
