"""Where training stands. What a data module must know of the Trainer to go on at any step by its number alone."""

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any
from weakref import WeakMethod

from pytorch_lightning import LightningDataModule

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.workers import Failure, prefetched


def batches_done(datamodule: LightningDataModule) -> int:
    """Training batches that this run has processed, over all epochs and all of its processes' lives.

    Uses `processed`: Lightning's `ready` and `total_batch_idx` drift by one for each checkpoint within a step.
    """
    if datamodule.trainer is None:
        return 0
    return datamodule.trainer.fit_loop.epoch_loop.batch_progress.total.processed


def rank_and_world(datamodule: LightningDataModule) -> tuple[int, int]:
    """(rank, number of processes); without a Trainer those it was `detached_from_trainer` at, else (0, 1)."""
    if datamodule.trainer is None:
        return getattr(datamodule, "placed_at", (0, 1))
    return datamodule.trainer.global_rank, datamodule.trainer.world_size


def check_share(items: int, kind: str, split: str, world: int) -> None:
    """Raises UserError if some of `world` processes would have none of the items of a split."""
    if not items:
        raise UserError(f"data: the {split} split has no {kind}; allowed: a split, or sizes, that leave some")
    if items < world:
        raise UserError(
            f"trainer.devices: {world} processes share the {items} {kind} of the {split} split;"
            f" allowed: at most {items} processes"
        )


def detached_from_trainer(datamodule: LightningDataModule) -> LightningDataModule:
    """A copy on the same data that knows its rank and has no Trainer, for another process."""
    alone = copy(datamodule)
    alone.placed_at, alone.trainer = rank_and_world(datamodule), None
    return alone


class TrainBatches:
    """An epoch's number of batches, from where training stands; Lightning cuts a resumed epoch off at its end.

    Without workers it asks for a batch when it is asked for one, never ahead: what decides the batches may change
    between two of them. Workers make batches ahead and go on into the next epoch.

    Args:
        datamodule: has `batches_per_epoch`, `train_batch(step)` and `num_workers`.
    """

    def __init__(self, datamodule: LightningDataModule) -> None:
        self.datamodule = datamodule
        trainer = datamodule.trainer
        self.overfit_batches = int(trainer.overfit_batches) if trainer else 0
        # Lightning ends the workers of an attribute of this name, as torch's DataLoader has it, however training ends.
        self._iterator: Iterator[Any] | None = None
        self._next_step = 0

    def __len__(self) -> int:
        return self.overfit_batches or self.datamodule.batches_per_epoch

    def __iter__(self) -> Iterator[Any]:
        done = batches_done(self.datamodule)
        batch = self._batch_ahead if self.datamodule.num_workers else self.maker(self.datamodule)
        for step in range(done, done + len(self)):
            yield batch(step)

    def maker(self, datamodule: LightningDataModule) -> Callable[[int], Any]:
        """What makes the batch of a step's number."""
        if repeated := self.overfit_batches:
            return lambda step: datamodule.train_batch(step % repeated)
        return datamodule.train_batch

    def _is_asked_to_stop(self) -> bool:
        """Tell whether a signal has come; the callback that hears it acts between two batches, not before one comes."""
        trainer = self.datamodule.trainer
        return trainer is not None and any(getattr(callback, "received", None) for callback in trainer.callbacks)

    def _batch_ahead(self, step: int) -> Any:
        if self._iterator is None or step != self._next_step:
            make = self.maker(detached_from_trainer(self.datamodule))
            # Weakly, or the workers would live until the garbage of this circle is collected.
            asked = WeakMethod(self._is_asked_to_stop)
            arguments = make, step, self.datamodule.num_workers, lambda: bool((ask := asked()) and ask())
            self._iterator = prefetched(*arguments)
        self._next_step = step + 1
        batch = next(self._iterator)
        if isinstance(batch, Failure):
            batch.reraise()
        return batch
