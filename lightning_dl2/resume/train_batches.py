"""Give training the batches from any step on, by the step's number alone."""

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any, Protocol
from weakref import WeakMethod

from pytorch_lightning import Trainer

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.random_numbers import seed_all, step_seed
from lightning_dl2.resume.workers import Failure, prefetched


class StepData(Protocol):
    """The interface of a data module for TrainBatches: a training batch is a function of the step's number."""

    trainer: Trainer | None
    num_workers: int
    placed_at: tuple[int, int]  # rank and number of ranks, without a Trainer

    @property
    def batches_per_epoch(self) -> int: ...

    def train_batch(self, step: int) -> Any: ...


def batches_processed(trainer: Trainer) -> int:
    """Count the training batches of a run, over all epochs and resumes.

    Uses `processed`: Lightning's `ready` and `total_batch_idx` drift by one for each checkpoint within a step.
    """
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress.total
    return progress.processed


def datamodule_of(trainer: Any) -> Any:
    """Return the data module of a Trainer; Lightning declares no such attribute, and sets it in `fit`."""
    return trainer.datamodule


def batches_done(datamodule: StepData) -> int:
    """Count the training batches as `batches_processed` does; 0 without a Trainer."""
    return batches_processed(datamodule.trainer) if datamodule.trainer else 0


def rank_and_world(datamodule: StepData) -> tuple[int, int]:
    """Return rank and number of ranks: the Trainer's, else `placed_at`."""
    if datamodule.trainer is None:
        return datamodule.placed_at
    return datamodule.trainer.global_rank, datamodule.trainer.world_size


def check_share(items: int, kind: str, split: str, world: int) -> None:
    """Raise UserError if some of `world` ranks would have none of the items of a split."""
    if not items:
        raise UserError(f"data: the {split} split has no {kind}; allowed: a split, or sizes, that leave some")
    if items < world:
        raise UserError(
            f"trainer.devices: {world} processes share the {items} {kind} of the {split} split;"
            f" allowed: at most {items} processes"
        )


def detached_from_trainer(datamodule: StepData) -> StepData:
    """Copy a data module without its Trainer, for another process; the copy shares the data and keeps the rank."""
    alone = copy(datamodule)
    alone.placed_at, alone.trainer = rank_and_world(datamodule), None
    return alone


class BatchList:
    """A list of batches, in order; Lightning would take a plain list for one of loaders."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


class TrainBatches:
    """Iterate over as many batches as an epoch has, from the current step; Lightning ends a resumed epoch in time.

    Without workers a batch is made when it is asked for, never ahead: a curriculum may change between two of them.
    Workers prefetch batches, also those of the next epoch.

    Args:
        datamodule: has `batches_per_epoch`, `train_batch(step)` and `num_workers`.
    """

    def __init__(self, datamodule: StepData) -> None:
        self.datamodule = datamodule
        trainer = datamodule.trainer
        self.overfit_batches = int(trainer.overfit_batches) if trainer else 0  # type: ignore[attr-defined]  # Lightning sets it later
        # Lightning ends the workers of an attribute of this name, which torch's DataLoader has, however training ends.
        self._iterator: Iterator[Any] | None = None
        self._next_step = 0
        self._end = 0  # step at which the workers have no more to do; 0: never

    def __len__(self) -> int:
        return self.overfit_batches or self.datamodule.batches_per_epoch

    def __iter__(self) -> Iterator[Any]:
        done = batches_done(self.datamodule)
        # An epoch of a user's loader sees what her hooks changed before it, unless it keeps its workers.
        keeps = getattr(self.datamodule, "persistent_workers", True)
        if not keeps:
            self._iterator, self._end = None, (done // len(self) + 1) * len(self)
        batch = self._batch_ahead if self.datamodule.num_workers else self.maker(self.datamodule)
        rank, seed = rank_and_world(self.datamodule)[0], getattr(self.datamodule, "seed", 0)
        strategy = getattr(self.datamodule.trainer, "strategy", None)  # None: nobody trains, and nothing is seeded
        for step in range(done, done + len(self)):
            made = batch(step)
            # Hooks draw random numbers before ExactResume seeds the step: on_after_batch_transfer, other callbacks.
            if strategy is not None:
                seed_all(step_seed(seed, "hooks", step, rank), strategy.root_device.type)
            yield made

    def maker(self, datamodule: StepData) -> Callable[[int], Any]:
        """Return the function that makes the batch of a step."""
        if repeated := self.overfit_batches:
            return lambda step: datamodule.train_batch(step % repeated)
        if end := self._end:  # workers read ahead
            return lambda step: datamodule.train_batch(step) if step < end else None
        return datamodule.train_batch

    def _is_asked_to_stop(self) -> bool:
        """Tell whether a signal has come; its callback acts between two batches, and would wait for a late one."""
        trainer = self.datamodule.trainer
        callbacks: list[Any] = getattr(trainer, "callbacks", [])
        return any(getattr(callback, "received", None) for callback in callbacks)

    def _batch_ahead(self, step: int) -> Any:
        if self._iterator is None or step != self._next_step:
            make = self.maker(detached_from_trainer(self.datamodule))
            # A weak reference: else the workers would live until this circle of references is collected.
            asked = WeakMethod(self._is_asked_to_stop)
            arguments = make, step, self.datamodule.num_workers, lambda: bool((ask := asked()) and ask())
            self._iterator = prefetched(*arguments)
        self._next_step = step + 1
        batch = next(self._iterator)
        if isinstance(batch, Failure):
            batch.reraise()
        return batch
