"""Validate after training, for a run that ends before its first validation."""

import torch
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer

from lightning_dl2.common.statistics import with_split
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints


class FinalValidation(Callback):
    """Validate the last weights where training had no validation with a finite value.

    An extended run that was never interrupted has no validation at this step. Therefore this one runs outside of
    `fit`: no checkpoint, early stopping or schedule sees it. Its metrics are logged in the row of the test, which a
    resumed run drops from metrics.csv.

    Args:
        checkpoints: gets the metrics of `best.ckpt`, which then holds the last weights.
    """

    def __init__(self, checkpoints: KeepCheckpoints) -> None:
        self.checkpoints = checkpoints
        self.metrics: dict[str, float] = {}

    def run(self, trainer: Trainer, task: LightningModule, data: LightningDataModule) -> None:
        """Validate if that is still necessary; call this between `Trainer.fit` and `Trainer.test`."""
        if self.checkpoints.best:
            return
        loggers, trainer.loggers = trainer.loggers, []
        try:
            validated = trainer.validate(task, data, verbose=False)
            self.metrics = {name: value for metrics in validated for name, value in metrics.items()}
        finally:
            trainer.loggers = loggers
        self.checkpoints.best, self.checkpoints.best_step = dict(self.metrics), trainer.global_step

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for name, value in self.metrics.items():
            # As a float64 tensor: Lightning would round a number to the default type.
            # The test may log a metric of the same name, if the name says no split.
            pl_module.log(with_split(name, "val"), torch.tensor(value, dtype=torch.float64), batch_size=1)
