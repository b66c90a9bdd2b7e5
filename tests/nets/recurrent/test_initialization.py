"""Test that initialisations reach every gate of every layer and direction."""

import math

import pytest
import torch

from lightning_dl2.nets import Recurrent

ALL = [
    {"cell": "rnn"},
    {"cell": "lstm"},
    {"cell": "gru"},
    {"cell": "gru", "reset_after": False},
    {"cell": "peephole", "peephole": "gers"},
    {"cell": "peephole", "peephole": "assignment"},
]
GATED = ALL[1:]
H = 64


def build(options, **more):
    torch.manual_seed(0)
    return Recurrent(input_size=32, hidden_size=H, num_layers=2, bidirectional=True, **options, **more)


def gates(net, prefix):
    """Yield (name, gate [H, ...]) for every layer, direction and gate of the matrices with this prefix."""
    matrices = {name: p for name, p in net.core.named_parameters() if name.startswith(prefix)}
    return [(name, gate) for name, matrix in matrices.items() for gate in matrix.detach().split(H)]


def forget_biases(net, gate):
    """Return the total bias of one gate in all layers and directions."""
    index = net.cell.gates.index(gate)
    for layer in range(2):
        for direction in range(2):
            w = net.weights(layer, direction)
            biases = [w[name].detach() for name in ("bias_ih", "bias_hh") if name in w]
            yield sum(biases).split(H)[index]


@pytest.mark.parametrize("options", ALL)
@pytest.mark.parametrize("initialization", ["kaiming", "xavier", "orthogonal"])
def test_every_gate_has_its_own_scale_and_biases_are_zero(options, initialization):
    net = build(options, initialization=initialization)
    for name, gate in gates(net, "weight"):
        fan_out, fan_in = gate.shape
        if initialization == "kaiming":
            expected = math.sqrt(2 / fan_in)
        else:
            expected = math.sqrt(2 / (fan_in + fan_out))
        if initialization == "orthogonal" and not name.startswith("weight_ih"):
            torch.testing.assert_close(gate @ gate.T, torch.eye(H), atol=1e-5, rtol=0)
        else:
            assert gate.std().item() == pytest.approx(expected, rel=0.06), name
    for name, parameter in net.core.named_parameters():
        if not name.startswith("weight"):
            assert not parameter.any(), name


@pytest.mark.parametrize("options", ALL)
def test_torch_is_uniform_within_the_root_of_the_hidden_size(options):
    for name, parameter in build(options).core.named_parameters():
        assert 0.9 / math.sqrt(H) < parameter.abs().max().item() <= 1 / math.sqrt(H), name


@pytest.mark.parametrize("options", ALL)
def test_the_seed_decides(options):
    first, second = (build(options, initialization="orthogonal").state_dict() for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("options", GATED)
@pytest.mark.parametrize("initialization", ["torch", "orthogonal"])
def test_a_number_is_the_total_forget_bias_everywhere(options, initialization):
    net = build(options, initialization=initialization, forget_bias=3.0)
    for bias in forget_biases(net, net.cell.forget_gate):
        assert (bias == 3.0).all()


@pytest.mark.parametrize("options", GATED)
@pytest.mark.parametrize("length", [1000, 3, 2, 1])
def test_chrono_spreads_the_forget_bias_over_the_timescales(options, length):
    net = build(options, forget_bias="chrono", sequence_length=length)
    forget = torch.cat(list(forget_biases(net, net.cell.forget_gate)))
    assert forget.min() >= 0 and forget.max() <= math.log(max(1, length - 1)) + 1e-6
    if length == 1000:
        assert forget.exp().mean().item() == pytest.approx(500, rel=0.15)
    if "i" in net.cell.gates:
        torch.testing.assert_close(torch.cat(list(forget_biases(net, "i"))), -forget, rtol=0, atol=0)


def test_the_rnn_ignores_the_forget_bias():
    rnn, with_bias = build({"cell": "rnn"}), build({"cell": "rnn"}, forget_bias=3.0)
    torch.testing.assert_close(rnn.state_dict(), with_bias.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initialization": "he"}, "initialization is 'he'; it must be one of torch, kaiming, xavier, orthogonal"),
        ({"forget_bias": "large"}, "forget_bias is 'large'"),
        ({"forget_bias": 1.0, "bias": False}, "bias is False"),
        ({"forget_bias": "chrono"}, "sequence_length is None"),
    ],
)
def test_errors_name_the_argument(options, message):
    with pytest.raises(ValueError, match=message):
        build({"cell": "lstm"}, **options)
