"""Make a data module exact."""

from functools import partial
from typing import Any

from pytorch_lightning import LightningDataModule, LightningModule
from torch.utils.data import Dataset

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.data.data_module import ExactDataModule
from lightning_dl2.resume.data.map_style import Loaders

SPLITS = ("train", "val", "test", "predict")
COMPLETE = ("train_batch", "batches_per_epoch", "num_workers", "placed_at", "spec", "check_processes")


def adapt(
    data: Any,
    *,
    seed: int,
    placed_at: tuple[int, int] = (0, 1),
    limit_train_batches: int | float | None = None,
    val: Any = None,
    test: Any = None,
    predict: Any = None,
) -> LightningDataModule:
    """Return a data module whose training batch k is a function of (seed, k, rank): with it, a resume is exact.

    With a plain Trainer: `trainer.fit(module, adapt(datamodule, seed=0), ckpt_path=...)`, with ExactResume among the
    callbacks. The Trainer needs `use_distributed_sampler=False` if it has more than one process.

    DataLoaders over map-style datasets keep their sampler, batch_sampler, collate_fn, drop_last and num_workers. What
    only runs forward, such as an IterableDataset, is read again up to the step, or goes on by its own `state_dict`.
    The lines in `notes` say what is not exact, and why. The order of an own sampler must follow from its generators
    and its epoch, not from the training.

    Before there is a Trainer, the first question about the data calls `prepare_data` (on rank 0) and `setup("fit")`.
    The Trainer does not call them once more.

    Args:
        data: a LightningDataModule, an object with `train_batch(step)` and `batches_per_epoch`, a LightningModule with
            loaders of its own, or what `train_dataloader` may return: a loader, or several in a list or dict.
        seed: of order and augmentation; that of ExactResume.
        placed_at: rank and number of ranks, without a Trainer.
        limit_train_batches: the Trainer's, for data without a length that are asked for it before there is a Trainer.
        val: loader or loaders beside those in `data`; likewise `test` and `predict`.

    Raises:
        UserError: `data` is none of these.
    """
    given = {"val": val, "test": test, "predict": predict}
    if isinstance(data, ExactDataModule):
        data.seed, data.placed_at, data.limit_train_batches, data._train = seed, placed_at, limit_train_batches, None
        return data
    if all(hasattr(type(data), name) or name in getattr(data, "__dict__", {}) for name in COMPLETE):
        data.placed_at = placed_at
        return data
    if isinstance(data, LightningModule):
        own = [split for split in SPLITS if _overrides(data, f"{split}_dataloader")]
        source: Any = Loaders(**{split: getattr(data, f"{split}_dataloader") for split in own})
        if _overrides(data, "prepare_data"):
            source.prepare_data = data.prepare_data
    elif isinstance(data, LightningDataModule) or (hasattr(data, "train_batch") and hasattr(data, "batches_per_epoch")):
        source = data
    elif isinstance(data, type) or isinstance(data, Dataset) or not hasattr(data, "__iter__"):
        name = data.__name__ if isinstance(data, type) else type(data).__name__
        hint = "MapStyleDataModule(train=..., batch_size=...)" if isinstance(data, Dataset) else "DataLoader(...)"
        raise UserError(
            f"data: {name} is no data module; allowed: a LightningDataModule, DataLoaders, an object with"
            f" train_batch(step) and batches_per_epoch; fix: use {hint}"
        )
    else:
        loaders = {"train": data} | given
        source = Loaders(**{split: None if part is None else partial(_same, part) for split, part in loaders.items()})
    return ExactDataModule(source, seed=seed, placed_at=placed_at, limit_train_batches=limit_train_batches)


def _same(loader: Any) -> Any:
    return loader


def _overrides(module: LightningModule, hook: str) -> bool:
    return getattr(type(module), hook) is not getattr(LightningModule, hook)
