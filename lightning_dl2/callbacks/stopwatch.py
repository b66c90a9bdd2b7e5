"""Measure the seconds of training over all processes of a run, without validation."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn


class Stopwatch(Callback):
    """Count the seconds from the start to the end of training, less those of validation, across resumes."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since: float | None = None

    def _start(self) -> None:
        self._since = time.perf_counter()

    def _stop(self) -> None:
        assert self._since is not None
        self.seconds += time.perf_counter() - self._since
        self._since = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._stop()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._start()

    def state_dict(self) -> dict[str, Any]:
        running = time.perf_counter() - self._since if self._since else 0.0
        return {"seconds": self.seconds + running}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = state_dict["seconds"]
