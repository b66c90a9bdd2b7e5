"""Test the closed forms against autograd, term by term, and the vanishing and exploding of the terms."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_dl2.analysis.recurrent import bptt
from lightning_dl2.analysis.recurrent.bptt import build_free_rnn, build_held_rnn, build_lstm, factor, measure
from lightning_dl2.analysis.recurrent.by_hand import by_hand
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import read_rows
from lightning_dl2.nets import Recurrent
from tests.analysis.typed import typed

CLOSE = {"rtol": 0, "atol": 1e-10}
SIZES = {"hidden_size": 32, "length": 41, "batch_size": 4}


def random_case(cell, seed):
    """Return a random case; all parameters are random, including biases and the forget bias."""
    generator = torch.Generator().manual_seed(seed)
    B, T, D, H, C = (int(torch.randint(1, most, (), generator=generator)) for most in (6, 15, 7, 12, 6))
    torch.manual_seed(seed)
    recurrent = Recurrent(cell, D, H).double()
    return recurrent, nn.Linear(H, C).double(), torch.randn(B, T, D).double(), torch.randint(C, (B,))


def loss_of(recurrent, output, x, labels):
    hs, _ = recurrent(x)
    return F.cross_entropy(output(hs[:, -1]), labels)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("seed", range(12))
def test_the_closed_forms_are_the_gradients(cell, seed):
    recurrent, output, x, labels = random_case(cell, seed)
    found = by_hand(recurrent, output, x, labels)
    weights = [output.weight, recurrent.core.weight_hh_l0]
    dW_ph, dW_hh = torch.autograd.grad(loss_of(recurrent, output, x, labels), weights)
    torch.testing.assert_close(found.output, dW_ph, **CLOSE)
    torch.testing.assert_close(found.recurrent, dW_hh, **CLOSE)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_each_term_is_what_its_own_step_adds(cell):
    """Each term equals the gradient by autograd when every step has its own copy of W_hh."""
    recurrent, output, x, labels = random_case(cell, 5)
    weights = recurrent.weights(0)
    own = [weights["weight_hh"].detach().clone().requires_grad_() for _ in range(x.shape[1])]
    state = [x.new_zeros(len(x), recurrent.hidden_size)] * len(recurrent.cell.state)
    for t, W in enumerate(own):
        step = recurrent.cell.step(weights | {"weight_hh": W}, x[:, t], *state)
        state = [step[name] for name in recurrent.cell.state]
    truth = torch.autograd.grad(F.cross_entropy(output(state[0]), labels), own)
    found = by_hand(recurrent, output, x, labels).terms
    assert len(found) == len(own) > 3
    torch.testing.assert_close(found, torch.stack(truth), **CLOSE)
    assert (found[1:].flatten(1).norm(dim=1) > 1e-9).all() and not found[0].any()  # h is zero before step 1


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_output_weights_get_one_term(cell):
    """A state detached before the last step leaves dL/dW_ph unchanged and only the last term of dL/dW_hh."""
    recurrent, output, x, labels = random_case(cell, 5)
    found = by_hand(recurrent, output, x, labels)
    _, state = recurrent(x[:, :-1])
    cut = state.detach() if isinstance(state, torch.Tensor) else tuple(part.detach() for part in state)
    hs, _ = recurrent(x[:, -1:], cut)
    loss = F.cross_entropy(output(hs[:, -1]), labels)
    dW_ph, dW_hh = torch.autograd.grad(loss, [output.weight, recurrent.core.weight_hh_l0])
    torch.testing.assert_close(found.output, dW_ph, **CLOSE)
    torch.testing.assert_close(found.terms[-1], dW_hh, **CLOSE)
    assert (found.recurrent - dW_hh).norm() > 0.05 * dW_hh.norm()


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}, {"cell": "gru"}])
def test_other_nets_are_refused(options):
    net = Recurrent(**{"cell": "rnn", "input_size": 2, "hidden_size": 3} | options)
    with pytest.raises(ValueError, match="an rnn or lstm of one layer and direction"):
        by_hand(net, nn.Linear(3, 2), torch.zeros(1, 2, 2), torch.zeros(1, dtype=torch.long))


@pytest.mark.slow
@pytest.mark.parametrize("state", [0.01, 0.5])
@pytest.mark.parametrize("radius", [0.8, 0.95, 1.05, 1.25])
def test_a_term_is_the_one_before_times_the_radius_and_the_slope_of_tanh(radius, state):
    """The border lies at radius 1 if tanh is linear, and above 1 if it is not."""
    sizes = SIZES | {"length": 121}  # long enough for the largest eigenvalue to dominate
    norms = measure([build_held_rnn(radius, state, **sizes, seed=seed) for seed in range(3)])
    assert factor(norms.terms) == pytest.approx(radius * (1 - state**2), rel=0.01)
    grows = norms.terms[:, -1] > norms.terms[:, 0]
    assert grows.all() if radius * (1 - state**2) > 1.04 else not grows.any()


@pytest.mark.slow
def test_saturation_makes_the_terms_vanish_beyond_a_radius_of_one():
    for radius in bptt.RADII:
        norms = measure([build_free_rnn(radius, **SIZES, seed=seed) for seed in range(3)])
        assert factor(norms.terms) < 0.8
        assert (norms.terms[:, -1] < 1e-4 * norms.terms[:, 0]).all()


@pytest.mark.slow
def test_the_forget_bias_keeps_the_terms_of_the_lstm():
    factors = [
        factor(measure([build_lstm(bias, **SIZES, seed=seed) for seed in range(3)]).terms) for bias in (0, 1, 2, 4)
    ]
    assert factors == sorted(factors)
    assert factors[0] < 0.8 and 0.95 < factors[3] < 1.1


@pytest.mark.slow
def test_the_command(tmp_path):
    values = typed(bptt.Arguments, {"hidden_size": "8", "seeds": "2", "steps": "12"})
    table = bptt.analyze(tmp_path, values)
    assert table.row_count == 2 * len(bptt.RADII) + len(bptt.FORGET_BIASES)
    assert (tmp_path / "bptt.png").stat().st_size > 10_000
    rows = read_rows(tmp_path / "bptt.csv")
    assert len(rows) == table.row_count * (12 + 1)
    for row in rows:
        low, mean, high = (float(row[key]) for key in ("lowest", "geometric_mean", "highest"))
        assert 0 < low < mean < high and math.isfinite(high)  # two initialisations differ


@pytest.mark.parametrize("word", ["steps=9", "seeds=0", "hidden_size=x"])
def test_wrong_values_write_nothing(tmp_path, word):
    key, _, value = word.partition("=")
    with pytest.raises(UserError, match=word):
        bptt.analyze(tmp_path / "out", typed(bptt.Arguments, {key: value}))
    assert not (tmp_path / "out").exists()
