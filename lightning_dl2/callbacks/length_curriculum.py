"""Tells the data module's curriculum how well the last batch went, and the optimiser what follows for its rate."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_dl2.resume.requirements import needed


class LengthCurriculum(Callback):
    """Feeds the training accuracy, averaged over the ranks, to `datamodule.curriculum`, and logs the length.

    Where the curriculum asks for it, the schedule's learning rate is lowered for the step that follows.
    """

    _step = 0  # before the batch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        fix = "call fit(task, datamodule) with a SequenceDataModule that has a curriculum"
        needed(self, _datamodule(trainer), "curriculum", fix)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._step = trainer.global_step
        factor = _datamodule(trainer).curriculum.rate_factor()
        if factor == 1.0:
            return
        # From the schedule's own rate, not from the group's: that one may be lowered already, in a checkpoint say.
        scheduler: Any = pl_module.lr_schedulers()
        for group, rate in zip(trainer.optimizers[0].param_groups, scheduler.get_last_lr(), strict=True):
            group["lr"] = rate * factor

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        curriculum = _datamodule(trainer).curriculum
        accuracy = trainer.strategy.reduce(outputs["accuracy"], reduce_op="mean")
        outputs["sequence_length"] = float(curriculum.length)  # logged by the task as train/sequence_length
        curriculum.update(accuracy.item(), stepped=trainer.global_step > self._step)


def _datamodule(trainer: Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it later
