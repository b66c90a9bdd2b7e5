"""Test that the length grows with the accuracy of all ranks, and that a resumed run continues from the same state."""

import pytest
import torch
from pytorch_lightning import Callback

from lightning_dl2.callbacks import LengthCurriculum
from lightning_dl2.resume.exact_resume import ExactResume
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from tests.small import CURRICULUM, small_data, small_task, small_trainer

RULE = CURRICULUM | {"threshold": 0.4, "smoothing": 0.5}  # every second perfect batch passes the threshold


class Perfect(Callback):
    """A task that reports accuracy 1 except at some steps, and records the length of each batch."""

    def __init__(self, wrong=()):
        self.wrong, self.lengths, self.logged = wrong, [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        outputs["accuracy"] = torch.tensor(0.0 if trainer.global_step in self.wrong else 1.0)
        self.lengths.append(batch[0].shape[1] + 1)

    def on_train_batch_start(self, trainer, *_):
        self.logged.append(trainer.callback_metrics.get("train/sequence_length"))


def fit(max_steps, *callbacks, resume=None):
    data, perfect = small_data(length=9, curriculum=RULE), Perfect(wrong=(3,))
    trainer = small_trainer(
        max_steps=max_steps, log_every_n_steps=1, callbacks=[perfect, LengthCurriculum(), *callbacks, ExactResume(0)]
    )
    trainer.fit(small_task(data), data, ckpt_path=resume, weights_only=True)
    return perfect, data.curriculum


@pytest.mark.slow
def test_the_length_grows_at_the_threshold_and_is_logged():
    perfect, curriculum = fit(9)
    assert perfect.lengths == [2, 3, 4, 4, 6, 9, 9, 9, 9]
    assert perfect.logged[1:] == perfect.lengths[:-1]
    assert curriculum.length == 9


@pytest.mark.slow
def test_the_state_is_exact_after_a_resume(tmp_path):
    whole, end = fit(9)
    for stop in range(1, 9):
        keep = KeepCheckpoints(tmp_path / str(stop), every_n_steps=100, monitor="val/accuracy", mode="max")
        keep.directory.mkdir()
        first, _ = fit(stop, keep)
        second, curriculum = fit(9, resume=keep.directory / "last.ckpt")
        assert first.lengths + second.lengths == whole.lengths
        assert curriculum.state_dict() == end.state_dict()


def test_the_accuracy_is_averaged_over_the_ranks():
    data, callback = small_data(length=9, curriculum=RULE | {"smoothing": 0.0}), LengthCurriculum()

    class Strategy:
        def reduce(self, value, reduce_op):
            assert reduce_op == "mean"
            return value / 4  # the three other ranks have accuracy 0

    class Trainer:
        datamodule, strategy, global_step = data, Strategy(), 1

    outputs = {"accuracy": torch.tensor(1.0)}
    callback.on_train_batch_end(Trainer, None, outputs, None, 0)
    assert (data.curriculum.length, data.curriculum.accuracy) == (2, 0.25)
    assert outputs["sequence_length"] == 2


def test_steps_at_the_full_length_are_those_of_the_optimiser():
    data = small_data(length=2, curriculum=RULE, batches_per_epoch=8)
    trainer = small_trainer(max_steps=3, accumulate_grad_batches=2, callbacks=[LengthCurriculum()])
    trainer.fit(small_task(data), data)
    assert data.curriculum.steps_at_target == 3


def test_the_rate_follows_from_the_schedule_alone():
    """Lowering the learning rate twice for one step, as after a resume, equals lowering it once."""
    data = small_data(length=9, curriculum=RULE | {"full_rate_length": 1})
    data.curriculum.length = 4
    trainer = small_trainer(max_steps=1, callbacks=[LengthCurriculum()])
    rates = []

    class Rates(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            for callback in trainer.callbacks:
                if isinstance(callback, LengthCurriculum):
                    callback.on_train_batch_start(trainer, pl_module, batch, batch_idx)
            groups = trainer.optimizers[0].param_groups
            rates.append((pl_module.lr_schedulers().get_last_lr(), [group["lr"] for group in groups]))

    trainer.callbacks.append(Rates())
    trainer.fit(small_task(data, optimizer={"weight_decay_of": {"output": 0.1}}), data)
    (full, lowered), *_ = rates
    assert lowered == [rate / 2 for rate in full] and len(full) == 2  # a second group has another decay
