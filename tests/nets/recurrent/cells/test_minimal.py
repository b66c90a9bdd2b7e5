"""Test minGRU and minLSTM against the equations of their paper."""

import torch
from torch import sigmoid

from lightning_dl2.nets import Recurrent

D, H, B, T = 3, 4, 2, 5


def net_of(cell, **options):
    torch.manual_seed(0)
    net = Recurrent(cell, D, H, **options).double()
    return net, net.weights(0), torch.randn(B, T, D, dtype=torch.float64), torch.randn(1, B, H, dtype=torch.float64)


def test_mingru_is_the_papers():
    """Section 3.1: z = sigmoid(Linear(x)), h~ = Linear(x), h = (1 - z) h + z h~; the rows of z with the other sign."""
    net, w, x, h0 = net_of("mingru")
    weight_z, weight_n, bias_z, bias_n = -w["weight_ih"][:H], w["weight_ih"][H:], -w["bias_ih"][:H], w["bias_ih"][H:]
    h, outputs = h0[0], net(x, h0)[0]
    for t in range(T):
        z = sigmoid(x[:, t] @ weight_z.T + bias_z)
        h = (1 - z) * h + z * (x[:, t] @ weight_n.T + bias_n)
        torch.testing.assert_close(outputs[:, t], h, rtol=0, atol=1e-12)


def test_minlstm_is_the_papers():
    """Section 3.2: f' = f / (f + i), i' = i / (f + i), h = f' h + i' h~, all linear in x."""
    net, w, x, h0 = net_of("minlstm")
    h, outputs = h0[0], net(x, h0)[0]
    for t in range(T):
        i, f, n = (x[:, t] @ w["weight_ih"].T + w["bias_ih"]).split(H, 1)
        i, f = sigmoid(i), sigmoid(f)
        h = f / (f + i) * h + i / (f + i) * n
        torch.testing.assert_close(outputs[:, t], h, rtol=0, atol=1e-12)


def test_gates_that_underflow_are_still_shares():
    net, w, x, h0 = net_of("minlstm")
    with torch.no_grad():
        w["bias_ih"][: 2 * H] = -2000.0  # sigmoid gives 0 for both gates
        w["weight_ih"][: 2 * H] = 0
    assert net(x, h0)[0].isfinite().all()
    torch.testing.assert_close(net.explicit(x)[2][0][0]["f"][0], torch.full((B, H), 0.5, dtype=torch.float64))


def test_a_forget_bias_keeps_the_state():
    net, _, x, h0 = net_of("mingru", forget_bias=40.0)
    torch.testing.assert_close(net(x, h0)[1], h0, rtol=0, atol=1e-9)
    net, w, x, _ = net_of("minlstm", forget_bias="chrono", sequence_length=1000)
    i, f, _ = w["bias_ih"].split(H)
    torch.testing.assert_close(i, -f, rtol=0, atol=0)
    seen = net.explicit(0 * x)[2][0][0]["f"][0]
    torch.testing.assert_close(seen, sigmoid(f).expand(B, H), rtol=0, atol=1e-12)
