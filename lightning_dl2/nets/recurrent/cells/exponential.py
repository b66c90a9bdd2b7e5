"""Equations of the sLSTM: exponential gates, with a normaliser and a stabiliser.

Shapes: B batch, D input_size, H hidden_size, T steps.
"""

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Cell, Shapes, Step, Weights


class SLSTM(Cell):
    """Compute h' = o*c'/n', c' = f*c + i*z, n' = f*n + i (Beck et al. 2024, section 2.2), with one head.

    All gates read x and h, as in an LSTM; i = exp(i~) and f = sigmoid(f~). The states c and n are divided by exp(m),
    where m' = max(log f + m, i~): i and f of the trace are the paper's i' and f', at most 1, and h is the same. In the
    first step m' is i~, so that n' is 1 however small i is.
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
        return _step(w, F.linear(x, w["weight_ih"], w.get("bias_ih")), h, m, n, c)

    @staticmethod
    def sequence(w: Weights, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        hs = []
        for inputs in F.linear(x, w["weight_ih"], w.get("bias_ih")):
            values = _step(w, inputs, *state)
            state = tuple(values[name] for name in SLSTM.state)
            hs.append(values["h"])
        return torch.stack(hs), state


def _step(w: Weights, inputs: Tensor, h: Tensor, m: Tensor, n: Tensor, c: Tensor) -> Step:
    i, f, z, o = (inputs + F.linear(h, w["weight_hh"])).chunk(4, dim=1)
    kept = F.logsigmoid(f) + m
    m = torch.where(n == 0, i, torch.maximum(kept, i))
    i, f = torch.exp(i - m), torch.exp((kept - m).clamp(max=0))  # above 0 in the first step alone, where c is 0
    z, o = tanh(z), sigmoid(o)
    c, n = f * c + i * z, f * n + i
    return {"i": i, "f": f, "z": z, "o": o, "m": m, "n": n, "c": c, "h": o * c / n}
