"""Runs small enough to be repeated, stopped and compared within a second."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two threads fight with a busy neighbour
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.schema import Config  # noqa: E402

# Epochs of 7 batches and validations every 5, so that stops fall on, before and after both.
TINY = (
    "data.sequence_length=6",
    "data.batch_size=8",
    "data.batches_per_epoch=7",
    "data.validation_size=32",
    "data.test_size=32",
    "task.hidden_size=8",
    "task.num_layers=2",
    "task.dropout=0.3",
    "trainer.max_steps=24",
    "trainer.val_check_interval=5",
    "trainer.log_every_n_steps=2",
    "trainer.num_threads=1",
    "callbacks.progress_bar=false",
    "callbacks.curves=false",
    "callbacks.checkpoint.every_n_steps=4",
)


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Config]:
    """`tiny("seed=1", ...)`: a configuration of a run under tmp_path that trains in well under a second."""

    def composed(*overrides: str) -> Config:
        roots = () if any(word.startswith("root=") for word in overrides) else (f"root={tmp_path / 'runs'}",)
        return compose(*TINY, *roots, *overrides)

    return composed
