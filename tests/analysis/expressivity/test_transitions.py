"""Test that the matrix of an affine cell is found from its steps alone, for every cell that has one."""

import pytest
import torch
from torch.nn import functional as F

from lightning_dl2.analysis.expressivity.transitions import find_transition
from lightning_dl2.common.errors import UserError
from lightning_dl2.nets import Cell, Recurrent

D, H, N = 3, 4, 5


class Dense(Cell):
    """An affine cell of a user's own, whose matrix mixes all its units: h' = (U + x_0 U^T) h + W x."""

    gates, state, forget_gate = ("h",), ("h",), None

    @staticmethod
    def step(w, x, h):
        U = w["weight_hh"]
        return {"h": F.linear(h, U) + x[:, :1] * F.linear(h, U.T) + F.linear(x, w["weight_ih"])}


def net_of(cell, hidden_size=H):
    torch.manual_seed(0)
    return Recurrent(cell, D, hidden_size).double()


def found(net, x):
    return find_transition(net, 0, x)


def trace_of(net, x):
    """Return every quantity of the first step, for each input."""
    return {name: steps[0] for name, steps in net.explicit(x[:, None])[2][0][0].items()}


@pytest.fixture
def x():
    return torch.randn(N, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("cell", "gate"), [("mingru", "f"), ("minlstm", "f"), ("s6", "a"), ("s6_signed", "a")])
def test_a_diagonal_is_the_gate_that_keeps_the_state(cell, gate, x):
    net = net_of(cell)
    transition = found(net, x)
    assert transition.is_diagonal and transition.state == net.cell.state[-1]
    torch.testing.assert_close(transition.matrices, trace_of(net, x)[gate].flatten(1), rtol=0, atol=1e-12)


def test_the_lru_turns_by_its_eigenvalues_whatever_it_reads(x):
    net = net_of("lru")
    w = net.weights(0)
    expected = torch.polar(torch.exp(-w["nu_log"].exp()), w["theta_log"].exp())
    expected = torch.cat([expected, expected.conj()])
    for values in found(net, x).eigenvalues():
        distances = (values[:, None] - expected).abs()
        assert distances.amin(0).max() < 1e-10 and distances.amin(1).max() < 1e-10


@pytest.mark.parametrize(("cell", "least"), [("gated_deltanet", 0), ("gated_deltanet_signed", -1)])
def test_a_delta_rule_shrinks_all_and_reflects_along_its_key(cell, least, x):
    net = net_of(cell)
    values, trace = found(net, x).eigenvalues(), trace_of(net, x)
    assert values.shape == (N, H) and values.imag.abs().max() < 1e-10
    alpha = trace["alpha"]
    along = alpha * (1 - trace["beta"] * trace["k"].square().sum(-1))
    expected = torch.cat([along, alpha.expand(-1, H - 1)], 1).sort(1).values
    torch.testing.assert_close(values.real.sort(1).values, expected, rtol=0, atol=1e-10)
    assert least <= along.min() and (along < 0).any() == (least == -1)


def test_heads_have_matrices_of_their_own(x):
    net = net_of({"_target_": "lightning_dl2.nets.recurrent.cells.GatedDeltaNet", "heads": 2})
    assert found(net, x).matrices.shape == (N, 2, H // 2, H // 2)


def test_a_full_matrix_of_a_users_cell(x):
    net = net_of(Dense)
    U = net.weights(0)["weight_hh"]
    expected = U + x[:, :1, None] * U.T
    torch.testing.assert_close(found(net, x).matrices[:, 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("rnn", "is not affine in h"),
        ("gru", "is not affine in h"),
        ("exprnn", "is not affine in h"),
        ("lstm", "a step reads h, c"),
        ("mlstm", "a step reads m, n, C"),
        ("stack_rnn", "a step reads h, S"),
    ],
)
def test_other_cells_are_refused(cell, says, x):
    with pytest.raises(UserError, match=f"cell=.*: {says}; allowed: cells that are"):
        found(net_of(cell), x)
