"""Test the IndRNN against its equation, and its backward pass against finite differences."""

import torch
from torch.autograd import gradcheck

from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent.cells import IndRNN

D, H, B, T = 3, 4, 2, 6


def test_indrnn_is_the_papers_and_its_backward_pass_the_derivative():
    """Equation 2: h = relu(W x + u * h + b)."""
    torch.manual_seed(0)
    shapes = {"weight_ih": (H, D), "weight_hh": (H,), "bias_ih": (H,), "x": (T, B, D), "h": (B, H)}
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes.values()]

    def run(*leaves):
        *weights, x, h = leaves
        return IndRNN.sequence(dict(zip(shapes, weights, strict=False)), x, h)[0]

    W, u, b, x, h = leaves
    for found, x_t in zip(run(*leaves), x, strict=True):
        h = torch.clamp(x_t @ W.T + u * h + b, min=0)
        torch.testing.assert_close(found, h, rtol=0, atol=1e-12)
    assert gradcheck(run, leaves)


def test_recurrent_weights_begin_between_their_bounds():
    torch.manual_seed(0)
    path = "lightning_dl2.nets.recurrent.cells.IndRNN"
    for cell, lowest in (("indrnn", 0.0), ({"_target_": path, "lowest": 0.9}, 0.9)):
        u = Recurrent(cell, 1, 2000, initialization="orthogonal").weights(0)["weight_hh"]
        assert lowest <= u.min() < lowest + 0.01 and 0.99 < u.max() <= 1


def test_a_unit_keeps_its_state_for_a_thousand_steps():
    net = Recurrent("indrnn", 1, 1)
    with torch.no_grad():
        for name, value in (("weight_ih", 1.0), ("weight_hh", 1.0), ("bias_ih", 0.0)):
            net.weights(0)[name].fill_(value)
    x = torch.zeros(1, 1000, 1)
    x[0, 0] = 0.5
    x.requires_grad_()
    outputs, end = net(x)
    assert (outputs == 0.5).all() and torch.autograd.grad(end.sum(), x)[0][0, 0] == 1
