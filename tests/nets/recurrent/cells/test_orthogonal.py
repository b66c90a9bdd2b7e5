"""Test the RNN of a rotation against its equation, and its backward pass against finite differences."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from lightning_dl2.nets import LanguageModel, Recurrent
from lightning_dl2.nets.recurrent.cells import ExpRNN

D, H, B, T = 3, 5, 2, 6
SHAPES = {"weight_ih": (H, D), "skew": (H, H), "bias_ih": (H,), "x": (T, B, D), "h": (B, H)}


@pytest.mark.slow
def test_exprnn_is_the_papers_and_its_backward_pass_the_derivative():
    torch.manual_seed(0)
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in SHAPES.values()]

    def run(*leaves):
        *weights, x, h = leaves
        return ExpRNN.sequence(dict(zip(SHAPES, weights, strict=False)), x, h)[0]

    W, A, b, x, h = (leaf.detach() for leaf in leaves)
    A = A.triu(1) - A.triu(1).T
    rotation = sum(torch.linalg.matrix_power(A, n) / float(math.factorial(n)) for n in range(60))
    for found, x_t in zip(run(*leaves), x, strict=True):
        z = x_t @ W.T + h @ rotation.T
        h = torch.where(z.abs() + b > 0, z + z.sign() * b, torch.zeros_like(z))
        torch.testing.assert_close(found, h, rtol=0, atol=1e-10)
    assert gradcheck(run, leaves)


@pytest.mark.parametrize("first", ["henaff", "cayley"])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_the_matrix_is_a_rotation_that_keeps_a_state_for_a_thousand_steps(first, size):
    torch.manual_seed(0)
    net = Recurrent({"_target_": "lightning_dl2.nets.recurrent.cells.ExpRNN", "first": first}, 1, size).double()
    rotation = ExpRNN.prepare(net.weights(0))["rotation"]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(size, dtype=torch.float64), rtol=0, atol=1e-12)
    with torch.no_grad():
        net.weights(0)["bias_ih"].zero_()
    h0 = torch.randn(1, 1, size, dtype=torch.float64)
    end = net(torch.zeros(1, 1000, 1, dtype=torch.float64), h0)[1]
    torch.testing.assert_close(end.norm(), h0.norm(), rtol=1e-9, atol=0)


def test_the_matrix_is_computed_once_for_many_steps(monkeypatch):
    calls, prepare = [], ExpRNN.prepare
    monkeypatch.setattr(ExpRNN, "prepare", staticmethod(lambda w: calls.append(1) or prepare(w)))
    net = LanguageModel(7, hidden_size=H, cell="exprnn")
    calls.clear()
    step, state = net.stepper(), None
    for _ in range(4):
        _, state = step(torch.tensor([1]), state)
    assert len(calls) == 1
    net.explicit(torch.ones(1, 4, dtype=torch.int64))
    assert len(calls) == 2
