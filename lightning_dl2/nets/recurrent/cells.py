"""Equations of one step of every recurrent cell, in the notation of the papers.

Shapes: B batch, D input_size, H hidden_size, G gates of a cell, T steps.

The weights of one layer and direction are a dict with torch.nn's names and layout, gates stacked in the order of
`gates`: weight_ih [G*H, D], weight_hh [G*H, H], bias_ih [G*H], bias_hh [G*H]. Without biases the last two are absent.
Cells that torch.nn has carry its two bias vectors, although only their sum matters (except for the GRU's candidate);
the others carry bias_ih alone.

A cell of your own is a subclass of `Cell` in any module, named by its dotted path: task.cell=digits.cells.Leaky.

    class Leaky(Cell):
        gates, state, forget_gate = ("h",), ("h",), None

        @staticmethod
        def step(w, x, h):
            a = F.linear(x, w["weight_ih"], w.get("bias_ih")) + F.linear(h, w["weight_hh"], w.get("bias_hh"))
            return {"h": 0.5 * h + 0.5 * tanh(a)}

It learns through autograd, step by step, unless it has a `sequence`. An nn.Module with a `step` is a cell, too: see
`own_cells`. `check_cell` tests either. A cell of the package is a class here and an entry in CELLS; the configuration's
schema repeats its name, and `kernels` may have a faster backward pass for it.
"""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

Weights = dict[str, Tensor]
Step = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


class Cell:
    """Base of the cells.

    Names of weights have a meaning. `initialization` draws weight_ih* as matrices from the input, and other weight*
    as matrices from the state; it zeroes bias* and peephole*. `weight_dropout` drops weight_hh* and weight_ch*.
    `forget_bias` fills the forget gate's part of bias_ih. `bias=False` leaves bias* out.

    Attributes:
        gates: in the order in which the weights stack them.
        state: names of the quantities that go on to the next step, h first. They begin as zeros.
        forget_gate: the gate that keeps the state, or None.
        step: `(weights, x [B, D], *state)` -> every quantity of the step by name, each [B, H], as each state is. h is
            the cell's output.
        sequence: `(weights, x [T, B, D], *state)` -> h of all steps [T, B, H] and the tuple of the last states, as T
            steps give them, but faster; None: autograd takes the steps.
        initialize: `(weights)`, called after `initialization` to set any of them in place; None: nothing is left to
            do. A weight of another name than those above needs it, unless initialization=torch.
    """

    gates: ClassVar[tuple[str, ...]] = ()
    state: ClassVar[tuple[str, ...]]
    forget_gate: ClassVar[str | None] = None
    step: ClassVar[Callable[..., Step]]
    sequence: ClassVar[Callable[..., tuple[Tensor, tuple[Tensor, ...]]] | None] = None
    initialize: ClassVar[Callable[[Weights], None] | None] = None

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        """Return the shape of each weight of one layer and direction, with torch.nn's two bias vectors."""
        rows = len(cls.gates) * H
        return {"weight_ih": (rows, D), "weight_hh": (rows, H), "bias_ih": (rows,), "bias_hh": (rows,)}

    @classmethod
    def state_shapes(cls, H: int) -> Shapes:
        """Return the shape of each state that is not [H], without the batch; that of h is the output's."""
        return {}


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
