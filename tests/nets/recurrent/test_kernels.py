"""Test the handwritten backward passes against finite differences, and the tensors that they save."""

import pytest
import torch
from torch.autograd import gradcheck

from lightning_dl2.nets.recurrent.kernels import KERNELS

T, B, D, H = 4, 3, 2, 3


def inputs(cell, *, requires_grad=True, dtype=torch.float64):
    """Return names and tensors of order one: x [T, B, D], the initial state [B, H] and the weights."""
    torch.manual_seed(0)
    shapes = {"x": (T, B, D), **{name: (B, H) for name in cell.state}, **cell.shapes(D, H)}
    tensors = [torch.randn(shape, dtype=dtype, requires_grad=requires_grad) for shape in shapes.values()]
    return list(shapes), tensors


def call(cell, names, tensors):
    given = dict(zip(names, tensors, strict=True))
    x, *state = (given.pop(name) for name in ("x", *cell.state))
    return KERNELS[cell](given, x, *state)


@pytest.mark.slow
@pytest.mark.parametrize("cell", KERNELS)
def test_gradcheck_for_every_input(cell):
    names, tensors = inputs(cell)

    def run(*tensors):
        hs, final = call(cell, names, tensors)
        return hs, *final

    assert gradcheck(run, tensors)


@pytest.mark.parametrize("cell", KERNELS)
def test_backward_twice_over_one_graph_gives_the_same(cell):
    names, tensors = inputs(cell)
    loss = call(cell, names, tensors)[0].square().sum()
    first = torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True)
    second = torch.autograd.grad(loss, tensors, allow_unused=True)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("cell", KERNELS)
def test_incoming_gradients_are_not_written_to(cell):
    names, tensors = inputs(cell)
    hs, final = call(cell, names, tensors)
    outputs = [hs, *final[1:]]
    incoming = [torch.ones_like(output) for output in outputs]
    torch.autograd.grad(outputs, tensors, incoming, allow_unused=True)
    assert all((grad == 1).all() for grad in incoming)


@pytest.mark.parametrize("cell", KERNELS)
def test_without_gradients_the_same_outputs_and_nothing_saved(cell, monkeypatch):
    names, tensors = inputs(cell)
    with_grad = call(cell, names, tensors)
    allocated = []
    new_empty = torch.Tensor.new_empty
    monkeypatch.setattr(
        torch.Tensor, "new_empty", lambda self, *shape: allocated.append(shape) or new_empty(self, *shape)
    )
    with torch.no_grad():
        without = call(cell, names, tensors)
    torch.testing.assert_close(without, with_grad, rtol=0, atol=0)
    assert sum(shape[0] in (T, T + 1) for shape in allocated) == 1, "only hs may hold all steps"


@pytest.mark.parametrize("cell", KERNELS)
def test_initial_state_is_not_written_to(cell):
    names, tensors = inputs(cell, requires_grad=False)
    before = [tensor.clone() for tensor in tensors]
    call(cell, names, tensors)
    torch.testing.assert_close(tensors, before, rtol=0, atol=0)
