"""Test that the classifier encodes its tokens as configured, and learns."""

import pytest
import torch
from torch.nn import functional as F

from lightning_dl2.nets import RecurrentClassifier

V, C, B, T = 3, 2, 8, 5


def build(**options):
    torch.manual_seed(0)
    return RecurrentClassifier(V, C, **{"cell": "lstm", "hidden_size": 6, **options})


def test_encodings():
    tokens = torch.randint(V, (B, T))
    torch.testing.assert_close(build().encode(tokens), F.one_hot(tokens, V).float())
    torch.testing.assert_close(build(encoding="scalar").encode(tokens), tokens.float()[:, :, None])
    net = build(encoding="embedding", embedding_size=4)
    torch.testing.assert_close(net.encode(tokens), net.embedding.weight[tokens])
    assert build(encoding="embedding").recurrent.input_size == V


@pytest.mark.parametrize("encoding", ["one_hot", "embedding", "scalar"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_explicit_gives_the_same_logits(encoding, bidirectional):
    net = build(encoding=encoding, bidirectional=bidirectional, cell="peephole", num_layers=2)
    tokens = torch.randint(V, (B, T))
    logits, trace = net.explicit(tokens)
    torch.testing.assert_close(logits, net(tokens))
    assert logits.shape == (B, C)
    assert torch.autograd.grad(logits.sum(), trace[0][0]["h"])[0].any()


def test_the_identity_is_not_in_checkpoints_and_follows_the_dtype():
    net = build()
    assert [name for name in net.state_dict() if not name.startswith("recurrent.core.")] == [
        "output.weight",
        "output.bias",
    ]
    assert net.double()(torch.randint(V, (B, T))).dtype == torch.float64


@pytest.mark.parametrize("initialization", ["kaiming", "xavier", "orthogonal"])
def test_the_output_layer_is_initialised_too(initialization):
    net = build(initialization=initialization, hidden_size=512)
    expected = (2 / 512) ** 0.5 if initialization == "kaiming" else (2 / (512 + C)) ** 0.5
    assert net.output.weight.std().item() == pytest.approx(expected, rel=0.08)
    assert not net.output.bias.any()
    assert build(output_bias=False, initialization=initialization).output.bias is None


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "peephole"])
def test_it_learns_a_batch_by_heart(cell):
    net = build(cell=cell, hidden_size=32)
    tokens, labels = torch.randint(V, (B, T)), torch.randint(C, (B,))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(tokens), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


def test_an_unknown_encoding_is_refused():
    with pytest.raises(ValueError, match="encoding is 'onehot'; it must be one of one_hot, embedding, scalar"):
        build(encoding="onehot")
