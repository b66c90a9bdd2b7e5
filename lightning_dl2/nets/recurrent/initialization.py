"""Initialise recurrent nets by name: the weights, gate by gate, and the forget gate's bias."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.recurrent.cells import Weights
from lightning_dl2.nets.recurrent.own_cells import name_of

_INPUT: dict[str, Callable[[Tensor], Tensor]] = {
    "kaiming": nn.init.kaiming_normal_,
    "xavier": nn.init.xavier_uniform_,
    "orthogonal": nn.init.xavier_uniform_,
}
_RECURRENT = _INPUT | {"orthogonal": nn.init.orthogonal_}

INITIALIZATIONS = ("torch", *_INPUT)


def is_from_state(name: str) -> bool:
    """Tell whether a weight is a matrix from the state, on which dropout of weights acts."""
    return name.startswith(("weight_hh", "weight_ch"))


def _is_known(name: str, weight: Tensor) -> bool:
    """Tell whether the name says how a weight is drawn, see `cells.Cell`."""
    return name.startswith(("bias", "peephole")) or (name.startswith("weight") and weight.dim() > 1)


def check_known(cell: Any, weights: Weights, initialization: str) -> None:
    """Raise ValueError where a user's cell has weights that `initialization` does not know, and does not set them."""
    unknown = [name for name, weight in weights.items() if not _is_known(name, weight)]
    if unknown and initialization != "torch" and getattr(cell, "initialize", None) is None:
        raise ValueError(
            f"initialization={initialization}: cannot draw {', '.join(unknown)} of {name_of(cell)}; fix: use"
            " initialization=torch, or give the class a method initialize(weights)"
        )


@torch.no_grad()
def initialize_recurrent(core: nn.Module, hidden_size: int, initialization: str) -> None:
    """Draw the weights of every layer and direction anew, gate by gate; zero biases and diagonal peepholes.

    `kaiming`: normal with gain sqrt(2) over the fan-in (He et al. 2015). `xavier`: uniform (Glorot & Bengio
    2010). `orthogonal`: xavier from the input, orthogonal from the state (Saxe et al. 2014). `torch`: uniform
    within 1/sqrt(H), biases and peepholes too, as torch.nn does. So are weights of a user's cell whose names are not
    known, until her `initialize` sets them, see `check_known`.

    Raises:
        ValueError: an unknown `initialization`.
    """
    check_choice("initialization", initialization, INITIALIZATIONS)
    for name, parameter in core.named_parameters():
        if initialization == "torch" or not _is_known(name, parameter):
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))
        elif name.startswith("weight"):
            draw = (_INPUT if name.startswith("weight_ih") else _RECURRENT)[initialization]
            for gate in parameter.split(hidden_size):
                draw(gate)
        else:
            nn.init.zeros_(parameter)


@torch.no_grad()
def initialize_linear(linear: nn.Linear, initialization: str) -> None:
    """Draw the weight of a linear layer as an input weight and set its bias to zero; `torch` leaves the layer as built.

    Raises:
        ValueError: an unknown `initialization`.
    """
    check_choice("initialization", initialization, INITIALIZATIONS)
    if initialization == "torch":
        return
    _INPUT[initialization](linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


@torch.no_grad()
def initialize_forget_bias(
    core: nn.Module, cell: Any, hidden_size: int, forget_bias: float | str, sequence_length: int | None
) -> None:
    """Set the forget gate's total bias, bias_ih + bias_hh, in every layer and direction.

    A number fills it. "chrono" draws b_f = log U(1, Tmax - 1) and sets b_i = -b_f, Tmax = `sequence_length`
    (Tallec & Ollivier 2018, section 3); up to Tmax = 2 both are zero. For the GRU the update gate z, which
    keeps h, is the forget gate, and no gate is the input gate. The plain RNN has neither and is left alone.

    Raises:
        ValueError: another string, "chrono" without a `sequence_length` >= 1, or no bias_ih of all gates to set.
    """
    if cell.forget_gate is None:
        return
    chrono, longest = forget_bias == "chrono", sequence_length or 0
    if isinstance(forget_bias, str) and not chrono:
        raise ValueError(f"forget_bias is {forget_bias!r}; it must be None, a number or 'chrono'")
    if chrono and longest < 1:
        raise ValueError(f"sequence_length is {sequence_length}; forget_bias='chrono' needs a number >= 1")
    biases = [(name, bias) for name, bias in core.named_parameters() if name.startswith(("bias_ih", "bias_hh"))]
    if not biases:
        raise ValueError(f"forget_bias is {forget_bias!r} but bias is False; set bias=True or forget_bias=None")
    rows = len(cell.gates) * hidden_size
    if wrong := [name for name, bias in biases if bias.shape != (rows,)]:
        raise ValueError(
            f"forget_bias is {forget_bias!r}; without {wrong[0]} of [{rows}], gate by gate, it must be None"
        )

    for name, bias in biases:
        gates = dict(zip(cell.gates, bias.split(hidden_size), strict=True))
        forget_gate, input_gate = gates[cell.forget_gate], gates.get("i")
        if name.startswith("bias_hh"):  # adds nothing, so that bias_ih is the total
            forget_gate.zero_()
        elif chrono:
            forget_gate.uniform_(1, max(1, longest - 1)).log_()
        else:
            forget_gate.fill_(forget_bias)
        if chrono and input_gate is not None:
            input_gate.copy_(-forget_gate)
