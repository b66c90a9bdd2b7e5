"""SIGTERM, SIGINT, SIGUSR1, SIGHUP and the time limit: save at the next batch, then stop."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from lightning_dl2.common.command import REQUEUE, SIGNALS
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints

ANNOUNCED = 60.0  # seconds from SIGUSR1; who cancels a job that is to stop anyway does so sooner
TIME_IS_UP = 0.5  # below every signal: the greatest that any rank has received is what all obey; 0 is none


class Interrupted(Exception):
    """Training was asked to stop and has saved its state.

    Attributes:
        exit_code: 128 + signal, or 75 where the time limit or SIGUSR1 asks for a requeue.
    """

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


def seconds(duration: str) -> int:
    """DD:HH:MM:SS to seconds."""
    days, hours, minutes, rest = map(int, duration.split(":"))
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


class Preemption(Callback):
    """A signal handler only sets a flag; all ranks agree on it before a batch, save, and stop together.

    Args:
        checkpoints: writes `last.ckpt`.
        max_time: DD:HH:MM:SS after which to stop, counted from here; None: no limit.
    """

    def __init__(self, checkpoints: KeepCheckpoints, max_time: str | None) -> None:
        self.checkpoints = checkpoints
        self.deadline = time.monotonic() + seconds(max_time) if max_time else float("inf")
        self.received: signal.Signals | None = None
        self._asked = 0.0  # when SIGUSR1 came

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # twice: stop now
            os.kill(os.getpid(), signal.SIGINT)
        if number == signal.SIGTERM and self._is_slurms_limit():
            return
        if number == signal.SIGUSR1:
            self._asked = time.monotonic()
        self.received = signal.Signals(number)

    def _is_slurms_limit(self) -> bool:
        """At a job's time limit comes SIGTERM, long after the SIGUSR1 that announced it: the run is still to go on."""
        announced = self.received == signal.SIGUSR1 and time.monotonic() - self._asked > ANNOUNCED
        return announced and "SLURM_JOB_ID" in os.environ

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listens to the signals within the block, also before training starts; gives them back after it."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._listen()
        try:
            yield
        finally:
            if _in_main_thread():
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _listen(self) -> None:
        if _in_main_thread():  # Python gives signals to no other
            for number in SIGNALS:
                signal.signal(number, self._handle)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen()  # in place of Lightning's handler, which would exit at the batch's end with nothing saved

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return  # gradients that are half accumulated are in no checkpoint
        asked = self._agreed(trainer, self.received or (TIME_IS_UP if time.monotonic() > self.deadline else 0))
        if asked:
            self.checkpoints.save_last(trainer)
            self._stop(trainer, asked)

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        trains = trainer.state.fn == TrainerFn.FITTING
        if trains and not self.checkpoints.can_abandon_validation:
            return  # it is short; the next batch saves
        # Not for the time limit: a validation that takes longer would never end.
        if asked := self._agreed(trainer, self.received or 0):
            if trains:
                self.checkpoints.save_before_validation(trainer)
            self._stop(trainer, asked, ", within the validation, which is to be repeated")

    def on_test_batch_start(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        # The training is saved. Not for the time limit: a test that takes longer would never end.
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


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
