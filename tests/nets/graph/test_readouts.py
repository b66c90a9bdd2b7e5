"""Test readouts and output layers against their definitions, graph by graph."""

import pytest
import torch

from lightning_dl2.graphs import Graph, load_dgl
from lightning_dl2.nets import READOUTS, Readout
from lightning_dl2.nets.graph.readouts import build_output
from tests.nets.graph.graph_cases import ENGINES, NEEDS_DGL

F = 6


def batch(sizes, engine="torch"):
    """Return graphs with these numbers of nodes and a self-loop on each, because DGL reads no graphs without edges."""
    nodes = torch.arange(sum(sizes))
    return Graph(nodes, nodes, len(nodes), batch_num_nodes=torch.tensor(sizes), engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("sizes", [[3, 5, 1], [4], [0, 2, 0], [0, 0]])
@pytest.mark.parametrize("kind", READOUTS)
def test_each_graph_is_read_for_itself(kind, sizes, engine):
    torch.manual_seed(0)
    readout = Readout(kind, F)
    x = torch.randn(sum(sizes), F, requires_grad=True)
    y = readout(batch(sizes, engine), x)
    y.sum().backward()
    assert x.grad.isfinite().all() and all(parameter.grad is not None for parameter in readout.parameters())
    for row, piece in zip(y, x.split(sizes), strict=True):
        if not len(piece):
            expected = torch.zeros(F)
        elif kind == "attention":
            expected = torch.softmax(readout.gate(piece), 0).mul(piece).sum(0)
        else:
            expected = {"sum": piece.sum, "mean": piece.mean, "max": piece.amax}[kind](0)
        torch.testing.assert_close(row, expected)


@NEEDS_DGL
@pytest.mark.parametrize("engine", ENGINES)
def test_attention_is_dgls_pooling(engine):
    torch.manual_seed(0)
    graph, readout = batch([3, 5, 1], engine), Readout("attention", F).double()
    theirs = load_dgl().nn.GlobalAttentionPooling(readout.gate)
    results = []
    for function in (lambda x: readout(graph, x), lambda x: theirs(graph.to_dgl(), x)):
        torch.manual_seed(1)
        x = torch.randn(9, F, dtype=torch.float64, requires_grad=True)
        y = function(x)
        results.append((y, *torch.autograd.grad(y.square().sum(), (x, readout.gate.weight))))
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-10)


def test_large_scores_do_not_overflow():
    readout = Readout("attention", F)
    readout.gate.weight.data.fill_(1e3)
    x = torch.linspace(-9, 9, 4 * F).view(4, F)
    torch.testing.assert_close(readout(batch([4]), x), x[-1:])


def test_output_layers():
    x = torch.randn(5, 70)
    assert build_output("none", 70, 3)(x) is x
    assert build_output("linear", 70, 3)(x).shape == (5, 3)
    mlp = build_output("mlp", 70, 3)
    assert [layer.out_features for layer in mlp if hasattr(layer, "out_features")] == [35, 17, 3]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="readout is 'median'; it must be one of sum, mean, max, attention"):
        Readout("median", F)
    with pytest.raises(ValueError, match="output_layer is 'deep'; it must be one of none, linear, mlp"):
        build_output("deep", 8, 1)
    with pytest.raises(ValueError, match="hidden_size is 3"):
        build_output("mlp", 3, 1)
