"""Make Lightning's counters describe the moment between two batches, in checkpoints and when training resumes.

Lightning's own would repeat a batch, lose the rest of an epoch, or repeat what follows the last batch.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import GradientAccumulationScheduler

from lightning_dl2.resume.train_batches import TrainBatches


class Place(NamedTuple):
    """A moment between two batches.

    Attributes:
        epoch: the number of epochs that are done with, hooks included.
        batch: the number of batches done in the next epoch; all of them where only the epoch's end is left.
        is_begun: whether the hooks of the next epoch's start have been called.
    """

    epoch: int
    batch: int
    is_begun: bool


def place_of(trainer: Trainer) -> Place:
    """Return where training stands, at a moment between two batches."""
    fit: Any = trainer.fit_loop
    progress = fit.epoch_loop.batch_progress
    done, size = progress.total.processed, trainer.num_training_batches
    if math.isinf(size):  # nobody knows the length of an epoch
        return Place(fit.epoch_progress.current.processed, progress.current.processed, True)
    epoch, batch = divmod(done, int(size))
    # Counted before on_train_epoch_end; of a run that max_steps ends within an epoch, which it has not done with.
    ended = fit.epoch_progress.total.processed
    if not batch and ended < epoch:  # after the last batch, and before the epoch's end
        return Place(epoch - 1, int(size), True)
    return Place(epoch, batch, batch > 0 or fit.epoch_progress.total.started > epoch)


def between_batches(loops: dict[str, Any], place: Place) -> None:
    """Rewrite the fit loop's saved counters, in place, to the state before the next batch.

    Args:
        loops: `checkpoint["loops"]["fit_loop"]`.
        place: where training stands.
    """
    for name, progress in loops.items():
        if name.endswith("progress"):
            _zero(progress, "current")  # counts since the epoch or the process began, which are no training state
    _zero(loops["epoch_loop.val_loop.batch_progress"], "total")  # likewise since the epoch began
    progress = loops["epoch_loop.batch_progress"]
    total = progress["total"]["processed"]
    progress["total"] = dict.fromkeys(progress["total"], total)
    progress["current"] = dict.fromkeys(progress["current"], place.batch)
    progress["is_last_batch"] = False
    begun = place.epoch + place.is_begun
    epochs = {"ready": begun, "started": begun, "processed": place.epoch, "completed": place.epoch}
    loops["epoch_progress"] = {"total": dict(epochs), "current": dict(epochs)}


def _zero(progress: dict[str, Any], kind: str) -> None:
    for key, value in progress.items():
        if key == kind:
            progress[key] = dict.fromkeys(value, 0)
        elif isinstance(value, dict):
            _zero(value, kind)


def resume_quietly(trainer: Trainer, restore: Callable[[], None]) -> None:
    """Let a resumed epoch go on as if it had not stopped.

    Lightning would repeat what follows the last batch, such as a step of ReduceLROnPlateau, and would skip such a step
    at the end of the resumed epoch.

    Args:
        restore: called once, after the hooks on_train_start and before those of an epoch.
    """
    loop, epoch_loop = trainer.fit_loop, trainer.fit_loop.epoch_loop
    begin, reset = loop.on_advance_start, epoch_loop.reset

    def restore_and_begin() -> None:
        del loop.on_advance_start
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it later
            if isinstance(callback, GradientAccumulationScheduler):  # it acts at an epoch's start only
                trainer.accumulate_grad_batches = callback.get_accumulate_grad_batches(trainer.current_epoch)
        restore()
        begin()

    def reset_and_forget() -> None:
        del epoch_loop.reset
        with warnings.catch_warnings():
            assert loop._combined_loader
            if all(isinstance(loader, TrainBatches) for loader in loop._combined_loader.flattened):
                # "Your dataloader is not resumable": it is, without a state of its own.
                warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before")
            reset()
        for resumed in (loop, epoch_loop, epoch_loop.val_loop):
            resumed._restarting = False

    loop.on_advance_start = restore_and_begin  # type: ignore[method-assign]  # for one call
    epoch_loop.reset = reset_and_forget  # type: ignore[method-assign]
