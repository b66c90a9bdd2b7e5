"""Equations of an RNN that reads and writes a stack.

Shapes: B batch, D input_size, H hidden_size, K cells of the stack, C numbers of a cell, T steps.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Shapes, Step, Weights
from lightning_dl2.nets.recurrent.cells.external_memory.actions import (
    ActingCell,
    Choice,
    Sharpening,
    Sharpness,
    Size,
    choose,
    to_scores,
)


class StackRNN(ActingCell):
    """Compute h' = relu(W [x; S_0] + U h + b), and S', where h' pushes on the stack S, pops, or leaves it as it is.

    (push, pop, no_op) = softmax(A h' + a) and v = P h' + p. The new stack is the mean of the three outcomes:
    S'_k = push*S_(k-1) + pop*S_(k+1) + no_op*S_k, where S_(-1) is v, S_0 the top, and S_K zero: an empty cell is zero,
    and what is pushed below the last cell is lost (Joulin & Mikolov 2015). As in the code of Deletang et al. 2023 h is
    rectified and v linear, where the older paper has sigmoids.

    No weight's shape depends on K: a net may be evaluated with a deeper stack than it was trained with. `sequence`
    computes only the cells that can be filled: a deep stack costs a short sequence nothing.

    Args:
        stack_size: K.
        cell_size: C.
        choice, rounded, sharpness, sharpening: as of ActingCell.
    """

    gates, state, forget_gate = ("push", "pop", "no_op"), ("h", "S"), None
    memory, written = "S", "v"

    def __init__(
        self,
        stack_size: Size = 512,
        cell_size: Size = 8,
        choice: Choice = "softmax",
        rounded: bool = False,
        sharpness: Sharpness = 1.0,
        sharpening: Sharpening | None = None,
    ) -> None:
        super().__init__(choice, rounded, sharpness, sharpening)
        self.stack_size, self.cell_size = stack_size, cell_size

    def shapes(self, D: int, H: int) -> Shapes:  # type: ignore[override]  # no classmethod: C is the instance's
        C = self.cell_size
        controller = {"weight_ih": (H, D + C), "weight_hh": (H, H), "bias_ih": (H,)}
        pushed = {"weight_push": (C, H), "bias_push": (C,)}
        return controller | {"weight_actions": (3, H), "bias_actions": (3,)} | pushed

    def state_shapes(self, H: int) -> Shapes:  # type: ignore[override]  # likewise
        return {"S": (self.stack_size, self.cell_size)}

    def step(
        self, w: Weights, x: Tensor, h: Tensor, S: Tensor, training: bool = False, optimizer_step: int | None = None
    ) -> Step:
        w = self.sharpened(w, optimizer_step)
        h = F.linear(torch.cat([x, S[:, 0]], 1), w["weight_ih"], w.get("bias_ih")) + F.linear(h, w["weight_hh"])
        h = h.relu()
        scores = F.linear(h, w["weight_actions"], w.get("bias_actions"))
        actions = choose(scores, self.choice, self.rounded and not training)
        v = F.linear(h, w["weight_push"], w.get("bias_push"))
        push, pop, no_op = actions.split(1, dim=1)
        below, above = torch.cat([v.unsqueeze(1), S[:, :-1]], 1), F.pad(S[:, 1:], (0, 0, 0, 1))
        S = push.unsqueeze(2) * below + pop.unsqueeze(2) * above + no_op.unsqueeze(2) * S
        return {"push": push, "pop": pop, "no_op": no_op, "v": v, "S": S, "top": S[:, 0], "h": h}

    def sequence(
        self, w: Weights, x: Tensor, h: Tensor, S: Tensor, training: bool = False, optimizer_step: int | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        w = self.sharpened(w, optimizer_step)
        D, depth = x.shape[2], _depth(S)
        S = S[:, : min(self.stack_size, depth + len(x))]
        from_state = torch.cat([w["weight_hh"], w["weight_ih"][:, D:]], 1)
        to_stack = torch.cat([w["weight_actions"], w["weight_push"]])
        bias = torch.cat([w["bias_actions"], w["bias_push"]]) if "bias_push" in w else to_stack.new_zeros(len(to_stack))
        inputs = F.linear(x, w["weight_ih"][:, :D], w.get("bias_ih")), from_state, to_stack, bias, h, S
        keeps = torch.is_grad_enabled() and any(part.requires_grad for part in inputs)
        hs, S = _StackRNN.apply(keeps, depth, self.choice, self.rounded and not training, *inputs)
        return hs, (hs[-1], F.pad(S, (0, 0, 0, self.stack_size - S.shape[1])))


def _depth(S: Tensor) -> int:
    """Return how many cells of a stack may count: all that have a gradient, else down to the last that is not zero."""
    if S.requires_grad:
        return S.shape[1]
    filled = (S != 0).any(2).any(0).nonzero()
    return int(filled[-1]) + 1 if len(filled) else 0


class _StackRNN(Function):
    """Take all steps; a backward step needs the stack before it, h and the weights of the actions.

    Row 0 of a stack [B, K+2, C] in here is v, pushed in the next step, and the last row is zero: row k+1 is S_k. So
    the three outcomes are its rows from 0, 2 and 1. `read` is [h; S_0].
    """

    @staticmethod
    def forward(
        ctx: Any,
        keeps: bool,
        depth: int,
        choice: Choice,
        rounded: bool,
        x: Tensor,
        from_state: Tensor,
        to_stack: Tensor,
        bias: Tensor,
        h: Tensor,
        S: Tensor,
    ) -> tuple[Tensor, Tensor]:
        T, (B, H), (K, C) = len(x), h.shape, S.shape[1:]
        reads, actions = x.new_empty(T + 1, B, H + C), x.new_empty(T, B, 3, 1)
        stacks = x.new_zeros(T + 1 if keeps else 2, B, K + 2, C)
        reads[0, :, :H], reads[0, :, H:], stacks[0, :, 1:-1] = h, S[:, 0], S
        from_state_t, to_stack_t = from_state.t(), to_stack.t()
        for t in range(T):
            rows = min(K, depth + t + 1)  # that can be filled after this step
            before, after = stacks[t % len(stacks)], stacks[(t + 1) % len(stacks)]
            h = torch.addmm(x[t], reads[t], from_state_t).relu_()
            y = torch.addmm(bias, h, to_stack_t)
            actions[t, :, :, 0] = choose(y[:, :3], choice, rounded)
            before[:, 0] = y[:, 3:]
            push, pop, no_op = actions[t].split(1, 1)
            S = torch.mul(before[:, :rows], push, out=after[:, 1 : rows + 1])
            S.addcmul_(before[:, 2 : rows + 2], pop).addcmul_(before[:, 1 : rows + 1], no_op)
            reads[t + 1, :, :H], reads[t + 1, :, H:] = h, S[:, 0]
        if keeps:
            ctx.depth, ctx.choice = depth, choice
            ctx.save_for_backward(reads, actions, stacks, from_state, to_stack)
        return reads[1:, :, :H], stacks[T % len(stacks), :, 1:-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hs: Tensor, grad_S: Tensor) -> tuple[Tensor | None, ...]:
        reads, actions, stacks, from_state, to_stack = ctx.saved_tensors
        T, B = actions.shape[:2]
        H, K, C = len(from_state), *grad_S.shape[1:]
        hs = reads[1:, :, :H]
        d, d_y, d_hs = hs.new_empty(T, B, H), hs.new_empty(T, B, 3 + C), (hs > 0).to(hs.dtype)
        grads = [F.pad(grad_S, (0, 0, 1, 1)), hs.new_zeros(B, K + 2, C)]
        dh = grad_hs[-1].clone()
        for t in reversed(range(T)):
            rows = min(K, ctx.depth + t + 1)
            before, after, grad = stacks[t], grads[0][:, 1 : rows + 1], d_y[t]
            push, pop, no_op = actions[t].split(1, 1)
            for number, first in enumerate((0, 2, 1)):
                torch.sum(after * before[:, first : first + rows], (1, 2), out=grad[:, number])
            to_scores(grad[:, :3], actions[t].squeeze(2), ctx.choice)
            torch.mul(after[:, 0], push[:, 0], out=grad[:, 3:])
            torch.mul(dh.addmm_(grad, to_stack), d_hs[t], out=d[t])
            # gradients of rows that are not filled yet: zero, and read by none
            shares = torch.mul(grads[0][:, 2 : rows + 2], push, out=grads[1][:, 1 : rows + 1])
            shares.addcmul_(grads[0][:, :rows], pop).addcmul_(after, no_op)
            grads.reverse()
            d_read = d[t] @ from_state
            grads[0][:, 1] += d_read[:, H:]
            dh = d_read[:, :H]
            if t > 0:
                dh = dh + grad_hs[t - 1]
        d_from_state = d.flatten(0, 1).t() @ reads[:-1].flatten(0, 1)
        d_to_stack = d_y.flatten(0, 1).t() @ hs.flatten(0, 1)
        return None, None, None, None, d, d_from_state, d_to_stack, d_y.sum((0, 1)), dh, grads[0][:, 1:-1]
