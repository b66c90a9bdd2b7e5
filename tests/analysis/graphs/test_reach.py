"""Test that k graph convolutions reach k steps; more rounds of a shared update, or an LSTM, reach further."""

import pytest
import torch

from lightning_dl2.analysis.graphs.reach import accuracy, build_gated_graph_net, build_graph_net, build_lstm
from lightning_dl2.data import SequenceDataModule
from lightning_dl2.data.graphs.path_graphs import path_batch


@pytest.mark.parametrize("build", [build_graph_net, build_gated_graph_net])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("num_tokens", [2, 4, 5, 8])
def test_the_answer_depends_on_the_first_token_just_where_it_can_reach_the_last(build, steps, num_tokens):
    """Beyond the reach, exactly one of the ten first digits is answered right, whatever the weights are."""
    torch.manual_seed(0)
    data = SequenceDataModule("decimal_palindrome", num_tokens + 1, 1)
    task = build(data.spec, steps).double().eval()
    tokens, _ = data.train_batch(0)
    tokens = tokens.repeat(10, 1)
    tokens[:, 0] = torch.arange(10)
    # One sequence at a time, so sums have the same order and equal bits.
    logits = torch.cat([task(path_batch((row[None], row[:1]))) for row in tokens])
    if num_tokens - 1 > steps:
        assert torch.equal(logits, logits[:1].expand_as(logits))
        assert (logits.argmax(1) == tokens[:, 0]).sum() == 1
    else:
        assert not torch.isclose(logits[0], logits[1:]).all(1).any()


@pytest.mark.slow
def test_trained_nets_reach_as_far_as_they_see():
    near, far = 4, 6
    assert accuracy(lambda spec: build_graph_net(spec, near - 1), near) > 0.95
    assert accuracy(lambda spec: build_graph_net(spec, near - 1), far, steps=100) < 0.15
    assert accuracy(lambda spec: build_gated_graph_net(spec, near - 1), far, steps=100) < 0.15
    assert accuracy(lambda spec: build_gated_graph_net(spec, far - 1), far) > 0.95
    assert accuracy(build_lstm, far) > 0.95


def test_it_is_tested_on_sequences_of_its_own_and_a_seed_is_one_of_weights_and_data():
    weights, seen = [], []

    def build(spec):
        task = build_lstm(spec)
        weights.append(task.net.output.weight.detach().clone())
        task.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        return task

    tested = []
    for seed in (1, 2):
        accuracy(build, 5, seed=seed, steps=1)
        tested.append(seen[-1])
    assert [len(tokens) for tokens in tested] == [2000, 2000]
    assert not torch.equal(*tested) and not torch.equal(*weights)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figure():
    first, again = (accuracy(lambda spec: build_gated_graph_net(spec, 2), 3, seed=1, steps=12) for _ in range(2))
    assert first == again
