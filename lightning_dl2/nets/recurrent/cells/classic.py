"""Equations of the RNN, the LSTM, the GRU and the peephole LSTM, in the notation of the papers.

Shapes: B batch, D input_size, H hidden_size.
"""

from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.cells.base import Cell, Shapes, Step, Weights


class RNN(Cell):
    """Compute h' = tanh(W x + U h + b) (Elman 1990), as torch.nn.RNN does."""

    gates, state, forget_gate = ("h",), ("h",), None

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        a = F.linear(x, w["weight_ih"], w.get("bias_ih")) + F.linear(h, w["weight_hh"], w.get("bias_hh"))
        return {"h": tanh(a)}


class LSTM(Cell):
    """Compute c' = f*c + i*g, h' = o*tanh(c'), all gates from x and h (Gers et al. 2000), as torch.nn.LSTM does."""

    gates, state, forget_gate = ("i", "f", "g", "o"), ("h", "c"), "f"

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor, c: Tensor) -> Step:
        a = F.linear(x, w["weight_ih"], w.get("bias_ih")) + F.linear(h, w["weight_hh"], w.get("bias_hh"))
        i, f, g, o = a.chunk(4, dim=1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * tanh(c)
        return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": h}


class GRU(Cell):
    """Reset after the matrix, n = tanh(W x + b + r*(U h + b')), as torch.nn.GRU and cuDNN do."""

    gates, state, forget_gate = ("r", "z", "n"), ("h",), "z"

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        x_r, x_z, x_n = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(3, dim=1)
        h_r, h_z, h_n = F.linear(h, w["weight_hh"], w.get("bias_hh")).chunk(3, dim=1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = tanh(x_n + r * h_n)
        h = (1 - z) * n + z * h
        return {"r": r, "z": z, "n": n, "h": h}


class PaperGRU(Cell):
    """Reset before the matrix, n = tanh(W x + b + U (r*h)) (Cho et al. 2014)."""

    gates, state, forget_gate = ("r", "z", "n"), ("h",), "z"

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        return {"weight_ih": (3 * H, D), "weight_hh": (3 * H, H), "bias_ih": (3 * H,)}

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        x_r, x_z, x_n = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(3, dim=1)
        U_r, U_z, U_n = w["weight_hh"].chunk(3)
        r, z = sigmoid(x_r + F.linear(h, U_r)), sigmoid(x_z + F.linear(h, U_z))
        n = tanh(x_n + F.linear(r * h, U_n))
        h = (1 - z) * n + z * h
        return {"r": r, "z": z, "n": n, "h": h}


class GersPeephole(Cell):
    """LSTM whose gates also read the cell state, element by element (Gers et al. 2002).

    peephole [3, H]: from c into i and f, from c' into o.
    """

    gates, state, forget_gate = ("i", "f", "g", "o"), ("h", "c"), "f"

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        return {"weight_ih": (4 * H, D), "weight_hh": (4 * H, H), "bias_ih": (4 * H,), "peephole": (3, H)}

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor, c: Tensor) -> Step:
        a = F.linear(x, w["weight_ih"], w.get("bias_ih")) + F.linear(h, w["weight_hh"])
        i, f, g, o = a.chunk(4, dim=1)
        p_i, p_f, p_o = w["peephole"]
        i, f, g = sigmoid(i + p_i * c), sigmoid(f + p_f * c), tanh(g)
        c = f * c + i * g
        o = sigmoid(o + p_o * c)
        h = o * tanh(c)
        return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": h}


class AssignmentPeephole(Cell):
    """Peephole LSTM of the course, in which no gate reads h (UvA Deep Learning 2020, assignment 2).

    i, f and o read x and, through the full matrices weight_ch [3*H, H], c. The candidate g reads x alone, and is a
    sigmoid.
    """

    gates, state, forget_gate = ("i", "f", "g", "o"), ("h", "c"), "f"

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        return {"weight_ih": (4 * H, D), "weight_ch": (3 * H, H), "bias_ih": (4 * H,)}

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor, c: Tensor) -> Step:
        x_i, x_f, x_g, x_o = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(4, dim=1)
        c_i, c_f, c_o = F.linear(c, w["weight_ch"]).chunk(3, dim=1)
        i, f, g, o = sigmoid(x_i + c_i), sigmoid(x_f + c_f), sigmoid(x_g), sigmoid(x_o + c_o)
        c = f * c + i * g
        h = o * tanh(c)
        return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": h}
