"""Kernels of torch.nn, and for the cells that it lacks: whole sequences, with backward passes written by hand.

Shapes: T steps, B batch, D input_size, H hidden_size, G gates; all sequences are time-major, [T, B, ...].

All cells follow one pattern. Before the loop, one matrix product gives the input's share of all gates of all steps. In
the loop, one product a step (the GRU: two) goes into preallocated buffers. A gate's gradient is the incoming gradient
times a factor that the forward pass computes while its inputs are in cache. These factors are saved in place of the
activations, so that a backward step needs a few products only; `h_to_o` leads from dL/dh to the gradient of o before
its sigmoid. Weight gradients are one matrix product after the loop. If no input needs a gradient, nothing is saved.
Second derivatives are left to `Recurrent.explicit`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells import GRU, LSTM, RNN, AssignmentPeephole, GersPeephole, PaperGRU, Weights
from lightning_dl2.nets.recurrent.states import State

FUSED = {RNN: nn.RNN, LSTM: nn.LSTM, GRU: nn.GRU}
FUSED_CALL: dict[type, Callable[..., Any]] = {RNN: torch.rnn_tanh, LSTM: torch.lstm, GRU: torch.gru}

# out = grad * y * (1 - y) and out = grad * (1 - y^2), each in one pass over memory.
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


def _needs_grad(*tensors: Tensor) -> bool:
    """Tell whether a gradient is needed; called outside of the Function, in which grad mode is always off."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _weight_grad(d_gates: Tensor, inputs: Tensor) -> Tensor:
    """Multiply gate gradients [T, B, G*H] by inputs [T, B, H] over all steps: [G*H, H]."""
    return d_gates.flatten(0, 1).t() @ inputs.flatten(0, 1)


def _reorder(weight: Tensor, order: tuple[int, ...]) -> Tensor:
    """Put the stacked gates of `weight` in another order."""
    gates = weight.chunk(len(order))
    return torch.cat([gates[gate] for gate in order])


class _GersPeephole(Function):
    @staticmethod
    def forward(
        ctx: Any, save: bool, x: Tensor, weight_hh: Tensor, peephole: Tensor, h0: Tensor, c0: Tensor
    ) -> tuple[Tensor, Tensor]:
        T, (B, H) = len(x), h0.shape
        hs, cs = x.new_empty(T + 1, B, H), x.new_empty(T + 1 if save else 1, B, H)
        hs[0], cs[0] = h0, c0
        if save:
            c_to_ifg, others = x.new_empty(T, B, 3, H), x.new_empty(T, 3, B, H)
        gates = x.new_empty(B, 4, H)
        i, f, g, o = gates.unbind(1)
        p_i, p_f, p_o = peephole
        tanh_c, c = x.new_empty(B, H), cs[0]
        for t in range(T):
            torch.addmm(x[t], hs[t], weight_hh.t(), out=gates.view(B, 4 * H))
            gates[:, :2].addcmul_(c.unsqueeze(1), peephole[:2]).sigmoid_()
            g.tanh_()
            if save:
                to_i, to_f, to_g = c_to_ifg[t].unbind(1)
                _sigmoid_backward(g, i, grad_input=to_i)
                _sigmoid_backward(c, f, grad_input=to_f)
                _tanh_backward(i, g, grad_input=to_g)
            c_next = cs[t + 1] if save else c
            c = torch.mul(f, c, out=c_next).addcmul_(i, g)
            o.addcmul_(c, p_o).sigmoid_()
            torch.mul(o, torch.tanh(c, out=tanh_c), out=hs[t + 1])
            if save:
                h_to_o, h_to_c, c_to_c = others[t]
                _sigmoid_backward(tanh_c, o, grad_input=h_to_o)
                _tanh_backward(o, tanh_c, grad_input=h_to_c)
                h_to_c.addcmul_(h_to_o, p_o)
                torch.addcmul(f, to_i, p_i, out=c_to_c).addcmul_(to_f, p_f)
        if save:
            ctx.save_for_backward(hs, cs, c_to_ifg, others, weight_hh)
        return hs[1:], c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hs: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        hs, cs, c_to_ifg, others, weight_hh = ctx.saved_tensors
        T, B, _, H = c_to_ifg.shape
        d_gates, d_peephole = hs.new_empty(T, B, 4, H), hs.new_zeros(B, 3, H)
        dh, dc = grad_hs[-1].clone(), grad_c.clone()
        for t in reversed(range(T)):
            d = d_gates[t]
            h_to_o, h_to_c, c_to_c = others[t]
            dc.addcmul_(dh, h_to_c)
            torch.mul(dc.unsqueeze(1), c_to_ifg[t], out=d[:, :3])
            torch.mul(dh, h_to_o, out=d[:, 3])
            d_peephole[:, :2].addcmul_(d[:, :2], cs[t].unsqueeze(1))
            d_peephole[:, 2].addcmul_(d[:, 3], cs[t + 1])
            dc.mul_(c_to_c)
            torch.mm(d.view(B, 4 * H), weight_hh, out=dh)
            if t > 0:
                dh.add_(grad_hs[t - 1])
        d_gates = d_gates.flatten(2)
        return None, d_gates, _weight_grad(d_gates, hs[:-1]), d_peephole.sum(0), dh, dc


