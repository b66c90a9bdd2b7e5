"""Test the equations of the classic cells against numbers worked out by hand."""

import math

import pytest
import torch

from lightning_dl2.nets import count_parameters
from lightning_dl2.nets.recurrent import cells
from lightning_dl2.nets.recurrent.lookup import find_cell


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


def weights(**values):
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def step(cell, w, *inputs):
    """Run one step of a cell of size 1, from and to floats."""
    quantities = cell.step(w, *(torch.tensor([[value]], dtype=torch.float64) for value in inputs))
    return {name: value.item() for name, value in quantities.items()}


def test_paper_gru_resets_before_the_matrix():
    w = weights(weight_ih=[[0.1], [0.2], [0.3]], weight_hh=[[0.4], [0.5], [0.6]], bias_ih=[0.7, 0.8, 0.9])
    r, z = sigmoid(0.1 * 2 + 0.4 * 3 + 0.7), sigmoid(0.2 * 2 + 0.5 * 3 + 0.8)
    n = math.tanh(0.3 * 2 + 0.6 * (r * 3) + 0.9)
    expected = {"r": r, "z": z, "n": n, "h": (1 - z) * n + z * 3}
    assert step(cells.PaperGRU, w, 2.0, 3.0) == pytest.approx(expected, abs=1e-12)


def test_gers_peepholes_see_the_old_c_in_i_and_f_and_the_new_c_in_o():
    w = weights(
        weight_ih=[[0.1], [0.2], [0.3], [0.4]],
        weight_hh=[[0.5], [0.6], [0.7], [0.8]],
        bias_ih=[0.9, 1.0, 1.1, 1.2],
        peephole=[[0.13], [0.14], [0.15]],
    )
    x, h, c = 0.5, -0.4, 0.3
    i = sigmoid(0.1 * x + 0.5 * h + 0.9 + 0.13 * c)
    f = sigmoid(0.2 * x + 0.6 * h + 1.0 + 0.14 * c)
    g = math.tanh(0.3 * x + 0.7 * h + 1.1)
    new_c = f * c + i * g
    o = sigmoid(0.4 * x + 0.8 * h + 1.2 + 0.15 * new_c)
    expected = {"i": i, "f": f, "g": g, "o": o, "c": new_c, "h": o * math.tanh(new_c)}
    assert step(cells.GersPeephole, w, x, h, c) == pytest.approx(expected, abs=1e-12)


def test_assignment_peepholes_see_c_and_never_h():
    w = weights(weight_ih=[[0.1], [0.2], [0.3], [0.4]], weight_ch=[[0.5], [0.6], [0.7]], bias_ih=[0.8, 0.9, 1.0, 1.1])
    x, c = 0.5, 0.3
    i, f = sigmoid(0.1 * x + 0.5 * c + 0.8), sigmoid(0.2 * x + 0.6 * c + 0.9)
    g, o = sigmoid(0.3 * x + 1.0), sigmoid(0.4 * x + 0.7 * c + 1.1)
    new_c = g * i + c * f
    expected = {"i": i, "f": f, "g": g, "o": o, "c": new_c, "h": math.tanh(new_c) * o}
    assert step(cells.AssignmentPeephole, w, x, 123.0, c) == pytest.approx(expected, abs=1e-12)


def test_count_of_an_lstm_layer_is_the_textbooks():
    counted = count_parameters("lstm", 3, 256, bias=False)
    assert counted["total"] == 4 * (256 * 256 + 256 * 3) == 265_216


@pytest.mark.parametrize("options", [{"cell": "lsmt"}, {"cell": "peephole", "peephole": "diagonal"}])
def test_unknown_names_are_refused_with_what_is_allowed(options):
    with pytest.raises(ValueError, match="must be one of"):
        find_cell(**options)
