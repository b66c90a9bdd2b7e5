"""Test mLSTM and Gated DeltaNet against the equations of their papers, over several chunks."""

import pytest
import torch
from torch.nn.functional import normalize, silu, softplus

from lightning_dl2.common.errors import UserError
from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent.cells import MLSTM
from lightning_dl2.nets.recurrent.cells.matrix import CHUNK

D, H, B = 3, 4, 2
T = 2 * CHUNK + 3
PATH = "lightning_dl2.nets.recurrent.cells."
MLSTM_2, DELTA_2 = ({"_target_": PATH + name, "heads": 2} for name in ("MLSTM", "GatedDeltaNet"))


def net_of(cell):
    torch.manual_seed(0)
    net = Recurrent(cell, D, H).double()
    with torch.no_grad():
        for weight in net.weights(0).values():
            weight += 0.3 * torch.randn_like(weight)  # gates that begin without weights get some
    return net, {name: value.detach() for name, value in net.weights(0).items()}


@pytest.mark.parametrize("cell", [MLSTM_2, "mlstm"])
def test_mlstm_is_the_papers(cell):
    """Section 2.3, without the stabiliser: C = f C + i v k^T, n = f n + i k, h = o C q / max(|n.q|, 1)."""
    net, w = net_of(cell)
    heads = 2 if cell == MLSTM_2 else 1
    d = H // heads
    x, outputs = torch.randn(1, 5, D, dtype=torch.float64), None
    outputs = net(x)[0][0]
    C, n = torch.zeros(heads, d, d, dtype=torch.float64), torch.zeros(heads, d, dtype=torch.float64)
    for t in range(5):
        W, b = w["weight_ih"].split(H), w["bias_ih"].split(H)
        q, v = W[0] @ x[0, t] + b[0], W[2] @ x[0, t] + b[2]
        k, o = W[1] @ x[0, t] / d**0.5 + b[1], torch.sigmoid(W[3] @ x[0, t] + b[3])
        i, f = (w["weight_gates"] @ x[0, t] + w["bias_gates"]).split(heads)
        i, f = torch.exp(i), torch.sigmoid(f)
        for head in range(heads):
            rows = slice(head * d, head * d + d)
            C[head] = f[head] * C[head] + i[head] * torch.outer(v[rows], k[rows])
            n[head] = f[head] * n[head] + i[head] * k[rows]
            h = o[rows] * (C[head] @ q[rows]) / max(abs(n[head] @ q[rows]), 1)
            torch.testing.assert_close(outputs[t, rows], h, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", [DELTA_2, "gated_deltanet", "gated_deltanet_signed"])
def test_gated_deltanet_is_the_papers(cell):
    """Equation 10: S = S (alpha (I - beta k k^T)) + beta v k^T, then normalisation and gate (section 3.4)."""
    net, w = net_of(cell)
    heads = 2 if cell == DELTA_2 else 1
    d = H // heads
    x = torch.randn(1, 5, D, dtype=torch.float64)
    outputs, S = net(x)[0][0], torch.zeros(heads, d, d, dtype=torch.float64)
    for t in range(5):
        q, k, v, g = (w["weight_ih"] @ x[0, t]).view(4, heads, d)
        q, k, v = normalize(silu(q), dim=1), normalize(silu(k), dim=1), silu(v)
        a, b = (w["weight_gates"] @ x[0, t] + w["bias_gates"]).split(heads)
        alpha, beta = torch.exp(-w["A_log"].exp() * softplus(a)), torch.sigmoid(b)
        if cell == "gated_deltanet_signed":
            beta = 2 * beta
        for head in range(heads):
            turn = torch.eye(d) - beta[head] * torch.outer(k[head], k[head])
            S[head] = S[head] @ (alpha[head] * turn) + beta[head] * torch.outer(v[head], k[head])
            y = S[head] @ q[head]
            h = w["gain"] * y / (y.square().mean() + 1e-5).sqrt() * silu(g[head])
            rows = slice(head * d, head * d + d)
            torch.testing.assert_close(outputs[t, rows], h, rtol=0, atol=1e-4)  # the lengths have an epsilon of 1e-6


@pytest.mark.parametrize("cell", [MLSTM_2, DELTA_2, "mlstm", "gated_deltanet_signed"])
def test_chunks_are_one_sequence_with_its_gradients(cell):
    net, _ = net_of(cell)
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    shapes = net.state_shapes.values()
    state = tuple(torch.randn(1, B, *shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    results = []
    for path in (net.forward, net.explicit):
        outputs, end, *_ = path(x, state)
        loss = outputs.sin().sum() + sum(part.cos().sum() for part in end)
        results.append([outputs, *end, *torch.autograd.grad(loss, [x, *state[1:], *net.parameters()])])
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-10)


def test_mlstm_stays_finite_with_gates_of_any_size():
    for size in (-2000.0, 2000.0):
        net = Recurrent("mlstm", D, H)
        with torch.no_grad():
            net.weights(0)["bias_gates"][:1] = size
        outputs = net(torch.randn(B, T, D))[0]
        outputs.sum().backward()
        assert outputs.isfinite().all() and all(p.grad.isfinite().all() for p in net.parameters())


def test_signed_gated_deltanet_reflects_the_state_along_its_key():
    """With alpha and beta/2 at 1, the part of S along k changes its sign, which a gate in [0, 1] cannot."""
    for cell, factor in (("gated_deltanet", 0.0), ("gated_deltanet_signed", -1.0)):
        net = Recurrent(cell, D, H, bias=True).double()
        with torch.no_grad():
            net.weights(0)["bias_gates"].copy_(torch.tensor([-40.0, 40.0]))
            net.weights(0)["weight_gates"].zero_()
            net.weights(0)["weight_ih"][2 * H : 3 * H] = 0  # writes nothing
        S = torch.randn(1, 1, 1, H, H, dtype=torch.float64)
        x = torch.randn(1, 1, D, dtype=torch.float64)
        _, (_, after), trace = net.explicit(x, (torch.zeros(1, 1, H, dtype=torch.float64), S))
        k = trace[0][0]["k"][0][0, 0]
        torch.testing.assert_close(after[0, 0, 0] @ k, factor * (S[0, 0, 0] @ k), rtol=0, atol=1e-4)


def test_heads_divide_the_units():
    assert [MLSTM().count_heads(H) for H in (1, 64, 65, 128, 130, 256)] == [1, 1, 5, 2, 5, 4]
    with pytest.raises((ValueError, UserError), match="heads is 2; it must divide hidden_size=5"):
        Recurrent(MLSTM_2, D, 5)
