"""Test the fit that finds a counter, on an LSTM of hand-set weights that counts, and on states that saturate."""

from types import SimpleNamespace

import pytest
import torch

from lightning_dl2.analysis.expressivity.counter import Arguments, fit_lines, measure
from lightning_dl2.analysis.expressivity.readers import Opened
from lightning_dl2.common.errors import UserError
from lightning_dl2.nets import RecurrentTransducer
from tests.analysis.typed import typed

OPEN, A, B = 40.0, 0, 1  # a gate that is open to the last digit
DATA = SimpleNamespace(task=SimpleNamespace(vocabulary_size=lambda length: 3), length=40)


def counting_lstm() -> RecurrentTransducer:
    """Return an LSTM whose unit 2 of 4 has c + 1 after an a and c - 1 after a b."""
    net = RecurrentTransducer(3, 2, cell="lstm", hidden_size=4).double()
    w = net.recurrent.weights(0)
    with torch.no_grad():
        for weight in w.values():
            weight.zero_()
        i, f, g, _ = w["bias_ih"].chunk(4)
        i[2] = f[2] = OPEN
        g = w["weight_ih"].chunk(4)[2]
        g[2, A], g[2, B] = OPEN, -OPEN
    return net


def opened(net: RecurrentTransducer) -> Opened:
    return Opened("lstm", SimpleNamespace(), SimpleNamespace(net=net), DATA)


def test_a_counter_is_found_with_its_slopes():
    counted = measure(opened(counting_lstm()), typed(Arguments, {"lengths": "3,300"}))
    assert counted.state == "c" and counted.fit.counter() == 2
    torch.testing.assert_close(counted.fit.slopes[:, 2], torch.tensor([1.0, -1.0]).double())
    torch.testing.assert_close(counted.fit.r2[:, 2], torch.ones(2).double())
    for n, states in counted.states.items():  # the state is the count, for any n
        assert states[:, 2].round().tolist() == [*range(1, n + 1), *range(n - 1, -1, -1)]


def test_a_state_that_saturates_is_no_line():
    steps = torch.arange(1, 101).double()
    up, down = 1 - torch.exp(-steps / 5), torch.exp(-steps / 5)
    linear = torch.cat([steps, 100 - steps]) / 100
    fit = fit_lines(torch.stack([torch.cat([up, down]), linear, torch.ones(200)], 1))
    assert fit.counter() == 1 and fit.r2[:, 1].min() > 1 - 1e-12
    assert fit.r2[:, 0].max() < 0.4 and (fit.slopes[:, 2] == 0).all()
    assert fit.slopes[:, 1].tolist() == pytest.approx([0.01, -0.01])


@pytest.mark.parametrize("symbols", ["0", "0,3", "a,b", "0,1,2"])
def test_symbols_are_two_tokens(symbols):
    with pytest.raises(UserError, match=f"symbols={symbols}: allowed: two tokens, 0 to 2, as 0,1"):
        measure(opened(counting_lstm()), typed(Arguments, {"symbols": symbols}))
