"""Equations of minGRU and minLSTM: gates that read x alone, and a linear state.

Shapes: B batch, D input_size, H hidden_size, T steps.
"""

from torch import Tensor, sigmoid
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Cell, Shapes, Step, Weights
from lightning_dl2.nets.recurrent.cells.scan import scan


class MinGRU(Cell):
    """Compute h' = (1 - z)*h + z*n, z = sigmoid(W x + b), n = W x + b (Feng et al. 2024).

    The weights hold the gate f = 1 - z in place of z, so that `forget_bias` acts as in the other cells: f is
    sigmoid(-a) where z is sigmoid(a), and its rows are those of z with the other sign.
    """

    gates, state, forget_gate = ("f", "n"), ("h",), "f"

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        return {"weight_ih": (2 * H, D), "bias_ih": (2 * H,)}

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        f, n = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(2, dim=-1)
        f = sigmoid(f)
        z = 1 - f
        return {"f": f, "z": z, "n": n, "h": f * h + z * n}

    @staticmethod
    def sequence(w: Weights, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        f, n = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(2, dim=-1)
        f = sigmoid(f)
        hs = scan(f, (1 - f) * n, h, overwrite=True)
        return hs, (hs[-1],)


class MinLSTM(Cell):
    """Compute h' = f*h + i*n, n = W x + b (Feng et al. 2024).

    The gates are normalised: f = f~ / (f~ + i~) and i = i~ / (f~ + i~), where f~ and i~ are sigmoid(W x + b). Hence
    f = sigmoid(log f~ - log i~), which no underflow turns into 0/0. A number as `forget_bias` gives f = 1 / (1 + i~) at
    most; `chrono` shuts i~, too.
    """

    gates, state, forget_gate = ("i", "f", "n"), ("h",), "f"

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        return {"weight_ih": (3 * H, D), "bias_ih": (3 * H,)}

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        i, f, n = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(3, dim=-1)
        f = sigmoid(F.logsigmoid(f) - F.logsigmoid(i))
        i = 1 - f
        return {"i": i, "f": f, "n": n, "h": f * h + i * n}

    @staticmethod
    def sequence(w: Weights, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        i, f, n = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(3, dim=-1)
        f = sigmoid(F.logsigmoid(f) - F.logsigmoid(i))
        hs = scan(f, (1 - f) * n, h, overwrite=True)
        return hs, (hs[-1],)
