"""List the batches of an epoch of a DataLoader over a map-style dataset, and share them among ranks.

Shapes: N items, B items in a batch, n ranks.
"""

import logging
from collections.abc import Sequence
from copy import copy
from itertools import accumulate
from typing import Any, NamedTuple

from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.random_numbers import generators_within, isolated, seed_generators

log = logging.getLogger(__name__)


class Share(NamedTuple):
    """The part of one rank in one step: indices of items, and their places in the epoch."""

    indices: Any
    places: Sequence[int]


class EpochOrder:
    """Give the indices of each batch of each epoch, as functions of (seed, epoch).

    The loader's own sampler decides: its generators are seeded by (seed, epoch), `set_epoch` is called, and it is
    listed once. A sampler of another library may change as it is listed: its epochs are listed from the first one on.

    Args:
        loader: over a map-style dataset.
        numbers: seed and name of the loader.
    """

    def __init__(self, loader: DataLoader[Any], *numbers: int | str) -> None:
        self.numbers = numbers
        self.batch_sampler, self.sampler = loader.batch_sampler, loader.sampler
        self.is_plain = type(self.batch_sampler) is BatchSampler
        self.batch_size, self.drop_last = loader.batch_size or 1, bool(loader.drop_last)
        source: Any = self.sampler if self.batch_sampler is None or self.is_plain else self.batch_sampler
        self.source, self._pristine = source, _copied(source)
        self.is_shared_out = isinstance(self.sampler, DistributedSampler)  # by its own class
        own = not type(source).__module__.startswith("torch.utils.data")
        self.is_replayed = own and not hasattr(source, "set_epoch")
        self.passes = 1  # through the sampler in an epoch of training
        self._lists: dict[int, Any] = {}
        self._next = 0  # the epoch that the source lists next

    def listed(self, epoch: int) -> Any:
        """List a pass, of which an epoch has `passes`: items of a plain batch sampler, else batches of items."""
        if epoch not in self._lists:
            if self.is_replayed and epoch < self._next:
                self.source, self._pristine, self._next = self._pristine, _copied(self._pristine), 0
            for number in range(self._next if self.is_replayed else epoch, epoch + 1):
                self._lists = {number: self._list(number)}
                self._next = number + 1
        return self._lists[epoch]

    def _list(self, epoch: int) -> Any:
        if type(self.source) is SequentialSampler:
            return range(len(self.source))
        for owner in (self.source, getattr(self.source, "sampler", None)):
            if set_epoch := getattr(owner, "set_epoch", None):
                set_epoch(epoch // self.passes)
        parts = [
            vars(part) for part in (self.source, getattr(self.source, "sampler", None)) if hasattr(part, "__dict__")
        ]
        # Not those of the dataset, which most samplers keep, too.
        own = [value for part in parts for key, value in part.items() if key not in ("data_source", "dataset")]
        with isolated(*self.numbers, epoch, "order"):
            seed_generators(generators_within(own), *self.numbers, epoch, "order")
            return list(self.source)

    @property
    def num_items(self) -> int:
        """Count the items of the first epoch."""
        listed = self.listed(0)
        return len(listed) if self._counts_items else sum(map(len, listed))

    @property
    def _counts_items(self) -> bool:
        return self.is_plain or self.batch_sampler is None

    def num_steps(self, world: int, epoch: int = 0) -> int:
        """Count the steps of an epoch, which each rank takes part in."""
        world = 1 if self.is_shared_out else world
        count = len(self.listed(epoch))
        if not self.is_plain:
            return count // world
        steps, rest = divmod(count, self.batch_size * world)
        return steps + (rest >= world and not self.drop_last)

    def left_out(self, world: int) -> int:
        """Count what no step of an epoch has, though one process would train on it: items, or batches."""
        world = 1 if self.is_shared_out else world
        count = len(self.listed(0))
        if not self.is_plain:
            return count % world
        rest = count % (self.batch_size * world)
        if self.drop_last:
            return rest - count % self.batch_size
        return rest if rest < world else 0

    def share(self, epoch: int, step: int, rank: int, world: int) -> Share:
        """Return the part of a rank in a step of an epoch."""
        if self.is_shared_out:
            rank, world = 0, 1
        listed = self.listed(epoch)
        if self.is_plain:
            size = self.batch_size * world
            places = range(step * size + rank, min((step + 1) * size, len(listed)), world)
            return Share([listed[place] for place in places], places)
        number = step * world + rank
        if self._counts_items:
            return Share(listed[number], (number,))
        begin = next(iter(list(accumulate(map(len, listed[:number])))[-1:]), 0)
        return Share(listed[number], range(begin, begin + len(listed[number])))

    def evaluation_shares(self, rank: int, world: int) -> list[Share]:
        """Return all parts of a rank in an evaluation: each item on one rank, equally many batches on every rank."""
        listed = self.listed(0)
        if world == 1 or self.is_shared_out:
            return [self.share(0, step, 0, 1) for step in range(self.num_steps(1))]
        if self.batch_sampler is None:
            if len(listed) % world:
                raise UserError(
                    f"trainer.devices: {world} processes cannot share {len(listed)} ready batches equally;"
                    " allowed: a divisor of their number"
                )
            return [Share(listed[place], (place,)) for place in range(rank, len(listed), world)]
        if self.is_plain:
            items, size = list(listed), self.batch_size
            if self.drop_last:
                items = items[: len(items) // size * size]
        else:
            items = [index for batch in listed for index in batch]
            size = max(map(len, listed))
        num_batches = min(-(-len(items) // (size * world)), len(items) // world)
        places = range(rank, len(items), world)
        parts, longer = divmod(len(places), num_batches) if num_batches else (0, 0)
        ends = list(accumulate([parts + (number < longer) for number in range(num_batches)], initial=0))
        chosen = [places[begin:end] for begin, end in zip(ends, ends[1:], strict=False)]
        return [Share([items[place] for place in part], part) for part in chosen]


def _copied(source: Any) -> Any:
    """Copy a sampler and the one within it, not the data that it knows."""
    copied = copy(source)
    if hasattr(source, "sampler"):
        copied.sampler = copy(source.sampler)
    return copied
