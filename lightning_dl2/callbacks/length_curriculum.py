"""Feed the training accuracy to the length curriculum, and its learning rate to the optimiser."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_dl2.resume.requirements import needed
from lightning_dl2.resume.train_batches import datamodule_of


class LengthCurriculum(Callback):
    """Feed the training accuracy, averaged over the ranks, to `datamodule.curriculum`, and log the length.

    Where the curriculum asks for it, lower the schedule's learning rate for the next step.
    """

    _step = 0  # global step before the batch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        fix = "call fit(task, datamodule) with a SequenceDataModule that has a curriculum"
        needed(self, datamodule_of(trainer), "curriculum", fix)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._step = trainer.global_step
        factor = datamodule_of(trainer).curriculum.rate_factor()
        if factor == 1.0:
            return
        # From the schedule's rate, not the group's, which may be lowered already, as after a resume.
        scheduler: Any = pl_module.lr_schedulers()
        for group, rate in zip(trainer.optimizers[0].param_groups, scheduler.get_last_lr(), strict=True):
            group["lr"] = rate * factor

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        curriculum = datamodule_of(trainer).curriculum
        accuracy = trainer.strategy.reduce(outputs["accuracy"], reduce_op="mean")
        outputs["sequence_length"] = float(curriculum.length)  # logged by the task as train/sequence_length
        curriculum.update(accuracy.item(), stepped=trainer.global_step > self._step)
