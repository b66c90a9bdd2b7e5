"""Equations of an RNN that reads and writes a tape.

Shapes: B batch, D input_size, H hidden_size, K cells of the tape, C numbers of a cell, T steps.
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

LIMIT = 1000.0  # of h: behind the end of a short sequence it may grow without bound, and infinity times 0 is no number


class TapeRNN(ActingCell):
    """Compute h' = relu(W [x; M_0] + U h + b), and M', where h' writes on the tape M and moves it.

    v = P h' + p replaces M_0, the cell under the head. (stay, left, right, jump_left, jump_right) = softmax(A h' + a).
    The new tape is the mean of the five outcomes: M'_k = stay*M_k + left*M_(k+1) + right*M_(k-1) + jump_left*M_(k+d)
    + jump_right*M_(k-d). The tape is a ring, so indices count modulo its cells. A jump d is as long as the sequence's
    input (Deletang et al. 2023, "Neural Networks and the Chomsky Hierarchy", the tape with jumps in their code).
    Here h is 1000 at most. There v comes from two hidden layers more, and the ring has 40 cells, whatever the length.

    No weight's shape depends on K. `sequence` computes only the cells of the batch's longest ring.

    Args:
        tape_size: K, the most cells of a ring.
        cell_size: C.
        fits_input: the ring of a sequence with an input of n steps has 2 n + 2 cells, K at most: a short input costs
            little, and a long one finds room. False: each has K.
        jump_offset: added to the input's length: d = n + jump_offset. With -1, jump and the n - 1 moves to the place
            before it take n steps: the tape can then be read with a period of n.
        choice, rounded, sharpness, sharpening: as of ActingCell.
    """

    gates, state, forget_gate = ("stay", "left", "right", "jump_left", "jump_right"), ("h", "M"), None
    memory, written = "M", "v"

    def __init__(
        self,
        tape_size: Size = 1024,
        cell_size: Size = 8,
        fits_input: bool = True,
        jump_offset: int = 0,
        choice: Choice = "softmax",
        rounded: bool = False,
        sharpness: Sharpness = 1.0,
        sharpening: Sharpening | None = None,
    ) -> None:
        super().__init__(choice, rounded, sharpness, sharpening)
        self.tape_size, self.cell_size = tape_size, cell_size
        self.fits_input, self.jump_offset = fits_input, jump_offset

    def shapes(self, D: int, H: int) -> Shapes:  # type: ignore[override]  # no classmethod: C is the instance's
        C = self.cell_size
        controller = {"weight_ih": (H, D + C), "weight_hh": (H, H), "bias_ih": (H,)}
        written = {"weight_write": (C, H), "bias_write": (C,)}
        return controller | {"weight_actions": (len(self.gates), H), "bias_actions": (len(self.gates),)} | written

    def state_shapes(self, H: int) -> Shapes:  # type: ignore[override]  # likewise
        return {"M": (self.tape_size, self.cell_size)}

    def step(
        self,
        w: Weights,
        x: Tensor,
        h: Tensor,
        M: Tensor,
        input_length: Tensor,
        training: bool = False,
        optimizer_step: int | None = None,
    ) -> Step:
        w = self.sharpened(w, optimizer_step)
        h = F.linear(torch.cat([x, M[:, 0]], 1), w["weight_ih"], w.get("bias_ih")) + F.linear(h, w["weight_hh"])
        h = h.clamp(0, LIMIT)
        scores = F.linear(h, w["weight_actions"], w.get("bias_actions"))
        actions = choose(scores, self.choice, self.rounded and not training)
        v = F.linear(h, w["weight_write"], w.get("bias_write"))
        written = torch.cat([v.unsqueeze(1), M[:, 1:]], 1)
        ring, jump = self._ring(input_length), input_length + self.jump_offset
        moves: list[Any] = [0, 1, -1, jump[:, None], -jump[:, None]]  # in the order of `gates`
        cells = torch.arange(self.tape_size, device=x.device)
        after = torch.zeros_like(M)
        for move, action in zip(moves, actions.split(1, 1), strict=True):
            index = ((cells + move) % ring[:, None]).unsqueeze(2).expand_as(M)
            after = after + action.unsqueeze(2) * written.gather(1, index)
        M = after * (cells < ring[:, None]).unsqueeze(2)
        named = dict(zip(self.gates, actions.split(1, 1), strict=True))
        return named | {"v": v, "M": M, "read": M[:, 0], "h": h}

    def sequence(
        self,
        w: Weights,
        x: Tensor,
        h: Tensor,
        M: Tensor,
        input_length: Tensor,
        training: bool = False,
        optimizer_step: int | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        w = self.sharpened(w, optimizer_step)
        D, ring = x.shape[2], self._ring(input_length)
        K = int(ring.max())
        from_state = torch.cat([w["weight_hh"], w["weight_ih"][:, D:]], 1)
        to_tape = torch.cat([w["weight_actions"], w["weight_write"]])
        bias = torch.cat([w["bias_actions"], w["bias_write"]]) if "bias_write" in w else to_tape.new_zeros(len(to_tape))
        inputs = F.linear(x, w["weight_ih"][:, :D], w.get("bias_ih")), from_state, to_tape, bias, h, M[:, :K]
        keeps = torch.is_grad_enabled() and any(part.requires_grad for part in inputs)
        hs, M = _TapeRNN.apply(
            keeps, _Moves(ring, input_length + self.jump_offset, K), self.choice, self.rounded and not training, *inputs
        )
        return hs, (hs[-1], F.pad(M, (0, 0, 0, self.tape_size - K)))

    def _ring(self, input_length: Tensor) -> Tensor:
        """Return the cells of each sequence's ring, [B]."""
        fitting = 2 * input_length + 2 if self.fits_input else torch.full_like(input_length, self.tape_size)
        return fitting.clamp(max=self.tape_size)


