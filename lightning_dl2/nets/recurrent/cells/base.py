"""Define what a recurrent cell is: the equations of one step, by the weights of one layer and direction.

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
`own_cells`. `check_cell` tests either. A cell of the package is a class in this folder, with an entry in CELLS and, for
the configuration's schema, one in `builtin/cells.py`. `kernels` may have a faster backward pass for a classic one.
"""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

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
        memory: the state that is an external memory of cells, [K, C], the first of which a step reads, or None. The
            gates are then the actions on it.
        written: the quantity that a step writes into a cell of the memory, [C], or None.
        step: `(weights, x [B, D], *state)` -> every quantity of the step by name, each [B, H], as each state is. h is
            the cell's output. A step with an argument `input_length` gets it by name: the steps of each sequence before
            its first answer, int64 [B]. So does its `sequence`. With an argument `training` both are told, True or
            False; its default must be False, because whoever takes single steps does not train.
        sequence: `(weights, x [T, B, D], *state)` -> h of all steps [T, B, H] and the tuple of the last states, as T
            steps give them, but faster; None: autograd takes the steps.
        prepare: `(weights)` -> weights with what all steps share, computed once before many steps; `step` takes
            weights with and without it. None: the steps share nothing.
        initialize: `(weights)`, called after `initialization` to set any of them in place; None: nothing is left to
            do. A weight of another name than those above needs it, unless initialization=torch.
    """

    gates: ClassVar[tuple[str, ...]] = ()
    state: ClassVar[tuple[str, ...]]
    forget_gate: ClassVar[str | None] = None
    memory: ClassVar[str | None] = None
    written: ClassVar[str | None] = None
    step: ClassVar[Callable[..., Step]]
    sequence: ClassVar[Callable[..., tuple[Tensor, tuple[Tensor, ...]]] | None] = None
    prepare: ClassVar[Callable[..., Weights] | None] = None
    initialize: ClassVar[Callable[..., None] | None] = None

    @classmethod
    def shapes(cls, D: int, H: int) -> Shapes:
        """Return the shape of each weight of one layer and direction, with torch.nn's two bias vectors."""
        rows = len(cls.gates) * H
        return {"weight_ih": (rows, D), "weight_hh": (rows, H), "bias_ih": (rows,), "bias_hh": (rows,)}

    @classmethod
    def state_shapes(cls, H: int) -> Shapes:
        """Return the shape of each state that is not [H], without the batch; that of h is the output's."""
        return {}
