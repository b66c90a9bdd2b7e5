"""Equations of an RNN whose recurrent matrix is a rotation.

Shapes: B batch, D input_size, H hidden_size, T steps.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Cell, Shapes, Step, Weights


class ExpRNN(Cell):
    """Compute h' = modrelu(W x + Q h; b), Q = exp(A - A^T) (Lezcano-Casado & Martinez-Rubio 2019).

    Q is a rotation whatever is learnt: it makes no state longer or shorter. A is the part of `skew` above the diagonal.
    modrelu(z; b) = sign(z)*relu(|z| + b), where b is bias_ih.

    Args:
        first: angles of the first Q, in planes of two units: `henaff` draws them from -pi to pi (Henaff et al. 2016),
            `cayley` as Helfrich et al. 2018.
    """

    gates, state, forget_gate = (), ("h",), None

    def __init__(self, first: Literal["henaff", "cayley"] = "henaff") -> None:
        self.first = first

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        return {"weight_ih": (H, D), "skew": (H, H), "bias_ih": (H,)}

    def initialize(self, w: Weights) -> None:
        """Draw all weights as the authors' code does."""
        torch.nn.init.kaiming_normal_(w["weight_ih"])
        angles = w["skew"].diagonal(1)[::2]
        if self.first == "henaff":
            angles.uniform_(-math.pi, math.pi)
        else:  # the square root of (1 - cos)/(1 + cos) is the tangent of half the angle
            angles.uniform_(0, math.pi / 2).mul_(0.5).tan_().neg_()
        w["skew"].copy_(torch.diag_embed(_every_other(w["skew"]), 1))
        if "bias_ih" in w:
            w["bias_ih"].uniform_(-0.01, 0.01)

    @staticmethod
    def prepare(w: Weights) -> Weights:
        """Compute Q once for all steps."""
        above = w["skew"].triu(1)
        return w | {"rotation": torch.linalg.matrix_exp(above - above.T)}

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        w = w if "rotation" in w else ExpRNN.prepare(w)
        z = F.linear(x, w["weight_ih"]) + F.linear(h, w["rotation"])
        return {"z": z, "h": z.sign() * (z.abs() + w.get("bias_ih", 0)).relu()}

    @staticmethod
    def sequence(w: Weights, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        w = ExpRNN.prepare(w)
        bias = w["bias_ih"] if "bias_ih" in w else h.new_zeros(h.shape[1])
        hs = _ModReLU.apply(F.linear(x, w["weight_ih"]), w["rotation"], bias, h)
        return hs, (hs[-1],)


def _every_other(skew: Tensor) -> Tensor:
    """Return the first diagonal above the main one, [H-1], with zeros between the planes."""
    diagonal = skew.diagonal(1).clone()
    diagonal[1::2] = 0
    return diagonal


class _ModReLU(Function):
    """Take all steps in place: x [T, B, H] becomes h, which is all that the backward pass needs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rotation: Tensor, bias: Tensor, h0: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        h, transposed = h0, rotation.T.contiguous()
        for step in x.unbind(0):
            step.addmm_(h, transposed)
            size = step.abs().add_(bias).relu_()
            h = step.sign_().mul_(size)
        ctx.save_for_backward(x, rotation, h0)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hs: Tensor) -> tuple[Tensor, ...]:
        hs, rotation, h0 = ctx.saved_tensors
        active = (hs != 0).to(hs.dtype)
        d = grad_hs * active
        for t in range(len(d) - 1, 0, -1):
            d[t - 1].addcmul_(d[t] @ rotation, active[t - 1])
        before = torch.cat([h0[None], hs[:-1]])
        d_rotation = d.flatten(0, 1).T @ before.flatten(0, 1)
        return d, d_rotation, (d * hs.sign()).sum((0, 1)), d[0] @ rotation
