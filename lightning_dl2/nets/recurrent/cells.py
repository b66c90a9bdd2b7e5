"""Equations of one step of every recurrent cell, in the notation of the papers.

Shapes: B batch, D input_size, H hidden_size, G gates of a cell.

The weights of one layer and direction are a dict with torch.nn's names and layout, gates stacked in the order of
`gates`: weight_ih [G*H, D], weight_hh [G*H, H], bias_ih [G*H], bias_hh [G*H]. Without biases the last two are absent.
Cells that torch.nn has carry its two bias vectors, although only their sum matters (except for the GRU's candidate);
the others carry bias_ih alone.

A new cell is a subclass of `Cell` and an entry in CELLS; the configuration's schema repeats its name. It learns through
autograd, step by step, until `kernels` has a faster backward pass for it.
"""

from collections.abc import Callable
from math import prod
from typing import ClassVar

from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from lightning_dl2.nets.checks import check_choice

Weights = dict[str, Tensor]
Step = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


class Cell:
    """Base of the cells.

    Attributes:
        gates: in the order in which the weights stack them.
        state: names of the quantities that go on to the next step, h first.
        forget_gate: the gate that keeps the state, or None.
        step: `(weights, x [B, D], *state)` -> every quantity of the step by name, each [B, H], as each state is.
    """

    gates: ClassVar[tuple[str, ...]]
    state: ClassVar[tuple[str, ...]]
    forget_gate: ClassVar[str | None]
    step: ClassVar[Callable[..., Step]]

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        """Return the shape of each weight of one layer and direction, with torch.nn's two bias vectors."""
        rows = len(cls.gates) * H
        return {"weight_ih": (rows, D), "weight_hh": (rows, H), "bias_ih": (rows,), "bias_hh": (rows,)}


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
    """Reset before the matrix, n = tanh(W x + b + U (r*h)) (Cho et al. 2014, equations 5 to 8)."""

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
    """LSTM whose gates also read the cell state, element by element (Gers et al. 2002, equations 1 to 6).

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


CELLS: dict[str, type[Cell]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU, "peephole": GersPeephole}
PEEPHOLES: dict[str, type[Cell]] = {"gers": GersPeephole, "assignment": AssignmentPeephole}


def find_cell(cell: str, *, reset_after: bool = True, peephole: str = "gers") -> type[Cell]:
    """Return the class of the named equations.

    Args:
        cell: one of CELLS.
        reset_after: of the GRU alone; False: the paper's form.
        peephole: of the peephole LSTM alone; one of PEEPHOLES.

    Raises:
        ValueError: an unknown `cell` or `peephole`.
    """
    check_choice("cell", cell, CELLS)
    check_choice("peephole", peephole, PEEPHOLES)
    if cell == "gru" and not reset_after:
        return PaperGRU
    return PEEPHOLES[peephole] if cell == "peephole" else CELLS[cell]


PARTS = {"weight_ih": "input", "weight_hh": "recurrent", "bias_ih": "biases", "bias_hh": "biases"}


def count_parameters(
    cell: str,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    *,
    bidirectional: bool = False,
    bias: bool = True,
    reset_after: bool = True,
    peephole: str = "gers",
) -> dict[str, int]:
    """Count the parameters of `Recurrent` without building it: {input, recurrent, biases, peepholes, total}.

    The full matrices from c of the assignment's peephole LSTM count as peepholes.

    Raises:
        ValueError: an unknown `cell` or `peephole`.
    """
    kind = find_cell(cell, reset_after=reset_after, peephole=peephole)
    num_directions = 2 if bidirectional else 1
    parts = {"input": 0, "recurrent": 0, "biases": 0, "peepholes": 0}
    for layers, features in ((1, input_size), (num_layers - 1, num_directions * hidden_size)):
        for name, shape in kind.shapes(features, hidden_size).items():
            if bias or not name.startswith("bias"):
                parts[PARTS.get(name, "peepholes")] += num_directions * layers * prod(shape)
    return {**parts, "total": sum(parts.values())}
