"""The parts by themselves, small: data, task and Trainer, without a configuration or a run directory."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lightning_dl2 import SequenceClassifier, SequenceDataModule, TextDataModule, TextGenerator


def small_data(name: str = "decimal_palindrome", length: int = 6, batch_size: int = 8, **options: Any):
    sizes = {"batches_per_epoch": 7, "validation_size": 32, "test_size": 32, "evaluation_batch_size": 16}
    return SequenceDataModule(name, length, batch_size, **sizes | options)


def small_task(data: SequenceDataModule, seed: int = 0, **options: Any) -> SequenceClassifier:
    pl.seed_everything(seed, verbose=False)
    return SequenceClassifier(spec=data.spec, **{"cell": "gru", "hidden_size": 8} | options)


def small_text(path: Path, text: str | None = None, **options: Any) -> TextDataModule:
    """The text in `path`, or `text` written there first; its tokens beside it."""
    if text is not None:
        path.write_text(text, encoding="utf-8")
    sizes = {"sequence_length": 8, "batch_size": 4, "evaluation_batch_size": 3, "cold_window": 16}
    return TextDataModule("text", str(path), cache_dir=str(path.parent), **sizes | {"evaluation_warmup": 16} | options)


def small_writer(data: TextDataModule, seed: int = 0, **options: Any) -> TextGenerator:
    pl.seed_everything(seed, verbose=False)
    return TextGenerator(spec=data.spec, **{"cell": "lstm", "hidden_size": 8} | options)


def small_trainer(**options: Any) -> pl.Trainer:
    saves = any(isinstance(callback, Checkpoint) for callback in options.get("callbacks", ()))
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": saves}
    small = {"accelerator": "cpu", "logger": False, "num_sanity_val_steps": 0, "max_steps": 6}
    return pl.Trainer(**quiet | small | options)


CURRICULUM = {
    "enabled": True,
    "start": 2,
    "growth": 1.5,
    "threshold": 0.9,
    "smoothing": 0.5,
    "shortest": 1.0,
    "tokens_per_batch": None,
    "minimum_batch_size": 4,
}


class Scripted(SequenceClassifier):
    """Validates as its script says, {step: accuracy}: to see what callbacks make of it. The loss is 1 - accuracy."""

    script: dict[int, float] = {}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        accuracy = self.script[self.global_step]
        self.log_dict({"val/accuracy": accuracy, "val/loss": 1 - accuracy}, batch_size=1)


def fit_scripted(values: list[float], *callbacks: pl.Callback, resume: Any = None, **options: Any) -> pl.Trainer:
    """Trains 2 steps for each of `values`, the accuracies of the validations; before them, a sanity check finds 1.0."""
    data = small_data()
    pl.seed_everything(0, verbose=False)
    task = Scripted(spec=data.spec, cell="gru", hidden_size=8)
    task.script = {0: 1.0, **{2 * number: value for number, value in enumerate(values, start=1)}}
    trainer = small_trainer(
        **{"max_steps": 2 * len(values), "num_sanity_val_steps": 1} | options,
        val_check_interval=2,
        check_val_every_n_epoch=None,
        callbacks=list(callbacks),
    )
    trainer.fit(task, data, ckpt_path=resume, weights_only=True)
    return trainer
