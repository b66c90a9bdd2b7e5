"""Test why eigenvalues in [0, 1] have no parity, and that one of -1 has it at any length."""

from types import SimpleNamespace

import pytest
import torch

from lightning_dl2.analysis.expressivity.eigenvalues import Arguments, measure, measure_gaps
from lightning_dl2.analysis.expressivity.readers import Opened
from lightning_dl2.nets import Cell, RecurrentTransducer
from lightning_dl2.nets.recurrent.cells.scan import scan
from tests.analysis.typed import typed

DATA = SimpleNamespace(task=SimpleNamespace(vocabulary_size=lambda length: 2), length=40)


class Turn(Cell):
    """A diagonal cell of hand-set weights: h' = a(x) h + b(x), a(0) = 1 and b(0) = 0, a(1) is weight_hh."""

    gates, state, forget_gate = ("h",), ("h",), None

    @classmethod
    def shapes(cls, D, H):
        return {"weight_ih": (H, D), "weight_hh": (H,)}

    @staticmethod
    def step(w, x, h):
        one = x[:, 1:]
        return {"h": (1 - one + one * w["weight_hh"]) * h + one * w["weight_ih"][:, 1]}


def turning(*eigenvalues):
    net = RecurrentTransducer(2, 2, cell=Turn, hidden_size=len(eigenvalues))
    w = net.recurrent.weights(0)
    with torch.no_grad():
        w["weight_hh"].copy_(torch.tensor(eigenvalues))
        w["weight_ih"].fill_(1)
    return net


def test_an_eigenvalue_of_minus_one_has_the_parity_at_any_length():
    """h' = -h + 1 at a one is 1 - h: it goes from 0 to 1 and back, without any rounding."""
    bits = torch.randint(2, (20_000, 4, 1), generator=torch.Generator().manual_seed(0)).float()
    states = scan(1 - 2 * bits, bits, torch.zeros(4, 1))
    assert torch.equal(states, bits.cumsum(0) % 2)


@pytest.mark.parametrize("eigenvalue", [0.0, 0.3, 0.9, 0.99])
def test_an_eigenvalue_in_0_to_1_brings_1_to_the_t_and_its_successor_together(eigenvalue):
    """The gap at T is eigenvalue^T; when it is below rounding, the states of odd and even T are one number."""
    gaps = measure_gaps(turning(eigenvalue), 0, 1, 1500)
    exact = eigenvalue ** torch.arange(1, 1500).double()
    torch.testing.assert_close(gaps, exact, rtol=0, atol=1e-5)  # of numbers of float32 up to 100
    assert gaps[-1] < 1e-5 and (eigenvalue > 0.9 or gaps[-1] == 0)


def test_the_gap_of_an_eigenvalue_of_minus_one_never_closes():
    assert (measure_gaps(turning(-1.0), 0, 1, 1500) == 1).all()
    assert measure_gaps(turning(-0.99), 0, 1, 1500)[-1] < 1e-5  # one of -0.99 does close


def test_the_eigenvalues_of_a_net_stand_at_their_symbols():
    opened = Opened("turn", SimpleNamespace(), SimpleNamespace(net=turning(-1.0, 0.5)), DATA)
    spectrum = measure(opened, typed(Arguments, {"steps": "10"}))
    assert spectrum.symbols == [0, 1]
    assert spectrum.values.tolist() == [[1, 1], [-1, 0.5]]
    assert spectrum.gaps.shape == (9,)
