"""Test the measures of tracking on cells of hand-set weights: what an affine cell loses, and a nonlinear one keeps."""

from types import SimpleNamespace

import pytest
import torch

from lightning_dl2.analysis.expressivity.readers import Opened
from lightning_dl2.analysis.expressivity.tracking import find_q, measure
from lightning_dl2.common.errors import UserError
from lightning_dl2.data import SequenceDataModule
from lightning_dl2.nets import Cell, RecurrentTransducer

LENGTHS = (5, 20, 80)


class Parity(Cell):
    """Turn one unit at a one, by hand-set weights: h' = a h at 1, and h at 0, from h(0) = 1, which h + 1 stands for.

    The second unit is noise: half of it stays, and each symbol adds to it.
    """

    gates, state, forget_gate = ("h",), ("h",), None

    @classmethod
    def shapes(cls, D, H):
        return {"weight_hh": (1,)}

    @classmethod
    def corrected(cls, turned):
        return turned

    @classmethod
    def step(cls, w, x, h):
        one, (parity, noise) = x[:, 1:], h.split(1, dim=1)
        turned = (1 - one + one * w["weight_hh"]) * (parity + 1)
        return {"h": torch.cat([cls.corrected(turned) - 1, 0.5 * noise + 0.1 * one], 1)}


class Corrected(Parity):
    """Bring the first unit to 1 or -1 after each step, as a saturated nonlinearity does."""

    @classmethod
    def corrected(cls, turned):
        return torch.sign(turned)


def opened(cell, turn, name="word_problem_z2"):
    net = RecurrentTransducer(2, 2, cell=cell, hidden_size=2)
    with torch.no_grad():
        net.recurrent.weights(0)["weight_hh"].fill_(turn)
        net.output.weight.copy_(torch.tensor([[1.0, 0], [-1, 0]]))
        net.output.bias.copy_(torch.tensor([1.0, -1]))
    data = SequenceDataModule(name, 40, 8)
    return Opened(cell.__name__, SimpleNamespace(path="x"), SimpleNamespace(net=net), data)


def test_an_affine_cell_loses_what_tells_its_classes_apart_by_its_eigenvalue():
    tracked = measure(opened(Parity, -0.9), LENGTHS, 256)
    assert 0.9**0.5 == pytest.approx(tracked.factor(), abs=0.005)  # half of the symbols are ones
    assert tracked.accuracy[80] == 1 and tracked.lost_at() is None  # the sign is right: no noise is in its way
    assert tracked.q[80] > 3 * tracked.q[5]
    largest, smallest = tracked.products
    assert largest == pytest.approx(0.9**0.5, abs=0.02) and smallest == pytest.approx(0.5, abs=1e-6)


def test_a_turn_of_minus_one_loses_nothing():
    tracked = measure(opened(Parity, -1.0), LENGTHS, 256)
    assert tracked.factor() == pytest.approx(1, abs=1e-3) and tracked.accuracy[80] == 1
    assert tracked.same[80] < 1e-6  # only noise differs within a class, and half of it stays


def test_a_cell_that_corrects_itself_keeps_classes_apart_with_any_eigenvalue():
    tracked = measure(opened(Corrected, -0.9), LENGTHS, 256)
    assert tracked.products is None and tracked.factor() == pytest.approx(1, abs=1e-3)
    assert tracked.q[80] == pytest.approx(tracked.q[20], rel=0.2)


def test_a_net_that_never_turns_is_lost_at_once():
    tracked = measure(opened(Parity, 1.0), LENGTHS, 256)
    assert tracked.lost_at() == 5 and tracked.chance == 0.5


def test_q_is_the_spread_over_the_least_distance_of_two_classes():
    states = torch.tensor([[0.0, 1], [0, -1], [4, 2], [4, -2], [100, 0], [100, 0]]).double()
    classes = torch.tensor([5, 5, 1, 1, 2, 2])
    assert find_q(states, classes) == pytest.approx((5 / 3) ** 0.5 / 4)  # variances 1, 4 and 0; distance 4


def test_a_task_without_an_answer_at_each_position_is_refused():
    with pytest.raises(UserError, match="its task has positions without an answer; allowed: an answer at each"):
        measure(opened(Parity, -1.0, "parity_check"), LENGTHS, 16)
