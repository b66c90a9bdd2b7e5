"""Test the LSTM with layer normalisation against the equations of its paper."""

import torch
from torch import sigmoid, tanh

from lightning_dl2.nets import Recurrent

D, H, B, T = 3, 4, 2, 5


def normalize(z):
    return (z - z.mean(-1, keepdim=True)) / (z.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()


def test_layernorm_lstm_is_the_papers():
    torch.manual_seed(0)
    net = Recurrent("layernorm_lstm", D, H).double()
    w = net.weights(0)
    assert all((w[name] == 1).all() for name in ("gain_ih", "gain_hh", "gain_c"))
    with torch.no_grad():
        for name in w:
            w[name].normal_()
    x = torch.randn(B, T, D, dtype=torch.float64)
    h, c = torch.randn(2, 1, B, H, dtype=torch.float64)
    outputs = net(x, (h, c))[0]
    h, c = h[0], c[0]
    for t in range(T):
        from_h, from_x = (
            w["gain_hh"] * normalize(h @ w["weight_hh"].T),
            w["gain_ih"] * normalize(x[:, t] @ w["weight_ih"].T),
        )
        i, f, g, o = (from_h + from_x + w["bias_ih"]).split(H, 1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(w["gain_c"] * normalize(c) + w["bias_c"])
        torch.testing.assert_close(outputs[:, t], h, rtol=0, atol=1e-12)
