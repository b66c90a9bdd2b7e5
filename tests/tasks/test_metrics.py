"""Test that a split's metrics include every batch, and only classes of the split."""

import math

import pytest
import torch

from lightning_dl2.tasks.metrics import MacroAccuracy, Mean
from tests.small import small_data, small_task, small_text, small_trainer, small_writer


def test_one_nan_makes_the_mean_nan():
    mean = Mean()
    for value, weight in ((1.0, 3), (5.0, 1)):
        mean.update(torch.tensor(value), weight=weight)
    assert mean.compute() == 2.0
    mean.update(torch.tensor(float("nan")), weight=1)
    assert mean.compute().isnan()


def test_a_split_with_one_sick_batch_has_no_loss():
    """A split with one non-finite batch has no loss; test_keep_checkpoints tests that it is never the best."""
    data = small_data(validation_size=32, evaluation_batch_size=8)
    task, healthy = small_task(data), type(small_task(data)).forward
    batches = []

    def forward(*inputs):
        batches.append(inputs)
        return healthy(task, *inputs) * (float("nan") if len(batches) == 2 else 1.0)

    task.forward = forward
    (found,) = small_trainer().validate(task, data, verbose=False)
    assert len(batches) == 4 and math.isnan(found["val/loss"])


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_class_counts_where_the_split_has_it(deterministic):
    """A class counts if the split has it, not if it is only predicted."""
    targets, answers = torch.tensor([0, 0, 0, 0, 1, 1, 3]), torch.tensor([0, 0, 0, 2, 1, 4, 3])
    outputs = torch.nn.functional.one_hot(answers, 5).float()
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(deterministic)
    try:
        macro = MacroAccuracy(5)
        for part in torch.arange(7).split(3):
            macro.update(outputs[part], targets[part])
    finally:
        torch.use_deterministic_algorithms(before)
    assert macro.compute().item() == pytest.approx((0.75 + 0.5 + 1.0) / 3)


def test_perplexity_is_that_of_the_loss_however_bad_it_is(book):
    data = small_text(book)
    task = small_writer(data)
    with torch.no_grad():
        task.net.output.weight.mul_(300)
    (found,) = small_trainer().validate(task, data, verbose=False)
    assert 30 < found["val/loss"] < 88  # single probabilities are 0 in float32
    assert found["val/perplexity"] == pytest.approx(math.exp(found["val/loss"]), rel=1e-4)
