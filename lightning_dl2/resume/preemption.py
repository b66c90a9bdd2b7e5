"""Save and stop at the next batch on SIGTERM, SIGINT, SIGUSR1, SIGHUP or the time limit."""

import os
import signal
import threading
import time
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from lightning_dl2.common.arguments import seconds
from lightning_dl2.common.command import REQUEUE, SIGNALS, handling_signals
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints

ANNOUNCED = 60.0  # seconds from SIGUSR1 after which SIGTERM is SLURM's time limit; a user cancels sooner
TIME_IS_UP = 0.5  # less than every signal: all ranks obey the greatest number that any has received; 0 is none


class Interrupted(Exception):
    """Training has saved its state and stopped, as it was asked to.

    Attributes:
        exit_code: 128 + signal, or 75 where the time limit or SIGUSR1 asks for a requeue.
    """

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


class Preemption(Callback):
    """Save and stop all ranks together before a batch: a signal handler only sets a flag, on which the ranks agree.

    Args:
        checkpoints: the callback that writes `last.ckpt`.
        max_time: DD:HH:MM:SS after which to stop, from the construction of this object; None: no limit.
    """

    def __init__(self, checkpoints: KeepCheckpoints, max_time: str | None) -> None:
        self.checkpoints = checkpoints
        self.deadline = time.monotonic() + seconds(max_time) if max_time else float("inf")
        self.received: signal.Signals | None = None
        self._announced = 0.0  # time at which SIGUSR1 came

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the second one stops at once
            os.kill(os.getpid(), signal.SIGINT)
        if number == signal.SIGTERM and self._is_slurms_limit():
            return
        if number == signal.SIGUSR1:
            self._announced = time.monotonic()
        self.received = signal.Signals(number)

    def _is_slurms_limit(self) -> bool:
        """Tell whether SIGTERM is that of a job's time limit, long announced by SIGUSR1: the run is to be requeued."""
        announced = self.received == signal.SIGUSR1 and time.monotonic() - self._announced > ANNOUNCED
        return announced and "SLURM_JOB_ID" in os.environ

    def listening(self) -> AbstractContextManager[None]:
        """Handle the signals within the block, also before training starts; restore the handlers after it."""
        return handling_signals(self._handle)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():  # Python gives signals to no other
            for number in SIGNALS:  # in place of Lightning's handler, which would exit at the batch's end, unsaved
                signal.signal(number, self._handle)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return  # a checkpoint does not hold accumulated gradients
        asked = self._agreed(trainer, self.received or (TIME_IS_UP if time.monotonic() > self.deadline else 0))
        if asked:
            self.checkpoints.save_last(trainer)
            self._stop(trainer, asked)

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        trains = trainer.state.fn == TrainerFn.FITTING
        if trains and not self.checkpoints.can_abandon_validation:
            return  # the validation is short; the next batch saves
        # The time limit does not count here: a validation that takes longer would never end.
        if asked := self._agreed(trainer, self.received or 0):
            if trains:
                self.checkpoints.save_before_validation(trainer)
            self._stop(trainer, asked, ", within the validation, which is to be repeated")

    def on_test_batch_start(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        # The training is saved. The time limit does not count: a test that takes longer would never end.
        if asked := self._agreed(trainer, self.received or 0):
            self._stop(trainer, asked)

    @staticmethod
    def _agreed(trainer: Trainer, asked: float) -> float:
        if trainer.world_size == 1:
            return asked
        mine = torch.tensor(asked, dtype=torch.float32, device=trainer.strategy.root_device)
        return trainer.strategy.reduce(mine, reduce_op="max").item()

    @staticmethod
    def _stop(trainer: Trainer, asked: float, where: str = "") -> None:
        reason = "the time limit" if asked == TIME_IS_UP else signal.Signals(int(asked)).name
        requeue = asked in (TIME_IS_UP, signal.SIGUSR1)
        raise Interrupted(f"{reason} at step {trainer.global_step}{where}", REQUEUE if requeue else 128 + int(asked))
