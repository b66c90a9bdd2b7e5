"""SIGTERM, SIGINT, SIGUSR1 and the time limit: save at the next batch, then stop."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_dl2.callbacks.keep_checkpoints import KeepCheckpoints

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
REQUEUE = 75  # EX_TEMPFAIL: whoever started this may start it again


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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # twice: stop now
            os.kill(os.getpid(), signal.SIGINT)
        self.received = signal.Signals(number)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listens to the signals within the block. Installed before `fit`, it takes the place of Lightning's own."""
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        late = time.monotonic() > self.deadline
        stop = self.received is not None or late
        if trainer.world_size > 1:
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if not stop:
            return
        self.checkpoints.save_last(trainer)
        requeue = self.received in (None, signal.SIGUSR1)
        reason = self.received.name if self.received else "the time limit" if late else "another rank"
        raise Interrupted(f"{reason} at step {trainer.global_step}", REQUEUE if requeue else 128 + self.received)