class _Moves:
    """Mix the five outcomes of a step, or the gradients that they get, by the places of cells on rings.

    A tape [B, K+2, C] in here has a row before M_0 and one behind M_(K-1): row k+1 is M_k. `close` copies the ends of
    each ring into the rows beside them, so that a move by one cell is a view.

    Args:
        ring: cells of each sequence's ring, [B].
        jump: length of its jumps, [B].
        K: of the longest ring.
    """

    def __init__(self, ring: Tensor, jump: Tensor, K: int) -> None:
        B, cells = len(ring), torch.arange(K, device=ring.device)
        rows = torch.arange(B, device=ring.device)[:, None] * (K + 2) + 1
        inside = cells < ring[:, None]
        self.inside = None if bool(inside.all()) else inside.unsqueeze(2)
        places = [rows + (cells + move[:, None]) % ring[:, None] for move in (jump, -jump)]  # behind the ring: any
        self.there, self.back = torch.stack(places, 1).flatten(), torch.stack(places[::-1], 1).flatten()
        self.first, self.last = rows[:, 0], rows[:, 0] + ring - 1

    def close(self, tape: Tensor) -> None:
        """Copy M_0 behind the last cell of each ring, and the last cell before M_0."""
        flat = tape.flatten(0, 1)
        flat[self.first - 1], flat[self.last + 1] = flat[self.last], flat[self.first]

    def outcomes(self, tape: Tensor, index: Tensor) -> list[Tensor]:
        """Return a closed tape as each action leaves it, [B, K, C], in the order of the actions."""
        B, rows, C = tape.shape
        jumped = tape.flatten(0, 1).index_select(0, index).view(B, 2, rows - 2, C)
        return [tape[:, 1:-1], tape[:, 2:], tape[:, :-2], jumped[:, 0], jumped[:, 1]]

    def mix(self, outcomes: list[Tensor], actions: Tensor, out: Tensor) -> None:
        """Write the mean of the outcomes, weighted by actions [B, 5], into `out` [B, K, C]."""
        weights = actions[:, :, None, None].unbind(1)
        torch.mul(outcomes[0], weights[0], out=out)
        for outcome, weight in zip(outcomes[1:], weights[1:], strict=True):
            out.addcmul_(outcome, weight)


