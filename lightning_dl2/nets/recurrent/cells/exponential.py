"""Equations of the sLSTM: exponential gates, with a normaliser and a stabiliser.

Shapes: B batch, D input_size, H hidden_size, T steps.
"""

from typing import Any

import torch
from torch import Tensor, sigmoid, tanh
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Cell, Shapes, Step, Weights


class SLSTM(Cell):
    """Compute h' = o*c'/n', c' = f*c + i*z, n' = f*n + i (Beck et al. 2024), with one head.

    All gates read x and h, as in an LSTM; i = exp(i~) and f = sigmoid(f~). The states c and n are divided by exp(m),
    where m' = max(log f + m, i~): i and f of the trace are the paper's i' and f', at most 1, and h is the same for any
    m. So m is a constant to the gradient. In the first step m' is i~, so that n' is 1 however small i is.
    """

    gates, state, forget_gate = ("i", "f", "z", "o"), ("h", "m", "n", "c"), "f"

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        return {"weight_ih": (4 * H, D), "weight_hh": (4 * H, H), "bias_ih": (4 * H,)}

    @staticmethod
    def initialize(w: Weights) -> None:
        """Spread the forget gate's bias from 5 to -7, and zero the others, as the authors' code does by default."""
        if "bias_ih" in w:
            H = len(w["bias_ih"]) // 4
            w["bias_ih"].zero_()[H : 2 * H] = 5 - 12 * torch.linspace(0, 1, H).pow(0.3)

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor, m: Tensor, n: Tensor, c: Tensor) -> Step:
        gates = F.linear(x, w["weight_ih"], w.get("bias_ih")) + F.linear(h, w["weight_hh"])
        i, f, z, o = gates.chunk(4, dim=1)
        kept = F.logsigmoid(f) + m
        m = _stabilize(i, kept, n).detach() + 0 * i  # a constant, but a node: `gradient_flow` asks for its gradient
        i, f = torch.exp(i - m), torch.exp((kept - m).clamp(max=0))  # above 0 in the first step alone, where c is 0
        z, o = tanh(z), sigmoid(o)
        c, n = f * c + i * z, f * n + i
        return {"i": i, "f": f, "z": z, "o": o, "m": m, "n": n, "c": c, "h": o * c / n}

    @staticmethod
    def sequence(w: Weights, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        hs, *end = _SLSTM.apply(F.linear(x, w["weight_ih"], w.get("bias_ih")), w["weight_hh"], *state)
        return hs, (hs[-1], *end)


def _stabilize(i: Tensor, kept: Tensor, n: Tensor) -> Tensor:
    """Return m', which is i~ where nothing is in the state."""
    return torch.where(n == 0, i, torch.maximum(kept, i))


class _SLSTM(Function):
    """Take all steps; a backward step needs the gates and states of the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight_hh: Tensor, h: Tensor, m: Tensor, n: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        T, (B, H) = len(x), h.shape
        kept_gates, ns, cs, hs = x.new_empty(T, 5, B, H), *(x.new_empty(T + 1, B, H) for _ in range(3))
        ns[0], cs[0], hs[0] = n, c, h
        transposed = weight_hh.t()
        for t in range(T):
            a_i, a_f, a_z, a_o = torch.addmm(x[t], hs[t], transposed).chunk(4, dim=1)
            i, f, z, o, shut = kept_gates[t]
            torch.sigmoid(-a_f, out=shut)
            kept = F.logsigmoid(a_f).add_(m)
            m = torch.maximum(kept, a_i) if t else _stabilize(a_i, kept, n)
            torch.exp(a_i - m, out=i)
            torch.exp(kept.sub_(m).clamp_(max=0), out=f)
            torch.tanh(a_z, out=z)
            torch.sigmoid(a_o, out=o)
            torch.mul(f, cs[t], out=cs[t + 1]).addcmul_(i, z)
            torch.addcmul(i, f, ns[t], out=ns[t + 1])
            torch.mul(o, cs[t + 1], out=hs[t + 1]).div_(ns[t + 1])
        ctx.save_for_backward(kept_gates, ns, cs, hs, weight_hh)
        ctx.mark_non_differentiable(m)
        return hs[1:], m, ns[-1].clone(), cs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hs: Tensor, grad_m: Tensor, grad_n: Tensor, grad_c: Tensor) -> tuple[Tensor, ...]:
        kept_gates, ns, cs, hs, weight_hh = ctx.saved_tensors
        i, f, z, o, shut = kept_gates.unbind(1)
        T, B, H = i.shape
        h_to_n, h_to_c = -hs[1:] / ns[1:], o / ns[1:]
        h_to_o, c_to_i, c_to_z = hs[1:] * (1 - o), i * z, i * (1 - z * z)
        f_to_a = f * shut
        c_to_f, n_to_f = f_to_a * cs[:-1], f_to_a * ns[:-1]
        d, dh, dn, dc = i.new_empty(T, B, 4, H), grad_hs[-1].clone(), grad_n.clone(), grad_c.clone()
        for t in reversed(range(T)):
            d_i, d_f, d_z, d_o = d[t].unbind(1)
            dc.addcmul_(dh, h_to_c[t])
            dn.addcmul_(dh, h_to_n[t])
            torch.mul(dh, h_to_o[t], out=d_o)
            torch.mul(dc, c_to_i[t], out=d_i).addcmul_(dn, i[t])
            torch.mul(dc, c_to_z[t], out=d_z)
            torch.mul(dc, c_to_f[t], out=d_f).addcmul_(dn, n_to_f[t])
            if t == 0:  # f' of the first step reads the first m
                d_m = (dc * cs[0] + dn * ns[0]) * f[0]
            dc.mul_(f[t])
            dn.mul_(f[t])
            torch.mm(d[t].view(B, 4 * H), weight_hh, out=dh)
            if t > 0:
                dh.add_(grad_hs[t - 1])
        d = d.flatten(2)
        d_weight = d.flatten(0, 1).t() @ hs[:-1].flatten(0, 1)
        return d, d_weight, dh, d_m, dn, dc
