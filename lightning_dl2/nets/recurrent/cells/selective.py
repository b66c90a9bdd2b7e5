"""Equations of the selective scan S6 of Mamba: a diagonal matrix that the input changes.

Shapes: B batch, D input_size, H hidden_size, N state_size, R rank of the step sizes, T steps.
"""

import math
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Cell, Shapes, Step, Weights
from lightning_dl2.nets.recurrent.cells.scan import prefers_loop, scan

SHORTEST, LONGEST, FLOOR = 1e-3, 1e-1, 1e-4  # of the first step sizes
CHUNK, LONG_CHUNK = 16, 256  # steps whose [B, H, N] are in memory at a time, on a CPU and elsewhere


class S6(Cell):
    """Compute a selective state space model (Gu & Dao 2023), with Mamba's gate.

        u, z = silu(W x)
        dt = softplus(W'' W' u + b), B = W_B u, C = W_C u
        S' = a*S + dt*B*u, a = exp(dt*A), A = -exp(A_log)   for each unit and each of its N numbers
        y = sum over N of C*S' + skip*u
        h' = y*z

    So a, the eigenvalues, lie in [0, 1]. Mamba's block adds a convolution over four steps and an output matrix, which
    are left out: a cell reads one step, and the next layer begins with a matrix. Memory over a sequence grows with T*H
    and not with N: the states are computed again in the backward pass, a chunk of steps at a time.

    Args:
        state_size: N.
        eigenvalues: `signed` takes 2a - 1 for a, in [-1, 1], with which a state can flip (Grazzi et al. 2024).
    """

    gates, state, forget_gate = ("a",), ("h", "S"), None

    def __init__(
        self, state_size: Annotated[int, Field(ge=1, le=1024)] = 16, eigenvalues: Literal["unit", "signed"] = "unit"
    ) -> None:
        self.state_size, self.eigenvalues = state_size, eigenvalues

    def shapes(self, D: int, H: int) -> Shapes:  # type: ignore[override]  # no classmethod: N is the instance's
        N, R = self.state_size, math.ceil(H / 16)
        matrices = {"weight_ih": (2 * H, D), "weight_select": (R + 2 * N, H), "weight_dt": (H, R)}
        return matrices | {"bias_dt": (H,), "A_log": (H, N), "skip": (H,)}

    def state_shapes(self, H: int) -> Shapes:  # type: ignore[override]  # likewise
        return {"S": (H, self.state_size)}

    def initialize(self, w: Weights) -> None:
        """Set A to -1, ..., -N in each unit (S4D-Real), and step sizes from 0.001 to 0.1."""
        H, R = w["weight_dt"].shape
        w["weight_dt"].uniform_(-(R**-0.5), R**-0.5)
        w["A_log"].copy_(torch.arange(1, self.state_size + 1).log().expand(H, -1))
        w["skip"].fill_(1)
        if "bias_dt" in w:
            dt = w["bias_dt"].uniform_(math.log(SHORTEST), math.log(LONGEST)).exp_().clamp_(min=FLOOR)
            dt.copy_(dt + torch.log(-torch.expm1(-dt)))  # softplus gives dt again

    def step(self, w: Weights, x: Tensor, h: Tensor, S: Tensor) -> Step:
        u, z, dt, B, C = self._select(w, x)
        a, b = _discretize(self.eigenvalues == "signed", w["A_log"], u, dt, B)
        S = a * S + b
        y = (S * C.unsqueeze(-2)).sum(-1) + w["skip"] * u
        return {"u": u, "z": z, "dt": dt, "B": B, "C": C, "a": a, "S": S, "y": y, "h": y * z}

    def sequence(self, w: Weights, x: Tensor, h: Tensor, S: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        u, z, dt, B, C = self._select(w, x)
        ys, S = _Chunks.apply(self.eigenvalues == "signed", w["A_log"], S, u, dt, B, C)
        hs = (ys + w["skip"] * u) * z
        return hs, (hs[-1], S)

    def _select(self, w: Weights, x: Tensor) -> tuple[Tensor, ...]:
        """Return u, z, dt [..., H] and B, C [..., N], all from x."""
        u, z = F.silu(F.linear(x, w["weight_ih"])).chunk(2, dim=-1)
        N, R = self.state_size, w["weight_dt"].shape[1]
        dt, B, C = F.linear(u, w["weight_select"]).split([R, N, N], dim=-1)
        return u, z, F.softplus(F.linear(dt, w["weight_dt"], w.get("bias_dt"))), B, C


class SignedS6(S6):
    """Compute `S6` with eigenvalues in [-1, 1]."""

    def __init__(self, state_size: Annotated[int, Field(ge=1, le=1024)] = 16) -> None:
        super().__init__(state_size, "signed")


def _discretize(signed: bool, A_log: Tensor, u: Tensor, dt: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors and the summands of the recurrence, [..., H, N]."""
    a = torch.exp(dt.unsqueeze(-1) * -A_log.exp())
    if signed:
        a = 2 * a - 1
    return a, (dt * u).unsqueeze(-1) * B.unsqueeze(-2)


def _run(signed: bool, A_log: Tensor, S: Tensor, u: Tensor, dt: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """Return C*S summed over N of some steps, and the last S."""
    a, b = _discretize(signed, A_log, u, dt, B)
    states = scan(a, b, S, overwrite=True)
    return (states @ C.unsqueeze(-1)).squeeze(-1), states[-1].clone()  # a view would keep the states of all steps


class _Chunks(Function):
    """Run a chunk of steps at a time, and keep the states between chunks; the backward pass runs each chunk again."""

    @staticmethod
    def forward(ctx: Any, signed: bool, A_log: Tensor, S: Tensor, *sequences: Tensor) -> tuple[Tensor, Tensor]:
        ys, between = [], []
        ctx.steps = CHUNK if prefers_loop(S.device) else LONG_CHUNK
        for parts in zip(*(part.split(ctx.steps) for part in sequences), strict=True):
            between.append(S)
            y, S = _run(signed, A_log, S, *parts)
            ys.append(y)
        ctx.signed = signed
        ctx.save_for_backward(A_log, *sequences, *between)
        return torch.cat(ys), S

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_S: Tensor) -> tuple[Tensor | None, ...]:
        A_log, u, dt, B, C, *between = ctx.saved_tensors
        chunks = [part.split(ctx.steps) for part in (u, dt, B, C)]
        grad_A, grads = torch.zeros_like(A_log), []
        for number, grad in reversed(list(enumerate(grad_y.split(ctx.steps)))):
            parts = [A_log, between[number], *(part[number] for part in chunks)]
            leaves = [part.detach().requires_grad_() for part in parts]
            with torch.enable_grad():
                outputs = _run(ctx.signed, *leaves)
            of_A, grad_S, *rest = torch.autograd.grad(outputs, leaves, (grad, grad_S))
            grad_A += of_A
            grads.append(rest)
        of_sequences = (torch.cat(parts) for parts in zip(*reversed(grads), strict=True))
        return None, grad_A, grad_S, *of_sequences
