"""Make a resumed run bitwise equal to the run that never stopped.

Two rules make it so. Order and content of the batches (data/) and the random numbers within a step (here) follow from
the number of batches processed. And a checkpoint describes the moment between two batches, whenever it is written
(here): Lightning's own counters would repeat a batch, or lose the rest of an epoch.
"""

from hashlib import blake2b
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_dl2.resume.numerics import numerics
from lightning_dl2.resume.train_batches import batches_processed


def step_seed(*numbers: int) -> int:
    """Mix numbers to a seed of 63 bits, so that near numbers give unrelated random streams."""
    return int.from_bytes(blake2b(repr(numbers).encode(), digest_size=8).digest()) >> 1


def between_batches(loops: dict[str, Any], batches_per_epoch: int) -> None:
    """Rewrite the fit loop's saved counters, in place, to the state before the next batch.

    Args:
        loops: `checkpoint["loops"]["fit_loop"]`.
    """
    for name, progress in loops.items():
        if name.endswith("progress"):
            _zero(progress, "current")  # counts since the epoch or the process began, which are no training state
    _zero(loops["epoch_loop.val_loop.batch_progress"], "total")  # likewise since the epoch began
    progress = loops["epoch_loop.batch_progress"]
    epoch, batch = divmod(progress["total"]["processed"], batches_per_epoch)
    total = progress["total"]["processed"]
    progress["total"] = dict.fromkeys(progress["total"], total)
    progress["current"] = dict.fromkeys(progress["current"], batch)
    progress["is_last_batch"] = False
    # Within epoch number `epoch`, which has begun and not ended.
    epochs = {"ready": epoch + 1, "started": epoch + 1, "processed": epoch, "completed": epoch}
    loops["epoch_progress"] = {"total": dict(epochs), "current": dict(epochs)}


def _zero(progress: dict[str, Any], kind: str) -> None:
    for key, value in progress.items():
        if key == kind:
            progress[key] = dict.fromkeys(value, 0)
        elif isinstance(value, dict):
            _zero(value, kind)


class ExactResume(Callback):
    """Seed torch before each step, and make checkpoints describe the moment between two batches."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        loop = trainer.fit_loop.epoch_loop
        seed = step_seed(self.seed, batches_processed(trainer), trainer.global_rank)
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        # This counter decides which steps are logged; Lightning restores it off by one.
        loop._batches_that_stepped = trainer.global_step

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        between_batches(checkpoint["loops"]["fit_loop"], int(trainer.num_training_batches))
        done = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"]
        checkpoint["epoch"], batch = divmod(done, trainer.num_training_batches)
        # At a validation between the batches of one step: their gradients are in no checkpoint.
        checkpoint["within_step"] = batch % trainer.accumulate_grad_batches > 0
        checkpoint["world_size"], checkpoint["gpu"] = trainer.world_size, pl_module.device.type == "cuda"
        checkpoint["numerics"] = numerics(pl_module, pl_module.device)