class _AssignmentPeephole(Function):
    """Gates are ordered g, i, f, o: the three that change c lie together, and so do the three that read c."""

    @staticmethod
    def forward(ctx: Any, save: bool, x: Tensor, weight_ch: Tensor, c0: Tensor) -> tuple[Tensor, Tensor]:
        T, (B, H) = len(x), c0.shape
        hs, cs = x.new_empty(T, B, H), x.new_empty(T + 1 if save else 1, B, H)
        cs[0] = c0
        if save:
            c_to_gif, others = x.new_empty(T, B, 3, H), x.new_empty(T, 3, B, H)
        gates = x.new_empty(B, 4, H)
        g, i, f, o = gates.unbind(1)
        tanh_c, c = x.new_empty(B, H), cs[0]
        for t in range(T):
            gates.view(B, 4 * H).copy_(x[t])[:, H:].addmm_(c, weight_ch.t())
            gates.sigmoid_()
            if save:
                to_g, to_i, to_f = c_to_gif[t].unbind(1)
                _sigmoid_backward(i, g, grad_input=to_g)
                _sigmoid_backward(g, i, grad_input=to_i)
                _sigmoid_backward(c, f, grad_input=to_f)
            c_next = cs[t + 1] if save else c
            c = torch.mul(f, c, out=c_next).addcmul_(i, g)
            torch.mul(o, torch.tanh(c, out=tanh_c), out=hs[t])
            if save:
                h_to_o, h_to_c, c_to_c = others[t]
                _sigmoid_backward(tanh_c, o, grad_input=h_to_o)
                _tanh_backward(o, tanh_c, grad_input=h_to_c)
                c_to_c.copy_(f)
        if save:
            ctx.save_for_backward(cs, c_to_gif, others, weight_ch)
        return hs, c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hs: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        cs, c_to_gif, others, weight_ch = ctx.saved_tensors
        T, B, _, H = c_to_gif.shape
        d_gates, dc = cs.new_empty(T, B, 4, H), grad_c.clone()
        for t in reversed(range(T)):
            d = d_gates[t]
            h_to_o, h_to_c, c_to_c = others[t]
            dc.addcmul_(grad_hs[t], h_to_c)
            torch.mul(dc.unsqueeze(1), c_to_gif[t], out=d[:, :3])
            torch.mul(grad_hs[t], h_to_o, out=d[:, 3])
            dc.mul_(c_to_c).addmm_(d[:, 1:].flatten(1), weight_ch)
        d_gates = d_gates.flatten(2)
        return None, d_gates, _weight_grad(d_gates[:, :, H:], cs[:-1]), dc


