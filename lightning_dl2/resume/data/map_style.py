"""Train on map-style torch Datasets without writing a data module."""

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.data.data_module import ExactDataModule

SPLIT_SEED = 20201  # held-out items are the same for every seed of a run


class Loaders(LightningDataModule):
    """Return given loaders, one function for each split that has one."""

    def __init__(self, **loaders: Callable[[], Any] | None) -> None:
        super().__init__()
        for split, loader in loaders.items():
            if loader is not None:
                self.__dict__[f"{split}_dataloader"] = loader


class MapStyleDataModule(ExactDataModule):
    """Train, validate, test and predict on map-style datasets: objects with `__getitem__` and `__len__`.

    Batch k of epoch e has the items perm(seed, e)[k]. `random`, `numpy.random` and torch are seeded for each item, so
    random augmentation is the same for any number of workers, and after any kill.

    Args:
        train: dataset of the training items, which `val` and `test` may be taken from.
        val: dataset; None: `validation_fraction` of `train`, chosen once for all seeds.
        test: dataset; None: `test_fraction` of `train`.
        predict: dataset; None: nothing to predict.
        batch_size: B, on each rank.
        evaluation_batch_size: largest batch of the other splits; None: `batch_size`.
        num_workers: processes that prefetch batches, which stay the same; 0: no prefetching.
        validation_fraction: share of `train`, in [0, 1).
        test_fraction: share of `train`, in [0, 1).
        collate_fn: makes a batch of a list of items; None: torch's own.
        seed: of order and augmentation; `adapt` sets it to the run's.
        shuffle: whether each epoch has an order of its own.
        drop_last: whether an epoch leaves out a last, smaller batch.

    Raises:
        UserError: a size or fraction is out of its limits, a split has no items, or a dataset only runs forward.
    """

    def __init__(
        self,
        train: Dataset[Any],
        val: Dataset[Any] | None = None,
        test: Dataset[Any] | None = None,
        predict: Dataset[Any] | None = None,
        *,
        batch_size: int,
        evaluation_batch_size: int | None = None,
        num_workers: int = 0,
        validation_fraction: float = 0.0,
        test_fraction: float = 0.0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> None:
        evaluation_batch_size = batch_size if evaluation_batch_size is None else evaluation_batch_size
        for key, size in (("batch_size", batch_size), ("evaluation_batch_size", evaluation_batch_size)):
            if size < 1:
                raise UserError(f"{key}={size}: allowed: at least 1")
        parts = {"train": train, "val": val, "test": test, "predict": predict}
        for split, dataset in parts.items():
            if isinstance(dataset, IterableDataset) or (dataset is not None and not hasattr(dataset, "__len__")):
                raise UserError(
                    f"data: {split}={type(dataset).__name__} has no length; fix: return a DataLoader of it from"
                    " train_dataloader() of a LightningDataModule"
                )
        self.datasets = parts | held_out(train, {"test": test_fraction, "val": validation_fraction}, parts)
        options: dict[str, Any] = {"num_workers": num_workers, "collate_fn": collate_fn}

        def loader_of(split: str) -> Callable[[], Any] | None:
            dataset: Any = self.datasets[split]
            if dataset is None:
                return None
            if not len(dataset):
                raise UserError(f"data: the {split} split has no items; allowed: a split, or sizes, that leave some")
            if split == "train":
                return lambda: DataLoader(dataset, batch_size, shuffle, drop_last=drop_last, **options)
            return lambda: DataLoader(dataset, evaluation_batch_size, **options)

        super().__init__(Loaders(**{split: loader_of(split) for split in parts}), seed=seed)


def held_out(train: Any, fractions: dict[str, float], given: dict[str, Any]) -> dict[str, Any]:
    """Divide training data: return what is left of `train`, and a part for each fraction that is not 0.

    Raises:
        UserError: a fraction is out of its limits, or a dataset of the split is given, too.
    """
    names = {"val": "validation_fraction", "test": "test_fraction"}
    for split, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise UserError(f"{names[split]}={fraction}: allowed: at least 0, below 1")
        if fraction and given[split] is not None:
            raise UserError(f"{names[split]}={fraction}: {split} has a dataset of its own; allowed: 0")
    if not any(fractions.values()):
        return {}
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(SPLIT_SEED)).tolist()
    parts, begin = {}, 0
    for split, fraction in fractions.items():
        end = begin + round(fraction * len(train))
        if fraction:
            parts[split] = Subset(train, sorted(order[begin:end]))
        begin = end
    return parts | {"train": Subset(train, sorted(order[begin:]))}