class _TapeRNN(Function):
    """Take all steps; a backward step needs the written tape, h and the weights of the actions.

    `read` is [h; M_0]. Tapes are those of `_Moves`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        keeps: bool,
        moves: _Moves,
        choice: Choice,
        rounded: bool,
        x: Tensor,
        from_state: Tensor,
        to_tape: Tensor,
        bias: Tensor,
        h: Tensor,
        M: Tensor,
    ) -> tuple[Tensor, Tensor]:
        T, (B, H), (K, C) = len(x), h.shape, M.shape[1:]
        reads, actions = x.new_empty(T + 1, B, H + C), x.new_empty(T, B, 5)
        tapes = x.new_zeros(T + 1 if keeps else 2, B, K + 2, C)
        reads[0, :, :H], reads[0, :, H:], tapes[0, :, 1:-1] = h, M[:, 0], M
        from_state_t, to_tape_t = from_state.t(), to_tape.t()
        for t in range(T):
            before, after = tapes[t % len(tapes)], tapes[(t + 1) % len(tapes)]
            h = torch.addmm(x[t], reads[t], from_state_t).clamp_(0, LIMIT)
            y = torch.addmm(bias, h, to_tape_t)
            actions[t] = choose(y[:, :5], choice, rounded)
            before[:, 1] = y[:, 5:]
            moves.close(before)
            moves.mix(moves.outcomes(before, moves.there), actions[t], after[:, 1:-1])
            reads[t + 1, :, :H], reads[t + 1, :, H:] = h, after[:, 1]
        if keeps:
            ctx.moves, ctx.choice = moves, choice
            ctx.save_for_backward(reads, actions, tapes, from_state, to_tape)
        M = tapes[T % len(tapes), :, 1:-1]
        return reads[1:, :, :H], M.clone() if moves.inside is None else M * moves.inside

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hs: Tensor, grad_M: Tensor) -> tuple[Tensor | None, ...]:
        reads, actions, tapes, from_state, to_tape = ctx.saved_tensors
        moves, (T, B) = ctx.moves, actions.shape[:2]
        H, (K, C) = len(from_state), grad_M.shape[1:]
        hs = reads[1:, :, :H]
        d, d_y, d_hs = hs.new_empty(T, B, H), hs.new_empty(T, B, 5 + C), ((hs > 0) & (hs < LIMIT)).to(hs.dtype)
        after, before = F.pad(grad_M, (0, 0, 1, 1)), hs.new_zeros(B, K + 2, C)
        dh, turned = grad_hs[-1].clone(), [0, 2, 1, 3, 4]  # what a move to the left brought, one to the right returns
        for t in reversed(range(T)):
            inner, grad, p = after[:, 1:-1], d_y[t], actions[t]
            if moves.inside is not None:
                inner.mul_(moves.inside)
            for number, outcome in enumerate(moves.outcomes(tapes[t], moves.there)):
                torch.sum(inner * outcome, (1, 2), out=grad[:, number])
            to_scores(grad[:, :5], p, ctx.choice)
            moves.close(after)
            moves.mix(moves.outcomes(after, moves.back), p[:, turned], before[:, 1:-1])
            grad[:, 5:] = before[:, 1]
            torch.mul(dh.addmm_(grad, to_tape), d_hs[t], out=d[t])
            d_read = d[t] @ from_state
            before[:, 1] = d_read[:, H:]
            dh = d_read[:, :H]
            if t > 0:
                dh = dh + grad_hs[t - 1]
            after, before = before, after
        d_from_state = d.flatten(0, 1).t() @ reads[:-1].flatten(0, 1)
        d_to_tape = d_y.flatten(0, 1).t() @ hs.flatten(0, 1)
        d_M = after[:, 1:-1] if moves.inside is None else after[:, 1:-1] * moves.inside
        return None, None, None, None, d, d_from_state, d_to_tape, d_y.sum((0, 1)), dh, d_M