class _PaperGRU(Function):
    @staticmethod
    def forward(ctx: Any, save: bool, x: Tensor, weight_hh: Tensor, h0: Tensor) -> Tensor:
        T, (B, H) = len(x), h0.shape
        hs = x.new_empty(T + 1, B, H)
        hs[0] = h0
        kept = T if save else 1
        gates, reset_hs, n = x.new_empty(kept, B, 2, H), x.new_empty(kept, B, H), x.new_empty(B, H)
        if save:
            factors = x.new_empty(T, B, 3, H)
        weight_rz, weight_n = weight_hh[: 2 * H], weight_hh[2 * H :]
        for t in range(T):
            h, rz, reset_h = hs[t], gates[t % kept], reset_hs[t % kept]
            torch.addmm(x[t, :, : 2 * H], h, weight_rz.t(), out=rz.view(B, 2 * H)).sigmoid_()
            r, z = rz.unbind(1)
            torch.mul(r, h, out=reset_h)
            torch.addmm(x[t, :, 2 * H :], reset_h, weight_n.t(), out=n).tanh_()
            torch.lerp(n, h, z, out=hs[t + 1])
            if save:
                to_r, to_z, to_n = factors[t].unbind(1)
                _sigmoid_backward(h, r, grad_input=to_r)
                _sigmoid_backward(h - n, z, grad_input=to_z)
                _tanh_backward(1 - z, n, grad_input=to_n)
        if save:
            ctx.save_for_backward(hs, gates, reset_hs, factors, weight_hh)
        return hs[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hs: Tensor) -> tuple[Tensor | None, ...]:
        hs, gates, reset_hs, factors, weight_hh = ctx.saved_tensors
        T, B, _, H = factors.shape
        weight_rz, weight_n = weight_hh[: 2 * H], weight_hh[2 * H :]
        d_gates, d_reset_h, dh = hs.new_empty(T, B, 3, H), hs.new_empty(B, H), grad_hs[-1].clone()
        for t in reversed(range(T)):
            d, (r, z) = d_gates[t], gates[t].unbind(1)
            torch.mul(dh.unsqueeze(1), factors[t, :, 1:], out=d[:, 1:])
            torch.mm(d[:, 2], weight_n, out=d_reset_h)
            torch.mul(d_reset_h, factors[t, :, 0], out=d[:, 0])
            dh.mul_(z).addcmul_(d_reset_h, r).addmm_(d.view(B, 3 * H)[:, : 2 * H], weight_rz)
            if t > 0:
                dh.add_(grad_hs[t - 1])
        d_gates = d_gates.flatten(2)
        d_rz, d_n = d_gates[:, :, : 2 * H], d_gates[:, :, 2 * H :]
        d_weight = torch.cat([_weight_grad(d_rz, hs[:-1]), _weight_grad(d_n, reset_hs)])
        return None, d_gates, d_weight, dh


def gers_peephole(w: Weights, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run `cells.GersPeephole` over x [T, B, D] from h, c [B, H] -> hs [T, B, H], (h, c) after the last step."""
    gates = F.linear(x, w["weight_ih"], w.get("bias_ih"))
    inputs = gates, w["weight_hh"], w["peephole"], h, c
    hs, c = _GersPeephole.apply(_needs_grad(*inputs), *inputs)
    return hs, (hs[-1], c)


def assignment_peephole(w: Weights, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run `cells.AssignmentPeephole` over x [T, B, D] from c [B, H] -> hs [T, B, H], (h, c) after the last step.

    No gate reads the initial `h`: its gradient is zero.
    """
    gifo = {name: _reorder(w[name], (2, 0, 1, 3)) for name in ("weight_ih", "bias_ih") if name in w}
    gates = F.linear(x, gifo["weight_ih"], gifo.get("bias_ih"))
    inputs = gates, w["weight_ch"], c
    hs, c = _AssignmentPeephole.apply(_needs_grad(*inputs), *inputs)
    return hs, (hs[-1], c)


def paper_gru(w: Weights, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
    """Run `cells.PaperGRU` over x [T, B, D] from h [B, H] -> hs [T, B, H], (h,) after the last step."""
    inputs = F.linear(x, w["weight_ih"], w.get("bias_ih")), w["weight_hh"], h
    hs = _PaperGRU.apply(_needs_grad(*inputs), *inputs)
    return hs, (hs[-1],)


KERNELS: dict[type, Callable[..., tuple[Tensor, tuple[Tensor, ...]]]] = {
    GersPeephole: gers_peephole,
    AssignmentPeephole: assignment_peephole,
    PaperGRU: paper_gru,
}


def run_fused(
    core: nn.RNNBase, cell: Any, weights: dict[str, Tensor], x: Tensor, state: State | None
) -> tuple[Tensor, State]:
    """Call the kernel of torch.nn's module `core` with other weights, in training.

    Args:
        cell: one of FUSED.
        weights: in the order of the module's own.
        x: [B, T, D].
        state: as of `Recurrent.forward`.
    """
    if state is None:
        directions = 2 if core.bidirectional else 1
        zeros = x.new_zeros(core.num_layers * directions, x.shape[0], core.hidden_size)
        state = zeros if len(cell.state) == 1 else (zeros, zeros)
    outputs, *end = FUSED_CALL[cell](
        x, state, list(weights.values()), core.bias, core.num_layers, core.dropout, True, core.bidirectional, True
    )
    return outputs, tuple(end) if len(end) > 1 else end[0]
