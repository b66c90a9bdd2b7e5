"""Run linear recurrences h(t) = a(t) * h(t-1) + b(t) over whole sequences.

Shapes: T steps, B batch, N numbers of a state, of one or several dimensions.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

Method = Literal["auto", "loop", "tree"]


def scan(a: Tensor, b: Tensor, h0: Tensor, *, overwrite: bool = False, method: Method = "auto") -> Tensor:
    """Return h of all steps, [T, B, N], of h(t) = a(t) * h(t-1) + b(t), element by element.

    Nothing is divided, and no logarithm is taken: a may be zero, negative or complex. The backward pass is written by
    hand. It is a scan, too, backwards in time, and keeps a and h alone. Second derivatives raise an error: they are
    left to `Recurrent.explicit`.

    Args:
        a: [T, B, N], or 1 in place of T (constant), of B (the same for all sequences) or of N.
        b: [T, B, N], of the dtype of a: real or complex.
        h0: state before the first step, [B, N].
        overwrite: write h into b. It must then be no leaf that requires a gradient, and nobody else's.
        method: `loop` takes a step after the other, in place. `tree` combines steps in pairs, and these in pairs
            (Blelloch 1990, "Prefix sums and their applications"): about 4 log2(T) operations, of 3 times the work.
            `auto`: the loop on a CPU, where a step costs little, and the tree elsewhere.

    Raises:
        ValueError: shapes or dtypes that do not fit.
    """
    fits = a.dim() == b.dim() and all(size in (1, whole) for size, whole in zip(a.shape, b.shape, strict=True))
    if not fits or not len(b) or h0.shape != b.shape[1:]:
        shapes = f"a is {list(a.shape)}, b is {list(b.shape)}, h0 is {list(h0.shape)}"
        raise ValueError(f"{shapes}; b must be [T >= 1, ...], h0 as b without T, and a as b or 1")
    if not a.dtype == b.dtype == h0.dtype:
        raise ValueError(f"a, b and h0 are {a.dtype}, {b.dtype} and {h0.dtype}; they must be of one dtype")
    by_loop = prefers_loop(b.device) if method == "auto" else method == "loop"
    h: Tensor = _Scan.apply(a, b if overwrite else b.clone(), h0, by_loop)
    return h


def prefers_loop(device: torch.device) -> bool:
    """Tell whether small operations, one after the other, cost little: no kernel is launched for each."""
    return device.type == "cpu"


class _Scan(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h0: Tensor, by_loop: bool) -> Tensor:
        ctx.mark_dirty(b)
        b[0].addcmul_(a[0], h0)
        _run(a, b, by_loop)
        ctx.by_loop = by_loop
        ctx.save_for_backward(a, b, h0)
        return b

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor) -> tuple[Tensor | None, ...]:
        a, h, h0 = ctx.saved_tensors
        needs_a, needs_b, needs_h0, _ = ctx.needs_input_grad
        conjugate = a.conj().resolve_conj()
        d = grad_h.clone(memory_format=torch.contiguous_format)
        _run_back(conjugate, d, ctx.by_loop)
        grad_a = None
        if needs_a:
            grad_a = torch.empty_like(d)
            torch.mul(d[0], h0.conj(), out=grad_a[0])
            torch.mul(d[1:], h[:-1].conj(), out=grad_a[1:])
            grad_a = grad_a.sum_to_size(a.shape)
        grad_h0 = (conjugate[0] * d[0]).sum_to_size(h0.shape) if needs_h0 else None
        return grad_a, d if needs_b else None, grad_h0, None


def _run(a: Tensor, h: Tensor, by_loop: bool) -> None:
    """Replace b in h by the states; b(0) holds the first state's share already."""
    if not by_loop:
        h.copy_(_tree(a.expand(len(h), *a.shape[1:]), h))
        return
    steps = h.unbind(0)  # indexing at each step would cost as much as the step
    factors = a.unbind(0) if len(a) > 1 else (a[0],) * len(steps)
    for t in range(1, len(steps)):
        steps[t].addcmul_(factors[t], steps[t - 1])


def _run_back(a: Tensor, d: Tensor, by_loop: bool) -> None:
    """Replace the gradients of h in d by those that also count the later steps: d(t) += a(t+1) * d(t+1)."""
    if not by_loop:
        factors = a.expand(len(d), *a.shape[1:]).flip(0).roll(1, 0)  # the first of them meets no state
        d.copy_(_tree(factors, d.flip(0)).flip(0))
        return
    steps = d.unbind(0)
    each = a.unbind(0) if len(a) > 1 else (a[0],) * len(steps)
    for t in range(len(steps) - 1, 0, -1):
        steps[t - 1].addcmul_(each[t], steps[t])


def _tree(a: Tensor, b: Tensor) -> Tensor:
    """Return the states after each step from zeros: those after pairs of steps, then those between."""
    if len(b) == 1:
        return b
    pairs = len(b) // 2
    a_first, a_second = a[0 : 2 * pairs : 2], a[1 : 2 * pairs : 2]
    b_first, b_second = b[0 : 2 * pairs : 2], b[1 : 2 * pairs : 2]
    after = _tree(a_first * a_second, torch.addcmul(b_second, a_second, b_first))
    h = torch.empty_like(b)
    h[0] = b[0]
    h[1 : 2 * pairs : 2] = after
    rest = len(b[2::2])
    torch.addcmul(b[2::2], a[2::2], after[:rest], out=h[2::2])
    return h
