"""Test GatedGCN's two fused steps against the primitives."""

import pytest
import torch

from lightning_dl2.graphs import edge_sum, gated_mean, gather, sddmm, spmm
from tests.graphs.examples import ALL, ENGINES, block


def inputs(graph, dtype=torch.float64) -> list[torch.Tensor]:
    """Return x [S, 3], y [N, 3] and e [E, 3]."""
    generator = torch.Generator().manual_seed(0)
    rows = (graph.num_src, graph.num_nodes, graph.num_edges)
    return [torch.randn(n, 3, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for n in rows]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("make", ALL)
def test_value_and_gradient_are_those_of_the_primitives(engine, make):
    graph = make().using(engine)
    x, y, e = inputs(graph)
    gates = e.sigmoid()
    expected = [
        spmm(graph, None, gather(graph, x) * gates) / (spmm(graph, None, gates) + 1e-6),
        sddmm(graph, "add", x, y) + e,
    ]
    for mine, reference in zip([gated_mean(graph, x, e), edge_sum(graph, x, y, e)], expected, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-9)
        weights = torch.randn(mine.shape, dtype=mine.dtype)
        grads = [torch.autograd.grad((z * weights).sum(), (x, e), retain_graph=True) for z in (mine, reference)]
        torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_gradcheck_once_and_twice(engine):
    graph = block().using(engine)
    x, _, e = inputs(graph)
    assert torch.autograd.gradcheck(lambda x, e: gated_mean(graph, x, e), (x, e))
    assert torch.autograd.gradgradcheck(lambda x, e: gated_mean(graph, x, e), (x, e))
    for fixed in (x, e):  # gradients of one input only
        fixed.requires_grad_(False)
        gated_mean(graph, x, e).square().sum().backward()
        assert torch.autograd.gradgradcheck(lambda x, e: gated_mean(graph, x, e), (x, e))
        fixed.requires_grad_()


def test_low_precision_is_summed_in_float32():
    graph = block()
    x, _, e = inputs(graph, torch.bfloat16)
    mean = gated_mean(graph, x, e)
    assert mean.dtype == torch.bfloat16
    torch.testing.assert_close(mean.float(), gated_mean(graph, x.float(), e.float()), rtol=1e-2, atol=1e-2)
    mean.sum().backward()
    assert x.grad.dtype == e.grad.dtype == torch.bfloat16
