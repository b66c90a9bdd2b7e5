"""Test the selective scan against the equations of its paper, over several chunks, and the sign of its eigenvalues."""

import pytest
import torch
from torch.nn.functional import silu, softplus

from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent.cells import S6
from lightning_dl2.nets.recurrent.cells.selective import CHUNK

D, H, B = 3, 4, 2
T = 2 * CHUNK + 3
PATH = "lightning_dl2.nets.recurrent.cells.S6"


@pytest.mark.parametrize("cell", ["s6", "s6_signed"])
def test_s6_is_the_papers(cell):
    """Algorithm 2 of Gu & Dao, unit by unit: S = exp(dt A) S + dt B u, y = C S + skip u, h = y silu(z)."""
    torch.manual_seed(0)
    net, N = Recurrent(cell, D, H).double(), 16
    w, x = net.weights(0), torch.randn(1, 6, D, dtype=torch.float64)
    outputs, S = net(x)[0][0], torch.zeros(H, N, dtype=torch.float64)
    for t in range(6):
        u, z = (w["weight_ih"] @ x[0, t]).split(H)
        u, z = silu(u), silu(z)
        select = w["weight_select"] @ u
        low, B_t, C_t = select[: -2 * N], select[-2 * N : -N], select[-N:]
        for unit in range(H):
            dt = softplus(w["weight_dt"][unit] @ low + w["bias_dt"][unit])
            A = torch.diag(torch.exp(-dt * w["A_log"][unit].exp()))
            if cell == "s6_signed":
                A = 2 * A - torch.eye(N)
            S[unit] = (A @ S[unit] + dt * B_t * u[unit]).detach()
            y = C_t @ S[unit] + w["skip"][unit] * u[unit]
            torch.testing.assert_close(outputs[t, unit], y * z[unit], rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["s6", "s6_signed"])
def test_chunks_are_one_sequence_with_its_gradients(cell):
    torch.manual_seed(0)
    net = Recurrent(cell, D, H).double()
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(1, B, *shape, dtype=torch.float64, requires_grad=True) for shape in ((H,), (H, 16)))
    results = []
    for path in (net.forward, net.explicit):
        outputs, end, *_ = path(x, state)
        loss = outputs.sin().sum() + sum(part.cos().sum() for part in end)
        gradients = torch.autograd.grad(loss, [x, state[1], *net.parameters()])
        results.append([outputs, *end, *gradients])
    torch.testing.assert_close(*results, rtol=0, atol=1e-10)


def test_the_states_of_all_steps_are_not_kept():
    kept = []
    net, x = Recurrent("s6", D, H), torch.randn(B, T, D)
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each.numel()) or each, lambda each: each):
        net(x)
    assert max(kept) < T * B * H * 16


def test_eigenvalues_of_signed_reach_minus_one_and_of_unit_do_not():
    torch.manual_seed(0)
    for cell, lowest in (("s6", 0.0), ("s6_signed", -1.0)):
        net = Recurrent(cell, D, H)
        with torch.no_grad():
            net.weights(0)["bias_dt"].fill_(30.0)
        a = torch.stack(net.explicit(torch.randn(B, 3, D))[2][0][0]["a"])
        assert a.detach().min() == pytest.approx(lowest, abs=1e-6)


def test_signed_eigenvalues_count_parity_and_those_of_unit_lose_it():
    """By hand: dt is 0 for a zero, which keeps the state, and large for a one, which takes a to its lowest value."""
    x = torch.randint(2, (1, 1000, 1)).float()
    for cell, parity in (("s6_signed", True), ("s6", False)):
        net = Recurrent(cell, 1, 1)
        with torch.no_grad():
            for name, value in net.weights(0).items():
                value.fill_(-40 if name == "bias_dt" else 10 if name in ("weight_ih", "weight_dt") else 0)
            net.weights(0)["weight_select"][0] = 1
            S = net(x, (torch.zeros(1, 1, 1), torch.ones(1, 1, 1, 16)))[1][1]
        assert S.flatten().tolist() == [(-1.0) ** int(x.sum()) if parity else 0.0] * 16


def test_the_first_step_sizes_and_matrix_are_mambas():
    w = Recurrent({"_target_": PATH, "state_size": 5}, D, 1000).weights(0)
    dt = softplus(w["bias_dt"].detach())
    assert 1e-3 <= dt.min() * 1.001 and dt.max() <= 0.1001
    assert dt.log().mean() == pytest.approx(-4.6, abs=0.15), "uniform in the logarithm"
    torch.testing.assert_close(w["A_log"].detach().exp(), torch.arange(1.0, 6).expand(1000, 5))
    assert S6(5).shapes(D, 40)["weight_select"] == (3 + 2 * 5, 40) and S6(5).state_shapes(40) == {"S": (40, 5)}
