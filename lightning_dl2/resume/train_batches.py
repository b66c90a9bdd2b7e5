"""Where training stands. What a data module must know of the Trainer to go on at any step by its number alone."""

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any, Protocol
from weakref import WeakMethod

from pytorch_lightning import Trainer

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.workers import Failure, prefetched


class StepData(Protocol):
    """The part of a data module that TrainBatches needs: a training batch is a function of the step's number."""

    trainer: Trainer | None
    num_workers: int
    placed_at: tuple[int, int]  # rank and number of processes, without a Trainer

    @property
    def batches_per_epoch(self) -> int: ...

    def train_batch(self, step: int) -> Any: ...


def batches_processed(trainer: Trainer) -> int:
    """Count the training batches of a run, over all epochs and all of its processes' lives.

    Uses `processed`: Lightning's `ready` and `total_batch_idx` drift by one for each checkpoint within a step.
    """
    return trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]  # see Lightning's stub


def batches_done(datamodule: StepData) -> int:
    """Count the training batches as `batches_processed` does; 0 without a Trainer."""
    return batches_processed(datamodule.trainer) if datamodule.trainer else 0


def rank_and_world(datamodule: StepData) -> tuple[int, int]:
    """(rank, number of processes); without a Trainer those it was `detached_from_trainer` at, else (0, 1)."""
    if datamodule.trainer is None:
        return datamodule.placed_at
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


def detached_from_trainer(datamodule: StepData) -> StepData:
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

    def __init__(self, datamodule: StepData) -> None:
        self.datamodule = datamodule
        trainer = datamodule.trainer
        self.overfit_batches = int(trainer.overfit_batches) if trainer else 0  # type: ignore[attr-defined]  # Lightning sets it later
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

    def maker(self, datamodule: StepData) -> Callable[[int], Any]:
        """What makes the batch of a step's number."""
        if repeated := self.overfit_batches:
            return lambda step: datamodule.train_batch(step % repeated)
        return datamodule.train_batch

    def _is_asked_to_stop(self) -> bool:
        """Tell whether a signal has come; the callback that hears it acts between two batches, not before one comes."""
        trainer = self.datamodule.trainer
        callbacks: list[Any] = getattr(trainer, "callbacks", [])
        return any(getattr(callback, "received", None) for callback in callbacks)

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
