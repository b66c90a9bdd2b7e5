"""Test the sLSTM against the equations of its paper, without their stabiliser."""

import torch
from torch import sigmoid, tanh

from lightning_dl2.nets import Recurrent

D, H, B, T = 3, 4, 2, 6


def net_of(**options):
    torch.manual_seed(0)
    net = Recurrent("slstm", D, H, **options).double()
    return net, net.weights(0), torch.randn(B, T, D, dtype=torch.float64)


def test_slstm_is_the_papers():
    """Section 2.2: c = f c + i z, n = f n + i, h = o c / n with i = exp(i~), where nothing overflows."""
    net, w, x = net_of()
    outputs, trace = net(x)[0], net.explicit(x)[2][0][0]
    h = c = n = torch.zeros(B, H, dtype=torch.float64)
    for t in range(T):
        i, f, z, o = (x[:, t] @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias_ih"]).split(H, 1)
        i, f, z, o = torch.exp(i), sigmoid(f), tanh(z), sigmoid(o)
        c, n = f * c + i * z, f * n + i
        h = o * c / n
        torch.testing.assert_close(outputs[:, t], h, rtol=0, atol=1e-12)
        for name, value in (("c", c), ("n", n)):
            torch.testing.assert_close(trace[name][t] * trace["m"][t].exp(), value, rtol=1e-10, atol=1e-12)


def test_gates_of_any_size_stay_finite():
    for size in (-2000.0, 2000.0):
        net, w, x = net_of()
        with torch.no_grad():
            w["bias_ih"][:H] = size
        outputs, _, trace = net.explicit(x)
        assert outputs.isfinite().all() and net(x)[0].isfinite().all()
        assert all((trace[0][0]["n"][t] >= 1 - 1e-12).all() for t in range(T))
        outputs.sum().backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())


def test_the_forget_bias_begins_as_in_the_authors_code_unless_it_is_chosen():
    torch.manual_seed(0)
    i, f, z, o = Recurrent("slstm", D, 5).weights(0)["bias_ih"].detach().split(5)
    expected = [5 - 12 * (place / 4) ** 0.3 for place in range(5)]
    torch.testing.assert_close(f, torch.tensor(expected))
    assert not i.any() and not z.any() and not o.any()
    assert (net_of(forget_bias=2.0)[1]["bias_ih"][H : 2 * H] == 2).all()
