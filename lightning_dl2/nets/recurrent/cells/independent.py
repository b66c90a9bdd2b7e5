"""Equations of the IndRNN, in which each unit reads no other unit's state.

Shapes: B batch, D input_size, H hidden_size, T steps.
"""

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Cell, Shapes, Step, Weights


class IndRNN(Cell):
    """Compute h' = relu(W x + u*h + b) with a vector u (Li et al. 2018).

    u is weight_hh. Where only the last output counts, the authors draw u of the last layer near 1.

    Args:
        lowest: u is drawn uniformly from `lowest` to 1.
    """

    gates, state, forget_gate = ("h",), ("h",), None

    def __init__(self, lowest: Annotated[float, Field(ge=-1, lt=1)] = 0.0) -> None:
        self.lowest = lowest

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        return {"weight_ih": (H, D), "weight_hh": (H,), "bias_ih": (H,)}

    def initialize(self, w: Weights) -> None:
        w["weight_hh"].uniform_(self.lowest, 1)

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        return {"h": (F.linear(x, w["weight_ih"], w.get("bias_ih")) + w["weight_hh"] * h).relu()}

    @staticmethod
    def sequence(w: Weights, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        hs = _IndRNN.apply(F.linear(x, w["weight_ih"], w.get("bias_ih")), w["weight_hh"], h)
        return hs, (hs[-1],)


class _IndRNN(Function):
    """Take all steps in place: x [T, B, H] becomes h, which is all that the backward pass needs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, u: Tensor, h0: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        h = h0
        for step in x.unbind(0):
            h = step.addcmul_(u, h).relu_()
        ctx.save_for_backward(x, u, h0)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hs, u, h0 = ctx.saved_tensors
        d = grad_hs * (hs > 0)
        steps, active = d.unbind(0), (hs > 0).unbind(0)
        for t in range(len(steps) - 1, 0, -1):
            steps[t - 1].addcmul_(u * active[t - 1], steps[t])
        d_u = (d[0] * h0).sum(0) + (d[1:] * hs[:-1]).sum((0, 1))
        return d, d_u, u * d[0]
