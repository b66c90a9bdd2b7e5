"""Test that |dL/dh(t)| and |dL/dc(t)| by the explicit path equal those by the fast path, split at t."""

import pytest
import torch
from torch.nn import functional as F

from lightning_dl2.nets import LanguageModel, RecurrentClassifier, RecurrentTransducer
from lightning_dl2.nets.recurrent.gradient_flow import band, fixed_batch, gradient_flow, steps_back
from tests.small import small_data, small_text

B, T, V, H = 3, 6, 5, 7
CELLS = [
    {"cell": "rnn"},
    {"cell": "gru"},
    {"cell": "lstm", "forget_bias": 1.0},
    {"cell": "peephole"},
    {"cell": "peephole", "peephole": "assignment"},
]


def build(language_model=False, **options):
    torch.manual_seed(0)
    sizes = (V,) if language_model else (V, 4)
    net = (LanguageModel if language_model else RecurrentClassifier)(*sizes, hidden_size=H, **options).double()
    return net, torch.randint(V, (B, T)), torch.randint(4, (B,))


@pytest.mark.parametrize("language_model", [False, True])
@pytest.mark.parametrize("options", CELLS)
def test_it_is_the_gradient_of_the_state_that_the_fast_path_reads_on_from(options, language_model):
    net, tokens, labels = build(language_model, **options)
    recurrent = net.blocks[0] if language_model else net.recurrent
    x = net.embedding(tokens) if language_model else net.encode(tokens)
    flow = gradient_flow(net, tokens, labels)
    assert list(flow) == list(recurrent.cell.state)
    _, _, [[trace]] = recurrent.explicit(x)
    for t in range(T):
        _, state = recurrent(x[:, : t + 1])
        parts = [state] if isinstance(state, torch.Tensor) else list(state)
        parts = [part.detach().requires_grad_() for part in parts]
        h = parts[0][0]
        if t < T - 1:
            _, end = recurrent(x[:, t + 1 :], tuple(parts) if len(parts) > 1 else parts[0])
            h = recurrent.last(end)
        loss = F.cross_entropy(net.output(h), labels) * B / 128
        truth = [g[0] for g in torch.autograd.grad(loss, parts, materialize_grads=True)]
        if "c" in flow:  # c(t) reaches the loss through h(t), too
            truth[1] = truth[1] + truth[0] * trace["o"][t] * (1 - trace["c"][t].tanh() ** 2)
            if options == {"cell": "peephole"}:  # and through the output gate's peephole
                slope = trace["o"][t] * (1 - trace["o"][t]) * recurrent.weights(0)["peephole"][2]
                truth[1] = truth[1] + truth[0] * trace["c"][t].tanh() * slope
        for name, gradient in zip(flow, truth, strict=True):
            assert flow[name][0, 0, t].item() == pytest.approx(gradient.norm(dim=1).mean().item(), rel=1e-9, abs=1e-15)


def test_the_net_is_left_as_it_was():
    net, tokens, labels = build(cell="lstm", num_layers=2, dropout=0.5, weight_dropout=0.5)
    before = torch.get_rng_state()
    with torch.no_grad():
        one, other = (gradient_flow(net.train(), tokens, labels)["c"] for _ in range(2))
    assert torch.equal(one, other) and torch.equal(torch.get_rng_state(), before)
    assert net.training and net.recurrent.core.training
    assert all(p.grad is None for p in net.parameters())


def test_steps_are_counted_from_where_a_direction_ends():
    net, tokens, labels = build(cell="rnn", bidirectional=True)
    flow = gradient_flow(net, tokens, labels)["h"]
    assert flow.shape == (1, 2, T)
    back = steps_back(flow)
    assert torch.equal(back[0, 0], flow[0, 0].flip(0)) and torch.equal(back[0, 1], flow[0, 1])
    _, state = net.recurrent(net.encode(tokens))
    state = net.recurrent.last(state).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(net.output(state), labels) * B / 128, [state])
    for direction, part in enumerate(gradient.split(H, dim=1)):
        assert back[0, direction, 0].item() == pytest.approx(part.norm(dim=1).mean().item())


def test_fixed_batch_of_sequences():
    data = small_data()
    data.setup("validate")
    tokens, labels = fixed_batch(data.val_dataloader(), 4)
    assert torch.equal(tokens, data.sets["val"][0][:4].long()) and torch.equal(labels, data.sets["val"][1][:4])


def test_marked_positions_are_measured_from_the_last_mark():
    """A transducer's flow is that of a classifier with its weights that reads up to the last mark."""
    data = small_data("missing_duplicate", 8, shortest_length=4)
    data.setup("validate")
    tokens, labels, lengths, input_lengths = fixed_batch(data.val_dataloader(), 9)
    assert tokens.shape == (9, 9) and set(lengths.tolist()) == {7, 9} and set(labels.tolist()) == {0, 1}
    assert torch.equal(input_lengths, lengths - 1)
    torch.manual_seed(0)
    net = RecurrentTransducer(4, 2, cell="lstm", hidden_size=H).double()
    other = RecurrentClassifier(4, 2, cell="lstm", hidden_size=H).double()
    other.load_state_dict(net.state_dict())
    flows = [gradient_flow(each, tokens, labels, lengths) for each in (net, other)]
    for name in flows[0]:
        torch.testing.assert_close(flows[0][name], flows[1][name])
    same = tokens[lengths == 9], labels[lengths == 9]
    torch.testing.assert_close(gradient_flow(net, *same)["h"], gradient_flow(other, *same)["h"])


def test_the_flow_is_that_of_the_inputs_lengths():
    torch.manual_seed(0)
    net = RecurrentTransducer(4, 2, cell="tape_rnn", hidden_size=H).double()
    tokens, labels = torch.randint(3, (2, 9)), torch.tensor([0, 1])
    together = gradient_flow(net, tokens, labels, None, torch.tensor([3, 7]))["M"]
    alone = [
        gradient_flow(net, tokens[i : i + 1], labels[i : i + 1], None, torch.tensor([n]))["M"]
        for i, n in ((0, 3), (1, 7))
    ]
    torch.testing.assert_close(together, sum(alone) / 2)
    assert not torch.allclose(together, gradient_flow(net, tokens, labels)["M"])


def test_fixed_batch_of_a_text_begins_from_a_zero_state(book):
    data = small_text(book)
    split, width = torch.from_numpy(data.splits["val"].astype("int64")), data.evaluation["width"]
    tokens, labels = fixed_batch(data.val_dataloader(), 2)
    assert torch.equal(tokens, split[: 2 * width].view(2, width))
    assert torch.equal(labels, split[[width, 2 * width]])


def test_band():
    mean, low, high = band(torch.tensor([[1.0, 4.0], [100.0, 9.0]]))
    assert mean.tolist() == pytest.approx([10.0, 6.0]) and low.tolist() == [1, 4] and high.tolist() == [100, 9]
