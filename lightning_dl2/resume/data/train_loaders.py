"""Make training batches as a function of the step's number from the loaders that a data module returns."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import CombinedLoader
from torch.utils._pytree import tree_unflatten
from torch.utils.data import DataLoader, IterableDataset

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.data.items import ItemBatches
from lightning_dl2.resume.data.orders import EpochOrder
from lightning_dl2.resume.data.streams import Stream
from lightning_dl2.resume.random_numbers import seed_all, step_seed
from lightning_dl2.resume.train_batches import rank_and_world


def is_rebuilt(loader: Any) -> bool:
    """Tell whether a loader is a DataLoader over a map-style dataset that iterates as torch's own does."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return False
    kind: Any = type(loader)
    same = kind.__iter__ is DataLoader.__iter__ and kind._get_iterator is DataLoader._get_iterator
    return same and not (hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict"))


class Rebuilt:
    """Give batch k of epoch e of one DataLoader over a map-style dataset, for any rank."""

    def __init__(self, loader: DataLoader[Any], *numbers: int | str) -> None:
        self.loader, self.numbers = loader, numbers
        self.order, self.items = EpochOrder(loader, *numbers), ItemBatches(loader)
        self._lengths: dict[int, int] = {}  # by number of ranks

    def length(self, world: int) -> int:
        """Count the batches of the first epoch on each rank."""
        if world not in self._lengths:
            self._lengths[world] = self.order.num_steps(world)
        return self._lengths[world]

    def batch(self, epoch: int, number: int, steps: int, rank: int, world: int) -> Any:
        """Make batch `number` of an epoch of `steps`: of a later order of the sampler where one has fewer batches."""
        self.order.passes = max(1, -(-steps // self.length(world)))
        order = epoch * self.order.passes
        while number >= (count := self.order.num_steps(world, order)):
            if not count:
                raise UserError("data: the sampler gives no batch in an epoch; allowed: one that gives some in each")
            number, order = number - count, order + 1
        share = self.order.share(order, number, rank, world)
        return self.items.make(share.indices, share.places, *self.numbers, order)


class TrainLoaders:
    """Training batches as a function of the step's number: a `StepData`.

    Batch k of epoch e is batch k of the loader's epoch e. Several loaders are combined as Lightning's CombinedLoader
    does.

    Args:
        loaders: what `train_dataloader` returned: a loader, or loaders in lists, dicts or a CombinedLoader.
        seed: of orders and items.
        placed_at: rank and number of ranks, without a Trainer.
        limit: batches of an epoch, or their share, as `trainer.limit_train_batches`.

    Raises:
        UserError: the loaders cannot be combined, have no batches, or have no length and `limit` is none either.
    """

    trainer: Trainer | None = None

    def __init__(self, loaders: Any, *, seed: int, placed_at: tuple[int, int], limit: int | float | None) -> None:
        combined = loaders if isinstance(loaders, CombinedLoader) else CombinedLoader(loaders, "max_size_cycle")
        self.mode, self.spec = combined._mode, combined._spec
        if self.mode == "sequential":
            raise UserError(
                "data: train_dataloader() returns a CombinedLoader with mode=sequential, which training does not take;"
                " allowed: min_size, max_size, max_size_cycle"
            )
        self.seed, self.placed_at, self.limit = seed, placed_at, limit
        self.parts: list[Rebuilt | Stream] = []
        for place, loader in enumerate(combined.flattened):
            kind = Rebuilt if is_rebuilt(loader) else Stream
            self.parts.append(kind(loader, seed, f"train{place}"))
        if not self.parts:
            raise UserError("data: train_dataloader() returns no loader; allowed: a DataLoader, or several")
        # Streams prefetch by the workers of their own loader.
        only_rebuilt = all(isinstance(part, Rebuilt) for part in self.parts)
        loaders = [part.loader for part in self.parts if isinstance(part, Rebuilt)]
        self.num_workers = max((loader.num_workers for loader in loaders), default=0) if only_rebuilt else 0
        self.persistent_workers = any(loader.persistent_workers for loader in loaders)

    def lengths(self, world: int) -> list[int | float]:
        """Count the batches of each loader in an epoch; infinity: it does not know."""
        found = [part.length(world) if isinstance(part, Rebuilt) else part.length for part in self.parts]
        return [math.inf if length is None else length for length in found]

    @property
    def batches_per_epoch(self) -> int:
        """Count the batches of an epoch on each rank, before `trainer.limit_train_batches`."""
        _, world = rank_and_world(self)
        lengths = self.lengths(world)
        count = min(lengths) if self.mode == "min_size" else max(lengths)
        if count == math.inf:
            limit = self._limit()
            if not isinstance(limit, int):
                raise UserError(
                    "data: the training data have no length; fix: set trainer.limit_train_batches to the number of"
                    " batches of an epoch"
                )
            return limit
        return int(count)

    def _limit(self) -> int | float | None:
        limit: int | float | None = getattr(self.trainer, "limit_train_batches", None) or self.limit
        return limit

    @property
    def steps_per_epoch(self) -> int:
        """Count the batches of Lightning's epochs, which `trainer.limit_train_batches` may shorten."""
        count, limit = self.batches_per_epoch, self._limit()
        if isinstance(limit, int):
            return min(count, limit) or count
        return int(count * limit) or count if isinstance(limit, float) else count

    def train_batch(self, step: int) -> Any:
        """Make training batch number `step` of this rank; the global generators are left changed."""
        steps, (rank, world) = self.steps_per_epoch, rank_and_world(self)
        epoch, number = divmod(step, steps)
        made: list[Any] = []
        for part, length in zip(self.parts, self.lengths(world), strict=True):
            if number >= length and self.mode == "max_size":
                made.append(None)
            elif isinstance(part, Stream):
                made.append(part.batch(epoch, number))
            else:
                made.append(part.batch(epoch, number, steps, rank, world))
        return tree_unflatten(made, self.spec)

    @property
    def streams(self) -> Iterator[Stream]:
        """Yield the parts that only run forward."""
        return (part for part in self.parts if isinstance(part, Stream))

    def check_share(self, world: int) -> None:
        """Raise UserError if some of `world` ranks would train on nothing."""
        for part in self.parts:
            if isinstance(part, Stream) or part.length(world):
                continue
            count, order = part.order.num_items, part.order
            if not order.listed(0):
                raise UserError("data: the train split has no items; allowed: a split, or sizes, that leave some")
            if order.is_plain and order.drop_last and count < order.batch_size * world:
                processes = f" of each of {world} processes" if world > 1 else ""
                raise UserError(
                    f"data: batch_size={order.batch_size}{processes} with drop_last leaves none of the {count} training"
                    " items; allowed: a smaller batch_size, or drop_last=False"
                )
            kind = "items" if order.is_plain else "batches"
            number = len(order.listed(0))
            raise UserError(
                f"trainer.devices: {world} processes share the {number} {kind} of the train split;"
                f" allowed: at most {number} processes"
            )

    def notes(self, world: int) -> Iterator[str]:
        """Yield one line for each thing that is not as the loaders say, and why."""
        for part in self.parts:
            if isinstance(part, Stream):
                yield _stream_note(part, world, self.steps_per_epoch if part.length is None else None)
                continue
            if left := part.order.left_out(world):
                what = "items" if part.order.is_plain else "batches"
                yield f"data: {left} {what} of each epoch are left out: {world} processes share them equally"
            yield from _option_notes(part.loader)
        if self.num_workers == 0 and any(getattr(part.loader, "num_workers", 0) for part in self.parts):
            if not any(isinstance(part, Stream) and getattr(part.loader, "num_workers", 0) for part in self.parts):
                yield "data: num_workers of the map-style loaders has no effect beside a stream"


class PureBatches:
    """Ask a user's `train_batch(step)` for batches, with generators seeded by the step: a `StepData`.

    Args:
        source: has `train_batch` and `batches_per_epoch`.
        seed: of what it draws.
        num_workers: processes that prefetch.
        placed_at: rank and number of ranks, without a Trainer.
        trainer: the Trainer; None: none yet.
    """

    persistent_workers = True

    def __init__(
        self, source: Any, seed: int, num_workers: int, placed_at: tuple[int, int], trainer: Trainer | None
    ) -> None:
        self.source, self.seed, self.num_workers = source, seed, num_workers
        self.placed_at, self.trainer = placed_at, trainer

    @property
    def batches_per_epoch(self) -> int:
        """Count the training batches of an epoch."""
        return int(self.source.batches_per_epoch)

    def train_batch(self, step: int) -> Any:
        """Make training batch number `step` of this rank; the global generators are left changed."""
        seed_all(step_seed(self.seed, "batch", step, rank_and_world(self)[0]))
        return self.source.train_batch(step)


def _stream_note(stream: Stream, world: int, read: int | None) -> str:
    kind = type(getattr(stream.loader, "dataset", None) or stream.loader).__name__
    if stream.stateful is not None:
        how = "goes on by its own state_dict"
    else:
        how = "goes on by reading again, and skipping, what the epoch has read; this takes as long as reading it"
    text = f"data: {kind} only runs forward: a resumed run {how}"
    if getattr(stream.loader, "num_workers", 0):
        text += ", with the same num_workers"
    if read is not None:
        text += f"; each epoch begins it anew and reads {read} batches"
    if world > 1:
        text += f"; each of {world} processes reads all of it, unless it shares itself out"
    return text


def _option_notes(loader: DataLoader[Any]) -> Iterator[str]:
    ignored = []
    if loader.pin_memory and torch.cuda.is_available():
        ignored.append("pin_memory")
    if loader.num_workers:
        ignored += ["timeout"] if loader.timeout else []
        ignored += ["prefetch_factor"] if loader.prefetch_factor not in (None, 2) else []
        context: Any = loader.multiprocessing_context
        ignored += ["multiprocessing_context"] if context and context.get_start_method() != "fork" else []
    if ignored:
        yield f"data: {', '.join(ignored)} of the training loader has no effect: workers are forked and read ahead"
