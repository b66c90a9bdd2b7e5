"""One step of every recurrent cell, written as the papers write it, and how many parameters a cell has.

Shapes: B batch, D input_size, H hidden_size, G gates of a cell.

A step takes the weights of one layer and direction as a dict with torch.nn's names and layout, gates
stacked in the order of `gates`: weight_ih [G*H, D], weight_hh [G*H, H], bias_ih [G*H], bias_hh [G*H];
without biases the last two are absent. Cells that torch.nn has carry its two bias vectors, although only
their sum matters (but for the GRU's candidate); the others carry bias_ih alone. A step returns every
quantity that it names, each [B, H].

A cell of your own needs no more than a class as they stand here: `gates`, `state` (h first), the gate that
keeps the state or None, and `shapes`, `step` and `count`; its name goes into CELLS, `find_cell` and the
configuration's schema. It learns through autograd, step by step, until `kernels` has something faster for it.
"""

from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

CELLS = ("rnn", "lstm", "gru", "peephole")
PEEPHOLES = ("gers", "assignment")

Weights = dict[str, Tensor]
Step = dict[str, Tensor]


class RNN:
    """h' = tanh(W x + U h + b) (Elman 1990), torch.nn.RNN's equation."""

    gates, state, forget_gate = ("h",), ("h",), None

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        a = F.linear(x, w["weight_ih"], w.get("bias_ih")) + F.linear(h, w["weight_hh"], w.get("bias_hh"))
        return {"h": tanh(a)}

    @staticmethod
    def count(D: int, H: int) -> dict[str, int]:
        return {"input": H * D, "recurrent": H * H, "biases": 2 * H, "peepholes": 0}


