"""Show on stderr how far training is: a bar on a terminal, a line now and then elsewhere, by time and not by step."""

import logging
import math
import time
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from lightning_dl2.common.command import console
from lightning_dl2.common.statistics import bare_name
from lightning_dl2.resume.requirements import validation_metrics

log = logging.getLogger(__name__)


# The log and metrics.csv have these, but not the bar, which fits 80 columns. The first three follow from the loss.
LOG_ONLY = ("bpc", "bits_per_byte", "perplexity", "loss_cold")
NARROW = 80  # columns of a terminal; below, the bar itself is left out


class Description(ProgressColumn):
    """Show the task's description on one line, cut at its end where the terminal is too narrow.

    A table narrows the columns that may wrap first. Only this one may, and its text does not.
    """

    def render(self, task: Task) -> Text:
        return Text(task.description, no_wrap=True, overflow="ellipsis")


def _joined(values: dict[str, float]) -> str:
    return "".join(f" {key} {value:.3g}" for key, value in values.items())


def _shown(outputs: Any) -> dict[str, float]:
    """Return the numbers in the outputs of a training step; another library's module may return anything."""
    given = outputs if isinstance(outputs, dict) else {}
    numbers = {name: value for name, value in given.items() if isinstance(value, int | float | torch.Tensor)}
    return {name: float(value) for name, value in numbers.items() if getattr(value, "ndim", 0) == 0}


class ProgressBar(Callback):
    """Show the steps, the loss, the accuracy and the last validation, and how far a long validation or test is.

    Args:
        enabled: False shows nothing; the lines in the log stay.
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
        self._open(steps if math.isfinite(steps) else None, trainer.global_step)

    def _open(self, total: float | None, completed: int) -> None:
        bar = [] if self.console.width < NARROW else [BarColumn(bar_width=12)]
        self.bar = Progress(
            *bar,
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            Description(),
            console=self.console,
            auto_refresh=False,  # no thread beside the training
            transient=True,
        )
        self.bar.add_task("", total=total, completed=completed)
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._is_due(trainer):
            return
        outputs = _shown(outputs)
        if "loss" in outputs:
            outputs["loss"] *= trainer.accumulate_grad_batches  # Lightning has divided it
        text = " ".join(f"{name} {float(value):.3g}" for name, value in outputs.items() if name not in LOG_ONLY)
        text += self._validation
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=trainer.global_step, description=text, refresh=True)
        else:
            self._line(f"step {trainer.global_step} {text}")

    def _is_due(self, trainer: Trainer) -> bool:
        if time.monotonic() < self._next or not trainer.is_global_zero:
            return False
        self._next = time.monotonic() + self.interval
        return True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:  # while fitting, the bar of the training is open
            self._begin_evaluation(trainer, trainer.num_val_batches)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin_evaluation(trainer, trainer.num_test_batches)

    def _begin_evaluation(self, trainer: Trainer, batches: list[int | float]) -> None:
        self._next = time.monotonic() + self.interval
        if self.draws and trainer.is_global_zero:
            self._open(sum(batches), 0)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: int
    ) -> None:
        if not trainer.sanity_checking:
            self._evaluated(trainer, "validation", batch_idx + 1, trainer.num_val_batches)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: int
    ) -> None:
        self._evaluated(trainer, "test", batch_idx + 1, trainer.num_test_batches)

    def _evaluated(self, trainer: Trainer, name: str, done: int, batches: list[int | float]) -> None:
        if not self._is_due(trainer):
            return
        text = f"{name}: batch {done} of {sum(batches)}"
        if not self.bar:
            self._line(f"step {trainer.global_step} {text}")
        elif trainer.state.fn == TrainerFn.FITTING:
            self.bar.update(self.bar.task_ids[0], description=text, refresh=True)
        else:
            self.bar.update(self.bar.task_ids[0], completed=done, description=name, refresh=True)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self._close()
            return
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        values = validation_metrics(trainer)
        self._validation = _joined({key: value for key, value in values.items() if bare_name(key) not in LOG_ONLY})
        log.info("step %d%s", trainer.global_step, _joined(values))

    def say(self, text: str) -> None:
        """Print a line above the bar, and log it."""
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
