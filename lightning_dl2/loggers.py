"""Where metrics go: metrics.csv always, Weights & Biases or TensorBoard beside it on request."""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from lightning_dl2 import tracking
from lightning_dl2.callbacks import MetricsCSV
from lightning_dl2.files import WriteError, writing
from lightning_dl2.processes import is_rank_zero
from lightning_dl2.run import Run
from lightning_dl2.run_files import read_metrics
from lightning_dl2.schema import Config
from lightning_dl2.tracking import Wandb, with_gradient_flow

log = logging.getLogger(__name__)


class TensorBoard(TensorBoardLogger):
    """Log to event files in which a run that was killed and resumed has each step once.

    A resumed run logs the steps after its checkpoint again: TensorBoard is told to drop them. What came after the
    checkpoint at its own step, such as a validation, is logged again, too: it is skipped where it is there already.

    Args:
        path: the run directory; the event files are in its folder `tensorboard`.
        last_step: the step that the run goes on from; 0 for a new run.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        self._folder, self._last_step = path / "tensorboard", last_step
        purge_step = last_step + 1 if last_step else 0
        super().__init__(path, name=None, version=self._folder.name, purge_step=purge_step)

    @cached_property
    def _known(self) -> set[str]:
        """Names of the scalars that the event files of earlier processes have at `last_step`."""
        if not self._last_step or not self._folder.is_dir():
            return set()
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(self._folder), size_guidance={"scalars": 0}).Reload()
        names = events.Tags()["scalars"]
        return {name for name in names if any(event.step == self._last_step for event in events.Scalars(name))}

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Log them at the start of the run; they are the same for each process of it."""
        if not self._last_step:
            with writing(self._folder):
                super().log_hyperparams(*args, **kwargs)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if step == self._last_step:
            metrics = {name: value for name, value in metrics.items() if name not in self._known}
        with writing(self._folder):
            super().log_metrics(metrics, step)
            self.experiment.flush()  # as metrics.csv: a process that is killed has logged what it has logged

    @rank_zero_only
    def save(self) -> None:
        with writing(self._folder):
            super().save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        try:
            with writing(self._folder):
                super().finalize(status)
        except WriteError as error:
            if status != "failed":
                raise
            log.error("%s", error)


def build_loggers(config: Config, run: Run, last_step: int) -> list[Logger]:
    """metrics.csv always; W&B or TensorBoard beside it on request."""
    table = MetricsCSV(run.metrics_file, last_step)
    loggers: list[Logger] = [table]
    if config.logger.name == "tensorboard":
        loggers.append(TensorBoard(run.path, last_step))
    if config.logger.name == "wandb":
        earlier = with_gradient_flow(table.rows, run, last_step) if is_rank_zero() else ()
        loggers.append(Wandb(config, run, earlier))
    return loggers


def send_finished(config: Config, run: Run, result: dict[str, Any]) -> None:
    """Give a complete run to the logger beside metrics.csv that `config` asks for, from its files."""
    if config.logger.name == "wandb":
        tracking.send_finished(config, run, result)
    if config.logger.name == "tensorboard":
        logger = TensorBoardLogger(run.path, name=None, version="tensorboard")
        for row in tracking.with_gradient_flow(read_metrics(run.metrics_file), run, result["steps"]):
            step = int(row.pop("step"))
            logger.log_metrics({key: float(value) for key, value in row.items() if value}, step)
        logger.finalize("success")


def finish(loggers: list[Logger], result: dict[str, Any], error: BaseException | None = None) -> None:
    """Tells W&B how the run ended: with this result.json, and this error, if any. The others need not know."""
    for logger in loggers:
        if isinstance(logger, Wandb):
            logger.finish(result, error)
