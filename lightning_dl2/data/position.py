"""Where training stands. What a data module must know of the Trainer to go on at any step by its number alone."""

from collections.abc import Iterator
from typing import Any

from pytorch_lightning import LightningDataModule


def batches_done(datamodule: LightningDataModule) -> int:
    """Training batches that this run has processed, over all epochs and all of its processes' lives.

    Uses `processed`: Lightning's `ready` and `total_batch_idx` drift by one for each checkpoint within a step.
    """
    if datamodule.trainer is None:
        return 0
    return datamodule.trainer.fit_loop.epoch_loop.batch_progress.total.processed


def rank_and_world(datamodule: LightningDataModule) -> tuple[int, int]:
    """(rank, number of processes); (0, 1) without a Trainer."""
    if datamodule.trainer is None:
        return 0, 1
    return datamodule.trainer.global_rank, datamodule.trainer.world_size


class TrainBatches:
    """An epoch's number of batches, from where training stands; Lightning cuts a resumed epoch off at its end.

    Asks for a batch when it is asked for one, never ahead: what decides the batches may change between two of them.

    Args:
        datamodule: has `batches_per_epoch` and `train_batch(step)`.
    """

    def __init__(self, datamodule: LightningDataModule) -> None:
        self.datamodule = datamodule
        trainer = datamodule.trainer
        self.overfit_batches = int(trainer.overfit_batches) if trainer else 0

    def __len__(self) -> int:
        return self.overfit_batches or self.datamodule.batches_per_epoch

    def __iter__(self) -> Iterator[Any]:
        done = batches_done(self.datamodule)
        for step in range(done, done + len(self)):
            yield self.datamodule.train_batch(step % self.overfit_batches if self.overfit_batches else step)