class LSTM:
    """c' = f*c + i*g, h' = o*tanh(c') all gates from x and h (Gers et al. 2000): torch.nn.LSTM's form."""

    gates, state, forget_gate = ("i", "f", "g", "o"), ("h", "c"), "f"

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor, c: Tensor) -> Step:
        a = F.linear(x, w["weight_ih"], w.get("bias_ih")) + F.linear(h, w["weight_hh"], w.get("bias_hh"))
        i, f, g, o = a.chunk(4, dim=1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * tanh(c)
        return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": h}

    @staticmethod
    def count(D: int, H: int) -> dict[str, int]:
        return {"input": 4 * H * D, "recurrent": 4 * H * H, "biases": 8 * H, "peepholes": 0}


class GRU:
    """The reset gate after the matrix, n = tanh(W x + b + r*(U h + b')): torch.nn.GRU's and cuDNN's form."""

    gates, state, forget_gate = ("r", "z", "n"), ("h",), "z"

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        x_r, x_z, x_n = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(3, dim=1)
        h_r, h_z, h_n = F.linear(h, w["weight_hh"], w.get("bias_hh")).chunk(3, dim=1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = tanh(x_n + r * h_n)
        h = (1 - z) * n + z * h
        return {"r": r, "z": z, "n": n, "h": h}

    @staticmethod
    def count(D: int, H: int) -> dict[str, int]:
        return {"input": 3 * H * D, "recurrent": 3 * H * H, "biases": 6 * H, "peepholes": 0}


class PaperGRU:
    """The reset gate before the matrix, n = tanh(W x + b + U (r*h)) (Cho et al. 2014, equations 5 to 8)."""

    gates, state, forget_gate = ("r", "z", "n"), ("h",), "z"

    @staticmethod
    def shapes(D: int, H: int) -> dict[str, tuple[int, ...]]:
        return {"weight_ih": (3 * H, D), "weight_hh": (3 * H, H), "bias_ih": (3 * H,)}

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor) -> Step:
        x_r, x_z, x_n = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(3, dim=1)
        U_r, U_z, U_n = w["weight_hh"].chunk(3)
        r, z = sigmoid(x_r + F.linear(h, U_r)), sigmoid(x_z + F.linear(h, U_z))
        n = tanh(x_n + F.linear(r * h, U_n))
        h = (1 - z) * n + z * h
        return {"r": r, "z": z, "n": n, "h": h}

    @staticmethod
    def count(D: int, H: int) -> dict[str, int]:
        return {"input": 3 * H * D, "recurrent": 3 * H * H, "biases": 3 * H, "peepholes": 0}


class GersPeephole:
    """The LSTM whose gates also see the cell state, element by element (Gers et al. 2002, equations 1 to 6).

    peephole [3, H]: from c into i and f, from c' into o.
    """

    gates, state, forget_gate = ("i", "f", "g", "o"), ("h", "c"), "f"

    @staticmethod
    def shapes(D: int, H: int) -> dict[str, tuple[int, ...]]:
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

    @staticmethod
    def count(D: int, H: int) -> dict[str, int]:
        return {"input": 4 * H * D, "recurrent": 4 * H * H, "biases": 4 * H, "peepholes": 3 * H}


class AssignmentPeephole:
    """The course's peephole LSTM, in which no gate sees h (UvA Deep Learning 2020, assignment 2).

    i, f and o see x and, through the full matrices weight_ch [3*H, H], c; the candidate g sees x alone, and
    is a sigmoid.
    """

    gates, state, forget_gate = ("i", "f", "g", "o"), ("h", "c"), "f"

    @staticmethod
    def shapes(D: int, H: int) -> dict[str, tuple[int, ...]]:
        return {"weight_ih": (4 * H, D), "weight_ch": (3 * H, H), "bias_ih": (4 * H,)}

    @staticmethod
    def step(w: Weights, x: Tensor, h: Tensor, c: Tensor) -> Step:
        x_i, x_f, x_g, x_o = F.linear(x, w["weight_ih"], w.get("bias_ih")).chunk(4, dim=1)
        c_i, c_f, c_o = F.linear(c, w["weight_ch"]).chunk(3, dim=1)
        i, f, g, o = sigmoid(x_i + c_i), sigmoid(x_f + c_f), sigmoid(x_g), sigmoid(x_o + c_o)
        c = f * c + i * g
        h = o * tanh(c)
        return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": h}

    @staticmethod
    def count(D: int, H: int) -> dict[str, int]:
        return {"input": 4 * H * D, "recurrent": 0, "biases": 4 * H, "peepholes": 3 * H * H}


Cell = type[RNN] | type[LSTM] | type[GRU] | type[PaperGRU] | type[GersPeephole] | type[AssignmentPeephole]


def find_cell(cell: str, *, reset_after: bool = True, peephole: str = "gers") -> Cell:
    """The class of the named equations. The GRU alone reads `reset_after`, the peephole alone `peephole`.

    Raises:
        ValueError: `cell` is not in CELLS or `peephole` not in PEEPHOLES.
    """
    if cell not in CELLS:
        raise ValueError(f"cell is {cell!r}; it must be one of {', '.join(CELLS)}")
    if peephole not in PEEPHOLES:
        raise ValueError(f"peephole is {peephole!r}; it must be one of {', '.join(PEEPHOLES)}")
    return {
        "rnn": RNN,
        "lstm": LSTM,
        "gru": GRU if reset_after else PaperGRU,
        "peephole": GersPeephole if peephole == "gers" else AssignmentPeephole,
    }[cell]


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
    """How many parameters `Recurrent` has, by formula: {input, recurrent, biases, peepholes, total}.

    The full matrices from c of the assignment's peephole LSTM count as peepholes.

    Raises:
        ValueError: an unknown `cell` or `peephole`.
    """
    count = find_cell(cell, reset_after=reset_after, peephole=peephole).count
    num_directions = 2 if bidirectional else 1
    first, deeper = count(input_size, hidden_size), count(num_directions * hidden_size, hidden_size)
    parts = {part: num_directions * (first[part] + (num_layers - 1) * deeper[part]) for part in first}
    if not bias:
        parts["biases"] = 0
    return {**parts, "total": sum(parts.values())}
