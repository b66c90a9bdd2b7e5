"""Test that the scores of actions are multiplied by a factor that grows in training, on every path."""

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent.cells import StackRNN, TapeRNN
from lightning_dl2.nets.recurrent.layers import set_optimizer_step
from tests.small import small_data, small_task, small_text, small_trainer, small_writer

B, T, D, H = 3, 6, 2, 5
SIZES = {"StackRNN": {"stack_size": 9, "cell_size": 2}, "TapeRNN": {"tape_size": 9, "cell_size": 2}}
LENGTHS = {"StackRNN": {}, "TapeRNN": {"input_lengths": torch.tensor([2, 3, 3])}}


def net_of(kind, **options):
    torch.manual_seed(0)
    cell = {"_target_": f"lightning_dl2.nets.recurrent.cells.{kind}", **SIZES[kind], **options}
    return Recurrent(cell, D, H).double()


def with_scores_times(kind, factor, **options):
    """Return the same net without sharpness, its weights of the scores multiplied by hand."""
    net = net_of(kind, **options)
    with torch.no_grad():
        for name in ("weight_actions", "bias_actions"):
            net.core[f"{name}_l0"].mul_(factor)
    return net


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("choice", ["softmax", "sparsemax"])
@pytest.mark.parametrize(
    ("training", "step", "factor"),
    [(True, 0, 1), (True, 5, 1), (True, 10, 2), (True, 15, 3), (True, 99, 3), (True, None, 3), (False, 0, 3)],
)
def test_the_factor_grows_linearly_and_is_whole_outside_of_training(kind, choice, training, step, factor):
    net = net_of(kind, choice=choice, sharpness=3.0, sharpening=[5, 15]).train(training)
    wanted, x = with_scores_times(kind, factor, choice=choice), torch.randn(B, T, D, dtype=torch.float64)
    if step is not None:
        set_optimizer_step(torch.nn.ModuleList([net]), step)
    outputs, _ = wanted(x, **LENGTHS[kind])
    torch.testing.assert_close(net(x, **LENGTHS[kind])[0], outputs, rtol=0, atol=1e-12)
    torch.testing.assert_close(net.explicit(x, **LENGTHS[kind])[0], outputs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", SIZES)
def test_the_gradient_passes_through_the_factor(kind):
    net, plain = net_of(kind, sharpness=3.0), with_scores_times(kind, 3)
    x = torch.randn(B, T, D, dtype=torch.float64)
    for one in (net, plain):
        one(x, **LENGTHS[kind])[0].square().sum().backward()
    sharp, slow = (one.core["weight_actions_l0"].grad for one in (net, plain))
    assert slow.any()
    torch.testing.assert_close(sharp, 3 * slow, rtol=1e-9, atol=1e-12)


def test_a_jump_to_the_sharpness_and_none_at_all():
    at_once = StackRNN(sharpness=3.0, sharpening=(4, 4))
    w = {"weight_actions": torch.ones(3, 2), "weight_push": torch.ones(1, 2)}
    assert [at_once.sharpened(w, step)["weight_actions"][0, 0].item() for step in (3, 4)] == [1, 3]
    assert at_once.sharpened(w, 9)["weight_push"] is w["weight_push"]
    assert StackRNN().sharpened(w, 3) is w


@pytest.mark.parametrize("kind", [StackRNN, TapeRNN])
def test_a_sharpening_that_ends_before_it_begins_is_refused(kind):
    with pytest.raises(UserError, match=r"sharpening=\[5, 2\]: ends before it begins; allowed: \[FIRST, LAST\]"):
        kind(sharpness=2.0, sharpening=(5, 2))


class Counting(StackRNN):
    """Keep the optimiser steps that it is told, in training."""

    told: list[int | None]

    def sequence(self, w, x, h, S, training=False, optimizer_step=None):
        if training:
            self.told.append(optimizer_step)
        return super().sequence(w, x, h, S, training, optimizer_step)


@pytest.mark.parametrize("text", [False, True])
def test_a_training_tells_its_steps(tmp_path, text):
    Counting.told = []
    data = small_text(tmp_path / "text.txt", "abcdefgh" * 200) if text else small_data()
    task = (small_writer if text else small_task)(data, cell=f"{__name__}.Counting")
    Counting.told.clear()  # building takes a step
    small_trainer(max_steps=3, accumulate_grad_batches=2).fit(task, data)
    assert Counting.told == [0, 0, 1, 1, 2, 2]
