"""Train modules and data that are not this package's own, with a plain Trainer: whole, and in parts."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import Logger
from torch.utils.data import Dataset

from lightning_dl2.resume.checkpoint_io import VerifiedCheckpointIO
from lightning_dl2.resume.exact_resume import ExactResume
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from tests.comparison import contents_of, differing


class Augmented(Dataset):
    """Rows of 32 numbers, with noise from three libraries."""

    def __init__(self, size: int) -> None:
        self.rows = torch.randn(size, 32, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.rows[index] + random.gauss(0, 1) + np.random.randn() + torch.randn(())


class Tokens(Dataset):
    """Inputs and targets of 6 tokens below 30."""

    def __init__(self, size: int) -> None:
        self.rows = torch.randint(30, (size, 7), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.rows[index, :-1], self.rows[index, 1:]


class Rows(Logger):
    """A logger that keeps what it gets, and goes on after a resume."""

    name, version = "rows", 0

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.values |= {f"logged/{step}/{name}": value for name, value in metrics.items()}

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass


class Killed(Exception):
    """End training as a kill does."""


class KillAt(pl.Callback):
    """Raise an error in the middle of training batch number `at`."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.total.processed == self.at:
            raise Killed


def trained(
    module: Callable[[], pl.LightningModule],
    data: Callable[[], Any],
    directory: Path,
    kills: tuple[int, ...] = (),
    *,
    callbacks: Callable[[], list[pl.Callback]] = list,
    **options: Any,
) -> dict[str, Any]:
    """Train, killed in the batches `kills` and resumed each time; return all values of checkpoint and logger."""
    rows, last = Rows(), directory / "last.ckpt"
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1}
    small = {"accelerator": "cpu", "max_epochs": 3, "num_sanity_val_steps": 0}
    for kill in (*kills, -1):
        pl.seed_everything(1, verbose=False)
        own, every = module(), options.get("every_n_steps", 1)
        exact = [*callbacks(), KillAt(kill), KeepCheckpoints(directory, every_n_steps=every), ExactResume(seed=0)]
        arguments = quiet | small | {key: value for key, value in options.items() if key != "every_n_steps"}
        trainer = pl.Trainer(**arguments, logger=rows, callbacks=exact, plugins=[VerifiedCheckpointIO()])
        with suppress(Killed):
            trainer.fit(own, data(), ckpt_path=last if last.exists() else None, weights_only=True)
    return rows.values | dict(contents_of(last))


def differences(*arguments: Any, directory: Path, kills: tuple[int, ...], **options: Any) -> Iterator[str]:
    """Yield the places in which a run in parts differs from the whole one."""
    whole = trained(*arguments, directory / "whole", **options)
    yield from differing(whole, trained(*arguments, directory / "parts", kills, **options))
