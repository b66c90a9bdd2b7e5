"""Test that sequences of different lengths give the same alone and in a padded batch, for every cell."""

import pytest
import torch
from torch.nn import functional as F

from lightning_dl2.nets import RecurrentClassifier, RecurrentTransducer

LENGTHS = torch.tensor([5, 1, 7, 3])
LABELS = torch.tensor([0, 1, 2, 1])
CELLS = {
    "rnn": {"cell": "rnn"},
    "lstm": {"cell": "lstm"},
    "gru": {"cell": "gru"},
    "paper_gru": {"cell": "gru", "reset_after": False},
    "gers": {"cell": "peephole"},
    "assignment": {"cell": "peephole", "peephole": "assignment"},
    "equations": {"cell": "tests.nets.recurrent.strangers.EquationsPeephole"},
    "module": {"cell": "tests.nets.recurrent.strangers.ModulePeephole"},
    "attentive": {"cell": "tests.nets.recurrent.strangers.Attentive"},
}


def build(**options):
    torch.manual_seed(0)
    return RecurrentClassifier(None, 3, **{"features": 2, "encoding": "none", "hidden_size": 4} | options).double()


def loss_and_gradients(net, *parts):
    loss = sum(F.cross_entropy(net(x, lengths), labels, reduction="sum") for x, labels, lengths in parts)
    return [loss, *torch.autograd.grad(loss, list(net.parameters()))]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_alone_and_in_a_padded_batch(cell, bidirectional):
    net = build(**CELLS[cell], bidirectional=bidirectional, num_layers=2)
    x = torch.randn(4, 7, 2, dtype=torch.float64)  # what lies behind an end must not matter
    alone = [(x[i : i + 1, :length], LABELS[i : i + 1], None) for i, length in enumerate(LENGTHS.tolist())]
    together = loss_and_gradients(net, (x, LABELS, LENGTHS))
    torch.testing.assert_close(together, loss_and_gradients(net, *alone), atol=1e-12, rtol=1e-10)
    logits, trace = net.explicit(x, LENGTHS)
    torch.testing.assert_close(logits, net(x, LENGTHS))
    shift = 7 - 5 if bidirectional else 0  # as `Recurrent.explicit` says of the second direction
    alone_trace = net.explicit(x[:1, :5])[1]
    for t in range(5):
        here, there = trace[0][-1]["h"][t + shift][0], alone_trace[0][-1]["h"][t][0]
        torch.testing.assert_close(here, there)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gers"])
def test_a_transducer_answers_alone_as_in_a_padded_batch(cell, bidirectional):
    torch.manual_seed(0)
    net = RecurrentTransducer(4, 3, hidden_size=5, num_layers=2, bidirectional=bidirectional, **CELLS[cell]).double()
    tokens = torch.randint(4, (4, 7))
    together = net(tokens, LENGTHS)
    explicit = net.explicit(tokens, LENGTHS)[0]
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(explicit[row, :length], together[row, :length])
        torch.testing.assert_close(net(tokens[row : row + 1, :length])[0], together[row, :length])
        last = RecurrentClassifier.read(net, *net.recurrent(net.encode(tokens[row : row + 1, :length])), None)
        if not bidirectional:
            torch.testing.assert_close(net.output(last)[0], together[row, length - 1])


def test_full_lengths_are_as_none():
    for bidirectional in (False, True):
        net, x = build(cell="gru", bidirectional=bidirectional), torch.randn(4, 7, 2, dtype=torch.float64)
        torch.testing.assert_close(net(x, torch.full((4,), 7)), net(x), atol=1e-14, rtol=0)


def test_an_unknown_token_is_encoded_as_zeros():
    tokens = torch.tensor([[0, 3]])
    for options in ({"encoding": "one_hot"}, {"encoding": "embedding", "embedding_size": 5}):
        torch.manual_seed(0)
        net = RecurrentClassifier(3, 2, cell="rnn", hidden_size=4, has_unknown=True, **options)
        encoded = net.encode(tokens)[0]
        assert encoded[0].any() and not encoded[1].any()
        net(tokens).sum().backward()
    assert not net.embedding.weight.grad[3].any()


def test_real_vectors_enter_as_they_are_or_through_a_learnt_map():
    x = torch.randn(2, 3, 2, dtype=torch.float64)
    assert build(cell="rnn").encode(x).equal(x)
    net = build(cell="rnn", encoding="linear", embedding_size=5, initialization="xavier")
    torch.testing.assert_close(net.encode(x), x @ net.linear.weight.T)
    assert net.recurrent.input_size == 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            {"vocabulary_size": None, "features": 2, "encoding": "embedding"},
            "with real vectors it must be one of none, li",
        ),
        ({"vocabulary_size": 3, "encoding": "linear"}, "with tokens it must be one of one_hot, embedding, scalar"),
    ],
)
def test_an_encoding_that_does_not_fit_the_input(arguments, says):
    with pytest.raises(ValueError, match=says):
        RecurrentClassifier(num_classes=2, cell="rnn", hidden_size=4, **arguments)
