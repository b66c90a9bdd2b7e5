"""Test the linear scan: both methods against the equation, and the backward pass against finite differences."""

import pytest
import torch
from torch.autograd import gradcheck

from lightning_dl2.nets.recurrent.cells.scan import scan

T, B, N = 5, 2, 2
METHODS = ("loop", "tree")
REAL, COMPLEX = torch.float64, torch.complex128
SHAPES = [(T, B, N), (T, 1, N), (1, B, N), (1, 1, N), (T, B, 1)]  # of a
CASES = [*((REAL, shape) for shape in SHAPES), (COMPLEX, SHAPES[0]), (COMPLEX, SHAPES[3])]


def inputs(shape=(T, B, N), dtype=REAL, requires_grad=False):
    torch.manual_seed(0)
    shapes = shape, (T, B, N), (B, N)
    return [torch.randn(each, dtype=dtype).requires_grad_(requires_grad) for each in shapes]


def by_equation(a, b, h):
    a, steps = a.expand(len(b), *a.shape[1:]), []
    for t in range(len(b)):
        h = a[t] * h + b[t]
        steps.append(h)
    return torch.stack(steps)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("dtype", "shape"), CASES)
def test_scan_is_the_equation_and_its_backward_pass_the_derivative(method, dtype, shape):
    leaves = inputs(shape, dtype, requires_grad=True)
    torch.testing.assert_close(scan(*leaves, method=method), by_equation(*leaves), rtol=0, atol=1e-10)
    assert gradcheck(lambda *leaves: scan(*leaves, method=method), leaves)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("length", [1, 2, 3, 4, 8, 13, 64])
def test_any_length(method, length):
    torch.manual_seed(0)
    a, b, h0 = (torch.randn(shape, dtype=REAL, requires_grad=True) for shape in ((length, B), (length, B), (B,)))
    found, wanted = scan(a, b, h0, method=method), by_equation(a, b, h0)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(found)
    gradients = [torch.autograd.grad((out * weights).sum(), (a, b, h0)) for out in (found, wanted)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_factors_of_zero_and_long_products_stay_exact(method):
    """A scan by logarithms, or by dividing through products, fails here."""
    a = torch.full((400, 1), 1e-3)
    a[::7] = 0
    b, h0 = torch.ones(400, 1), torch.ones(1)
    torch.testing.assert_close(scan(a, b, h0, method=method), by_equation(a, b, h0))


@pytest.mark.parametrize("method", METHODS)
def test_only_what_is_given_up_is_overwritten(method):
    a, b, h0 = inputs()
    before = [each.clone() for each in (a, b, h0)]
    h = scan(a, b, h0, method=method)
    torch.testing.assert_close([a, b, h0], before, rtol=0, atol=0)
    assert scan(a, b, h0, method=method, overwrite=True).data_ptr() == b.data_ptr()
    torch.testing.assert_close(b, h, rtol=0, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_backward_may_run_twice_and_writes_to_no_incoming_gradient(method):
    leaves = inputs(requires_grad=True)
    h, incoming = scan(*leaves, method=method), torch.ones(T, B, N, dtype=REAL)
    first = torch.autograd.grad(h, leaves, incoming, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(h, leaves, incoming), first, rtol=0, atol=0)
    assert (incoming == 1).all()


def test_a_second_derivative_is_refused():
    leaves = inputs(requires_grad=True)
    (gradient,) = torch.autograd.grad(scan(*leaves).square().sum(), leaves[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((T, B), (T, B, N), (B, N)), "b must be"),
        (((2, B, N), (T, B, N), (B, N)), "b must be"),
        (((T, B, N), (T, B, N), (1, N)), "b must be"),
        (((0, B, N), (0, B, N), (B, N)), "b must be"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shapes, message):
    with pytest.raises(ValueError, match=message):
        scan(*(torch.zeros(shape) for shape in shapes))
    with pytest.raises(ValueError, match="one dtype"):
        scan(torch.zeros(T, B), torch.zeros(T, B, dtype=REAL), torch.zeros(B))
