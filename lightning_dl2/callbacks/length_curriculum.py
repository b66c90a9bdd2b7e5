"""Tells the data module's curriculum how well the last batch went."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class LengthCurriculum(Callback):
    """Feeds the training accuracy, averaged over the ranks, to `datamodule.curriculum`, and logs the length."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        curriculum = trainer.datamodule.curriculum
        accuracy = trainer.strategy.reduce(outputs["accuracy"], reduce_op="mean")
        outputs["sequence_length"] = float(curriculum.length)  # logged by the task as train/sequence_length
        curriculum.update(accuracy.item())
