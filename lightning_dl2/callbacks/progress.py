"""How far training is: a bar on a terminal, a line now and then elsewhere. On stderr, redrawn by time, not by step."""

import logging
import math
import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lightning_dl2.cli import console

log = logging.getLogger(__name__)


# Not on the bar, which is to fit 80 columns, but in the log and in metrics.csv. The first three follow from the loss.
REST = ("bpc", "bits_per_byte", "perplexity", "loss_cold")


def _joined(values: dict[str, float]) -> str:
    return "".join(f" {key} {value:.3g}" for key, value in values.items())


class ProgressBar(Callback):
    """Steps done and to do, loss, accuracy and the last validation.

    Args:
        enabled: False draws nothing; the lines in the log stay.
    """

    def __init__(self, enabled: bool) -> None:
        self.console = console(stderr=True)
        self.bar: Progress | None = None
        self.draws = enabled and self.console.is_terminal
        self.prints = enabled and not self.draws
        self.interval = 0.2 if self.draws else 15.0
        self._next = 0.0
        self._validation = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._next = time.monotonic() + self.interval
        if not (self.draws and trainer.is_global_zero):
            return
        steps = trainer.estimated_stepping_batches
        self.bar = Progress(
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.description}"),
            console=self.console,
            auto_refresh=False,  # no thread beside the training
            transient=True,
        )
        self.bar.add_task("", total=steps if math.isfinite(steps) else None, completed=trainer.global_step)
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() < self._next or not trainer.is_global_zero:
            return
        self._next = time.monotonic() + self.interval
        outputs = {**outputs, "loss": outputs["loss"] * trainer.accumulate_grad_batches}  # Lightning has divided it
        text = " ".join(f"{name} {float(value):.3g}" for name, value in outputs.items() if name not in REST)
        text += self._validation
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=trainer.global_step, description=text, refresh=True)
        else:
            self._line(f"step {trainer.global_step} {text}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or not trainer.is_global_zero:
            return
        values = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        self._validation = _joined(
            {key: value for key, value in values.items() if key.removeprefix("val/") not in REST}
        )
        log.info("step %d%s", trainer.global_step, _joined(values))

    def say(self, text: str) -> None:
        """A line above the bar, and in the log."""
        log.info(text)
        if self.draws or self.prints:
            self.console.print(text, highlight=False, markup=False)

    def _line(self, text: str) -> None:
        log.info(text)
        if self.prints:
            self.console.print(text, highlight=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None
