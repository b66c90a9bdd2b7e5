"""Give the batches of a validation, test or prediction: the same each time, shared among ranks."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader

from lightning_dl2.resume.data.items import ItemBatches
from lightning_dl2.resume.data.orders import EpochOrder, Share
from lightning_dl2.resume.data.streams import Stream
from lightning_dl2.resume.data.train_loaders import is_rebuilt
from lightning_dl2.resume.random_numbers import seed_all, seed_device, step_seed
from lightning_dl2.resume.train_batches import check_share
from lightning_dl2.resume.workers import Failure, prefetched


class EvaluationBatches:
    """Iterate over the batches of one loader, in the order of its sampler, the same in each pass.

    Random numbers of an item follow from (seed, split, the item's place). With one process the batches are those of
    the loader. With more, each item is on one rank, and all ranks have equally many batches.

    Args:
        loader: over a map-style dataset.
        split: such as "val".
        device: tells the type of the device that evaluates, whose generator is seeded, too.

    Raises:
        UserError: there are fewer items than ranks.
    """

    def __init__(
        self, loader: DataLoader[Any], split: str, seed: int, rank: int, world: int, device: Callable[[], str]
    ) -> None:
        self.numbers, self.device = (seed, split), device
        self.num_workers = loader.num_workers
        order = EpochOrder(loader, *self.numbers)
        if not order.is_shared_out:
            check_share(order.num_items, "items", split, world)
        self.shares: list[Share] = order.evaluation_shares(rank, world)
        self.items = ItemBatches(loader)
        self.dataset = loader.dataset
        # Lightning ends the workers of an attribute of this name, which torch's DataLoader has.
        self._iterator: Iterator[Any] | None = None

    def __len__(self) -> int:
        return len(self.shares)

    def _make(self, number: int) -> Any:
        if number >= len(self.shares):
            return None  # a worker reads ahead
        share = self.shares[number]
        return self.items.make(share.indices, share.places, *self.numbers)

    def __iter__(self) -> Iterator[Any]:
        batches = prefetched(self._make, 0, self.num_workers) if self.num_workers else map(self._make, range(len(self)))
        self._iterator = batches
        try:
            for number in range(len(self)):
                batch = next(batches)
                if isinstance(batch, Failure):
                    batch.reraise()
                # What validation_step draws is the same in each validation, too.
                seed_all(step_seed(*self.numbers, "step", number), self.device())
                yield batch
        finally:
            if self._iterator is batches:
                self._iterator = None


class StreamEvaluation:
    """Iterate over a loader that only runs forward, the same in each pass."""

    def __init__(self, loader: Any, split: str, seed: int, device: Callable[[], str]) -> None:
        self.stream, self.loader, self.numbers, self.device = Stream(loader, seed, split), loader, (seed, split), device

    def __iter__(self) -> Iterator[Any]:
        for number, batch in enumerate(self.stream.read_all()):  # which has seeded the generators of the CPU
            seed_device(step_seed(*self.numbers, "step", number), self.device())
            yield batch


class SizedStreamEvaluation(StreamEvaluation):
    """Iterate over a loader that only runs forward and knows its length."""

    def __len__(self) -> int:
        return len(self.loader)


def evaluation_batches(
    loader: Any, split: str, seed: int, rank: int, world: int, device: Callable[[], str] = lambda: "cpu"
) -> Any:
    """Return what Lightning evaluates in the place of a user's loader; arguments as of `EvaluationBatches`.

    Raises:
        UserError: there are fewer items than ranks.
    """
    if is_rebuilt(loader):
        return EvaluationBatches(loader, split, seed, rank, world, device)
    stream = StreamEvaluation(loader, split, seed, device)
    return stream if stream.stream.length is None else SizedStreamEvaluation(loader, split, seed, device)
