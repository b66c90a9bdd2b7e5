"""Make a batch from the items of a map-style dataset, each with random numbers of its own."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from torch.utils.data import DataLoader, Subset, get_worker_info
from torch.utils.data._utils import worker as torch_worker

from lightning_dl2.resume.random_numbers import DrawProbe, generators_within, seed_all, seed_generators, step_seed


@cache
def _probe() -> DrawProbe:
    return DrawProbe()


class ItemBatches:
    """Make batches as a DataLoader does: items of its dataset, then its `collate_fn`.

    The random numbers of an item follow from (seed, epoch, the item's place in the epoch). So its augmentation is the
    same for any number of workers, and after any kill. A batch that draws none costs no seeding of each item.

    Args:
        loader: over a map-style dataset.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.dataset: Any = loader.dataset
        self.collate, self.is_batched = loader.collate_fn, loader.batch_sampler is not None
        self.worker_init_fn, self._is_begun = loader.worker_init_fn, False
        # The sampler of a dataset has generators of its own, which `EpochOrder` seeds.
        self.generators = generators_within(self.dataset, self.collate)
        self.draws = bool(self.generators)  # an item or collate_fn has drawn random numbers

    def make(self, indices: Any, places: Sequence[int], *numbers: int | str) -> Any:
        """Make one batch; the global generators are left changed.

        Args:
            indices: of the items; of a loader without batches, the index of one item.
            places: of the items in the epoch.
            numbers: seed, loader and epoch.
        """
        self._begin_worker()
        if not self.draws:
            _probe().begin()
            batch = self._collated(self._items(indices))
            if not _probe().has_drawn():
                return batch
            self.draws = True  # this batch is made again, and all later ones are seeded at once
        return self._collated(self._seeded_items(indices, places, numbers), numbers, places[0])

    def _items(self, indices: Any) -> Any:
        if not self.is_batched:
            return self.dataset[indices]
        if getattr(self.dataset, "__getitems__", None):
            return self.dataset.__getitems__(indices)
        return [self.dataset[index] for index in indices]

    def _seeded_items(self, indices: Any, places: Sequence[int], numbers: tuple[int | str, ...]) -> Any:
        at_once = getattr(self.dataset, "__getitems__", None) and not isinstance(self.dataset, Subset)
        if not self.is_batched or at_once:
            self._seed(*numbers, places[0])
            return self._items(indices)
        items = []
        for index, place in zip(indices, places, strict=True):
            self._seed(*numbers, place)
            items.append(self.dataset[index])
        return items

    def _collated(self, items: Any, numbers: tuple[int | str, ...] = (), place: int = 0) -> Any:
        if numbers:
            self._seed(*numbers, "collate", place)
        return self.collate(items)

    def _seed(self, *numbers: int | str) -> None:
        seed_all(step_seed(*numbers))
        if self.generators:
            seed_generators(self.generators, *numbers)

    def _begin_worker(self) -> None:
        """Call the loader's `worker_init_fn` once in each worker, where `get_worker_info()` has its dataset."""
        info = get_worker_info()
        if info is None or self._is_begun:
            return
        self._is_begun = True
        known: dict[str, Any] = {"id": info.id, "num_workers": info.num_workers, "seed": info.seed}
        torch_worker._worker_info = torch_worker.WorkerInfo(**known, dataset=self.dataset)
        if self.worker_init_fn is not None:
            self.worker_init_fn(info.id)
