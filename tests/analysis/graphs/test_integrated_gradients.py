"""Test that integrated gradients are those of known functions, and complete to the tolerance."""

import pytest
import torch

from lightning_dl2.analysis.graphs.integrated_gradients import integrate_gradients


def wide(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_of_a_polynomial_each_factor_has_its_share():
    """The integral of x y along the diagonal gives half to each; of x y^2 a third to x and two to y."""
    found = integrate_gradients(lambda x, y: (x * y**2).sum() + 7, [wide(2, 3), wide(5, 0)], 1e-9, 100)
    assert found.values[0].tolist() == pytest.approx([50 / 3, 0]) and found.values[1].tolist() == pytest.approx(
        [100 / 3, 0]
    )
    assert (found.answer, found.baseline, found.evaluations) == (57, 7, 4) and abs(found.residual) < 1e-12


def test_an_input_that_is_not_read_gets_nothing():
    found = integrate_gradients(lambda x, y: x.sum() * 2, [wide(1, 2), wide(5)], 1e-9, 100)
    assert [each.tolist() for each in found.values] == [[2, 4], [0]]


def test_kinks_are_found_until_the_sum_is_complete():
    """The integrand is 0 up to a share of 0.3 and 10 beyond, and no rule of a few nodes finds its integral."""

    def kinked(x):
        return torch.relu(10 * x - 3).sum()

    coarse = integrate_gradients(kinked, [wide(1)], 1e-4, 1)
    fine = integrate_gradients(kinked, [wide(1)], 1e-4, 1000)
    assert abs(coarse.residual) > 0.1 > 1e-4 >= abs(fine.residual) and fine.evaluations < 200
    assert fine.values[0].item() == pytest.approx(7, abs=1e-4) and fine.answer - fine.baseline == 7
