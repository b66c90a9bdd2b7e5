"""Test that averaged weights follow their formula, are used in validations and checkpoints, and not in training."""

import pytest
import torch
from pytorch_lightning import Callback

from lightning_dl2.callbacks import WeightAveraging
from tests.small import small_data, small_task, small_trainer


class Recorder(Callback):
    """Record the weights after each step and those that a validation uses."""

    def __init__(self):
        self.trained, self.validated = [], []

    def on_train_batch_end(self, trainer, module, *_):
        self.trained.append(module.net.output.weight.detach().clone())

    def on_validation_batch_start(self, trainer, module, *_):
        self.validated.append(module.net.output.weight.detach().clone())


def fit(*callbacks, steps=6, accumulate_grad_batches=1, **options):
    data = small_data(validation_size=8)
    task, recorder = small_task(data, optimizer={"learning_rate": 0.1}), Recorder()
    trainer = small_trainer(
        max_steps=steps,
        val_check_interval=3,
        check_val_every_n_epoch=None,
        accumulate_grad_batches=accumulate_grad_batches,
        callbacks=[recorder, *callbacks],
    )
    trainer.fit(task, data, **options)
    return trainer, task, recorder


@pytest.mark.slow
def test_average_and_where_it_stands(tmp_path):
    trainer, task, seen = fit(WeightAveraging(decay=0.8, start_step=2))
    _, _, without = fit()
    assert all(torch.equal(a, b) for a, b in zip(seen.trained, without.trained, strict=True))
    average = seen.trained[2]  # the first averaged weights
    torch.testing.assert_close(seen.validated[0], average)
    for weights in seen.trained[3:]:
        average = 0.8 * average + 0.2 * weights
    torch.testing.assert_close(seen.validated[1], average)
    assert torch.equal(task.net.output.weight, seen.trained[-1])  # training continues with its own weights
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    torch.testing.assert_close(checkpoint["state_dict"]["net.output.weight"], average)
    assert torch.equal(checkpoint["current_model_state"]["net.output.weight"], seen.trained[-1])


def test_before_the_first_that_is_averaged_the_average_is_the_weights():
    _, _, seen = fit(WeightAveraging(decay=0.8, start_step=1000))
    for validated, trained in zip(seen.validated, (seen.trained[2], seen.trained[5]), strict=True):
        assert torch.equal(validated, trained)


def test_accumulated_steps_are_averaged_once_each():
    average = WeightAveraging(decay=0.8, start_step=1)
    _, _, seen = fit(average, steps=3, accumulate_grad_batches=2)
    expected = 0.8 * seen.trained[3] + 0.2 * seen.trained[5]  # weights after the second and third step
    torch.testing.assert_close(average._average_model.module.net.output.weight, expected)


def test_in_place_for_a_block():
    averaging = WeightAveraging(decay=0.8, start_step=0)
    _, task, seen = fit(averaging)
    before = task.net.output.weight.detach().clone()
    with averaging.average_in_place(task):
        torch.testing.assert_close(task.net.output.weight.detach(), seen.validated[-1])
    assert torch.equal(task.net.output.weight, before)
