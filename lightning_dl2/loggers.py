"""Where metrics go: metrics.csv always, Weights & Biases or TensorBoard beside it on request."""

from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger

from lightning_dl2.callbacks import MetricsCSV
from lightning_dl2.callbacks.gradient_flow import logged_rows
from lightning_dl2.run import Run
from lightning_dl2.schema import Config
from lightning_dl2.tracking import Wandb


def build_loggers(config: Config, run: Run, last_step: int) -> list[Logger]:
    """metrics.csv always; W&B or TensorBoard beside it on request."""
    table = MetricsCSV(run.metrics_file, last_step)
    loggers: list[Logger] = [table]
    if config.logger.name == "tensorboard":
        loggers.append(TensorBoardLogger(run.path, name=None, version="tensorboard"))
    if config.logger.name == "wandb":
        earlier = [*table.rows, *logged_rows(run.gradient_flow_file, last_step)]
        loggers.append(Wandb(config, run, sorted(earlier, key=lambda row: int(row["step"]))))
    return loggers


def finish(loggers: list[Logger], result: dict[str, Any], error: BaseException | None = None) -> None:
    """Tells W&B how the run ended: with this result.json, and this error, if any. The others need not know."""
    for logger in loggers:
        if isinstance(logger, Wandb):
            logger.finish(result, error)
