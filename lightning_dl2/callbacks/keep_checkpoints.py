"""`last.ckpt` every n steps and at the end, `best.ckpt` when a validation was the best so far."""

from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn


class KeepCheckpoints(Checkpoint):
    """Two files under fixed names.

    `last.ckpt` is written before the batch that follows, when the step's validation and metrics are all done, and
    never while gradients are accumulated.

    Args:
        directory: where they stand.
        every_n_steps: optimiser steps between two `last.ckpt`.
        monitor: a logged metric of the validation.
        mode: "min" or "max".
    """

    def __init__(self, directory: Path, *, every_n_steps: int, monitor: str, mode: str) -> None:
        self.directory, self.every_n_steps, self.monitor, self.mode = directory, every_n_steps, monitor, mode
        self.best: dict[str, float] = {}
        self.best_step = 0
        self._saved_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_step = trainer.global_step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step % self.every_n_steps == 0:
            self.save_last(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.save_last(trainer)

    def save_last(self, trainer: Trainer) -> None:
        """Writes `last.ckpt`, unless it holds this step already."""
        if trainer.global_step != self._saved_step:
            self._saved_step = trainer.global_step
            self._save(trainer, "last.ckpt")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        metrics = {key: value.item() for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        sign = 1 if self.mode == "max" else -1
        if not self.best or sign * metrics[self.monitor] > sign * self.best[self.monitor]:
            self.best, self.best_step = metrics, trainer.global_step
            self._save(trainer, "best.ckpt")

    def _save(self, trainer: Trainer, name: str) -> None:
        for logger in trainer.loggers:
            logger.save()  # what a checkpoint has seen must be on the disk before it
        trainer.save_checkpoint(self.directory / name, weights_only=False)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_step = state_dict["best"], state_dict["best_step"]
