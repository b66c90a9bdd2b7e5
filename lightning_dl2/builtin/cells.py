"""List what the schemas know of the recurrent cells that are built in, without importing torch.

`tests/test_names.py` compares each fact with the class of the name in `nets/recurrent/cells/`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class CellFacts:
    """Facts of a cell.

    Attributes:
        kept: numbers that training keeps of each unit and step for the gradient, at least.
        forget_gate: whether `task.forget_bias` has a gate to fill.
        drops_weights: whether `task.weight_dropout` has a matrix from the state to act on.
        bias: whether the cell has one.
        reads_text: whether the cell reads a text without end; False: its step takes the length of an input.
    """

    kept: int = 4
    forget_gate: bool = True
    drops_weights: bool = True
    bias: bool = True
    reads_text: bool = True


BILSTM = "bilstm"  # the course's name for cell=lstm with bidirectional=true
CELLS = {
    "rnn": CellFacts(kept=1, forget_gate=False),
    "lstm": CellFacts(),
    "gru": CellFacts(),
    "peephole": CellFacts(),
    "mingru": CellFacts(kept=2, drops_weights=False),
    "minlstm": CellFacts(kept=2, drops_weights=False),
    "lru": CellFacts(forget_gate=False, drops_weights=False, bias=False),
    "s6": CellFacts(forget_gate=False, drops_weights=False),
    "s6_signed": CellFacts(forget_gate=False, drops_weights=False),
    "indrnn": CellFacts(kept=1, forget_gate=False),
    "layernorm_lstm": CellFacts(),
    "slstm": CellFacts(),
    "mlstm": CellFacts(forget_gate=False, drops_weights=False),
    "gated_deltanet": CellFacts(forget_gate=False, drops_weights=False),
    "gated_deltanet_signed": CellFacts(forget_gate=False, drops_weights=False),
    "exprnn": CellFacts(kept=1, forget_gate=False, drops_weights=False),
    "stack_rnn": CellFacts(kept=1, forget_gate=False),
    "tape_rnn": CellFacts(kept=1, forget_gate=False, reads_text=False),
}
