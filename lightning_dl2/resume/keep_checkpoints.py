"""Keep three checkpoints of a run: the last, the one before it, and that of the best validation."""

import logging
import math
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn

from lightning_dl2.common.statistics import by_quality
from lightning_dl2.resume import checkpoint_file
from lightning_dl2.resume.checkpoint_file import is_whole, serialize
from lightning_dl2.resume.checkpoint_io import check_loadable
from lightning_dl2.resume.requirements import monitored, validation_metrics
from lightning_dl2.resume.train_batches import batches_processed

log = logging.getLogger(__name__)

LONG = 1.0  # seconds of a validation; one that takes longer can be abandoned


class KeepCheckpoints(Checkpoint):
    """Write `last.ckpt` every n steps and at the end, keep the one before as `previous.ckpt`, and write `best.ckpt`.

    `last.ckpt` is written before the next batch, when the step's validation and metrics are done, and never while
    gradients are accumulated. The best state waits in memory and is written just before `last.ckpt`: a run that is
    killed resumes from `last.ckpt`, and finds the same best again.

    A long validation can be abandoned. Meanwhile the state before the step that it follows is kept in memory: a run
    that resumes from there repeats that step and the validation.

    What a checkpoint could not be loaded with is told at the start of training, before the first step.

    Args:
        directory: of the three files.
        every_n_steps: optimiser steps between two `last.ckpt`; a batch that makes several is not divided.
        monitor: a metric that the validation logs; one that is NaN or infinite is never the best. None, or no
            validation: the last weights are the best.
        mode: "min" or "max".

    Raises (the training):
        UserError: the validation does not log `monitor`, or a checkpoint could not be loaded.
        WriteError: the disk does not take a file; the former one stays whole.
    """

    def __init__(
        self, directory: Path | str, *, every_n_steps: int, monitor: str | None = None, mode: str = "min"
    ) -> None:
        self.directory, self.every_n_steps, self.monitor, self.mode = Path(directory), every_n_steps, monitor, mode
        self.best: dict[str, float] = {}
        self.best_step = 0
        self.saved_step = 0  # of `last.ckpt`
        self._saved_batches = 0  # likewise; with manual optimisation, a batch may make no step, or several
        self._seen_step = 0  # optimiser steps before the last batch
        self._best_to_write: memoryview | None = None
        self._last_is_whole: bool | None = None  # as this process has written or read it; None: it has not
        self._resumed_from: Path | None = None
        self._validation_is_long = True  # until one has ended
        self._validation_began = 0.0
        # Optimiser steps and batches, and their checkpoint.
        self._before_validation: tuple[tuple[int, int], memoryview | None] | None = None

    def resume_from(self, path: Path) -> None:
        """Note that training resumes from one of the three files, which has been verified and loaded."""
        self._resumed_from, self._last_is_whole = path, path.name == "last.ckpt"

    def replace_lost_best(self, trainer: Trainer) -> None:
        """Put `last.ckpt` in the place of a `best.ckpt` that is lost or damaged after training, with a warning."""
        best = self.directory / "best.ckpt"
        if trainer.is_global_zero and not is_whole(best):
            self._warn(best, "last.ckpt takes its place")
            self.best, self.best_step = {}, 0
            checkpoint_file.copy(self.directory / "last.ckpt", best)
        self.best, self.best_step = trainer.strategy.broadcast((self.best, self.best_step))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.saved_step = self._seen_step = trainer.global_step
        self._saved_batches = batches_processed(trainer)
        check_loadable(trainer)
        if self._saved_batches and self.monitor is not None:
            if trainer.is_global_zero:
                self.best, self.best_step = self._read_best()
            self.best, self.best_step = trainer.strategy.broadcast((self.best, self.best_step))

    def _read_best(self) -> tuple[dict[str, float], int]:
        """Return metrics and step of `best.ckpt`, which may be ahead: after a failure, or of a damaged `last.ckpt`."""
        path = self.directory / "best.ckpt"
        if path == self._resumed_from:
            return self.best, self.best_step
        with suppress(OSError):
            state = checkpoint_file.read(path)["callbacks"][self.state_key]
            return state["best"], state["best_step"]
        if self.best:
            self._warn(path, "the best is sought from here on")
        return {}, 0

    @staticmethod
    def _warn(path: Path, then: str) -> None:
        text = f"warning: {path} is {'damaged' if path.exists() else 'lost'}; {then}"
        log.warning(text)
        print(text, file=sys.stderr)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step // self.every_n_steps > self._seen_step // self.every_n_steps:
            self.save_last(trainer)
        self._seen_step = trainer.global_step
        if batch_idx % trainer.accumulate_grad_batches == 0:
            keeps = self._validation_is_long and _validation_follows(trainer)
            moment = trainer.global_step, batches_processed(trainer)
            self._before_validation = (moment, self._serialize(trainer)) if keeps else None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validation_began = time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.save_last(trainer, ends=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # A run that fails before its first `last.ckpt` may have nothing else. Not to a full disk, which takes nothing.
        if isinstance(exception, Exception) and not isinstance(exception, OSError):
            self._write_best()

    def save_last(self, trainer: Trainer, *, ends: bool = False) -> None:
        """Write `last.ckpt`, unless it is of this step already.

        Args:
            ends: whether training ends; without a validation that had a finite value, the last weights are the best.

        Raises:
            WriteError: the disk does not take it; the former file stays whole.
        """
        moment = trainer.global_step, self._batches_of_step(trainer)
        if moment != (self.saved_step, self._saved_batches):
            self._write_last(trainer, moment, self._serialize(trainer), ends=ends)
        elif ends:  # the best may be of a validation between the batches of the next step
            self._write_best()
        else:
            return
        trainer.strategy.barrier()

    def _batches_of_step(self, trainer: Trainer) -> int:
        """Count the batches; those of an unfinished step do not count where Lightning accumulates their gradients."""
        automatic = trainer.lightning_module.automatic_optimization
        same_step = automatic and trainer.global_step == self.saved_step
        return self._saved_batches if same_step else batches_processed(trainer)

    @property
    def can_abandon_validation(self) -> bool:
        """Tell, on all ranks alike, whether `save_before_validation` has something to save."""
        return self._before_validation is not None

    def save_before_validation(self, trainer: Trainer) -> None:
        """Write the state before the step that this validation follows as `last.ckpt`, unless it is of that step.

        Raises:
            WriteError: the disk does not take it; the former file stays whole.
        """
        assert self._before_validation
        moment, content = self._before_validation
        if moment != (self.saved_step, self._saved_batches):
            self._write_last(trainer, moment, content)
        trainer.strategy.barrier()

    def _write_last(
        self, trainer: Trainer, moment: tuple[int, int], content: memoryview | None, *, ends: bool = False
    ) -> None:
        self.saved_step, self._saved_batches = moment
        for logger in trainer.loggers:
            logger.save()  # metrics must be on the disk before the checkpoint that follows them
        if content:
            if ends and (self.monitor is None or not self.best):
                self._best_to_write = content
            self._write_best()
            last = self.directory / "last.ckpt"
            # A damaged one must not take the place of a whole one.
            keeps = is_whole(last) if self._last_is_whole is None else self._last_is_whole
            checkpoint_file.write(last, content, self.directory / "previous.ckpt" if keeps else None)
            self._last_is_whole = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        seconds = time.monotonic() - self._validation_began
        self._validation_is_long = trainer.strategy.broadcast(seconds > LONG)  # one clock decides for all ranks
        self._before_validation = None
        # Ranks decide alike, also by a metric that is each rank's own.
        metrics = trainer.strategy.broadcast(validation_metrics(trainer))
        if self.monitor is None:
            self.best, self.best_step = metrics, trainer.global_step
            return
        value, best = monitored(self, metrics, self.monitor), self.best.get(self.monitor)
        if math.isfinite(value) and by_quality(value, self.mode) < by_quality(best, self.mode):
            self.best, self.best_step = metrics, trainer.global_step
            self._best_to_write = self._serialize(trainer)

    @staticmethod
    def _serialize(trainer: Trainer) -> memoryview | None:
        """Return the checkpoint of this moment as bytes on rank 0, None on the others, which contribute to it."""
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        return serialize(checkpoint) if trainer.is_global_zero else None

    def _write_best(self) -> None:
        if self._best_to_write:
            checkpoint_file.write(self.directory / "best.ckpt", self._best_to_write)
            self._best_to_write = None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_step = state_dict["best"], state_dict["best_step"]


def _validation_follows(trainer: Trainer) -> bool:
    """Tell whether a validation comes after this optimiser step and before the next."""
    loop, every = trainer.fit_loop.epoch_loop, trainer.val_check_batch
    epochs = trainer.check_val_every_n_epoch
    if epochs and (trainer.current_epoch + 1) % epochs:
        return False
    batches = min(trainer.accumulate_grad_batches, trainer.num_training_batches - loop.batch_idx)
    if every == float("inf"):
        return loop.batch_idx + batches >= trainer.num_training_batches
    done = loop.batch_idx if epochs else loop.total_batch_idx
    assert every is not None
    return (done + batches) // every > done // every
