"""Where metrics go: metrics.csv always, Weights & Biases or TensorBoard beside it on request."""

from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger

from lightning_dl2.callbacks import MetricsCSV
from lightning_dl2.processes import is_rank_zero
from lightning_dl2.run import Run
from lightning_dl2.schema import Config
from lightning_dl2.tracking import Wandb, with_gradient_flow


def build_loggers(config: Config, run: Run, last_step: int) -> list[Logger]:
    """metrics.csv always; W&B or TensorBoard beside it on request."""
    table = MetricsCSV(run.metrics_file, last_step)
    loggers: list[Logger] = [table]
    if config.logger.name == "tensorboard":
        loggers.append(TensorBoardLogger(run.path, name=None, version="tensorboard"))
    if config.logger.name == "wandb":
        earlier = with_gradient_flow(table.rows, run, last_step) if is_rank_zero() else ()
        loggers.append(Wandb(config, run, earlier))
    return loggers


def finish(loggers: list[Logger], result: dict[str, Any], error: BaseException | None = None) -> None:
    """Tells W&B how the run ended: with this result.json, and this error, if any. The others need not know."""
    for logger in loggers:
        if isinstance(logger, Wandb):
            logger.finish(result, error)
