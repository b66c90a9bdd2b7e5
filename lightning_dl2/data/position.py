"""Where training stands. What a data module must know of the Trainer to go on at any step by its number alone."""

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
