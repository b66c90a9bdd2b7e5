"""Test the Linear Recurrent Unit against the equations of its paper."""

import math

import pytest
import torch

from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent.cells import LRU

D, H, B, T = 3, 4, 2, 5
PATH = "lightning_dl2.nets.recurrent.cells.LRU"


@pytest.mark.parametrize("cell", ["lru", {"_target_": PATH, "activation": "none"}])
def test_lru_is_the_papers(cell):
    """s = diag(lambda) s + gamma * (B x), y = Re(C s) + D x, in complex matrices."""
    torch.manual_seed(0)
    net = Recurrent(cell, D, H).double()
    w = {name: value.detach() for name, value in net.weights(0).items()}
    matrix = torch.diag(torch.exp(torch.complex(-w["nu_log"].exp(), w["theta_log"].exp())))
    into = torch.complex(*w["weight_ih"].split(H)) * w["gamma_log"].exp()[:, None]
    out = torch.complex(*w["weight_out"].split(H, 1))
    x, s = torch.randn(B, T, D, dtype=torch.float64), torch.zeros(B, H, dtype=torch.complex128)
    outputs = net(x)[0]
    for t in range(T):
        s = s @ matrix.T + x[:, t].to(s.dtype) @ into.T
        y = (s @ out.T).real + x[:, t] @ w["weight_skip"].T
        if cell == "lru":
            y = y / 2 * (1 + torch.erf(y / math.sqrt(2)))
        torch.testing.assert_close(outputs[:, t], y, rtol=0, atol=1e-12)


def test_eigenvalues_begin_in_the_ring_and_the_variance_at_one():
    torch.manual_seed(0)
    w = Recurrent({"_target_": PATH, "r_min": 0.9, "r_max": 0.99, "max_phase": 0.5}, 1, 1000).weights(0)
    w = {name: value.detach() for name, value in w.items()}
    radius, phase = torch.exp(-w["nu_log"].exp()), w["theta_log"].exp()
    assert 0.9 <= radius.min() < 0.902 and 0.988 < radius.max() <= 0.99
    assert radius.square().mean() == pytest.approx((0.9**2 + 0.99**2) / 2, abs=3e-3), "uniform by area"
    assert 0 < phase.min() and phase.max() <= 0.5 and phase.mean() == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(w["gamma_log"].exp(), (1 - radius.square()).sqrt(), rtol=1e-3, atol=1e-6)


def test_a_ring_without_area_is_refused():
    with pytest.raises(ValueError, match="r_min is 0.9; it must be below r_max=0.5"):
        LRU(r_min=0.9, r_max=0.5)
