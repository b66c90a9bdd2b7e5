"""Build the loggers of a run: metrics.csv always, Weights & Biases or TensorBoard on request."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger

from lightning_dl2.common.launcher import is_rank_zero
from lightning_dl2.common.run_files import read_metrics
from lightning_dl2.config.schema import Config
from lightning_dl2.loggers import wandb_logger
from lightning_dl2.loggers.gradient_flow_csv import with_gradient_flow
from lightning_dl2.loggers.metrics_csv import MetricsCSV
from lightning_dl2.loggers.own import build_own_loggers
from lightning_dl2.loggers.tensorboard import TensorBoard
from lightning_dl2.loggers.wandb_logger import Wandb

if TYPE_CHECKING:
    from lightning_dl2.run.directory import Run


def build_loggers(config: Config, run: "Run", last_step: int) -> list[Logger]:
    """Build the loggers that `config` asks for, each without the rows after `last_step`."""
    table = MetricsCSV(run.metrics_file, last_step)
    loggers: list[Logger] = [table]
    if "tensorboard" in config.logger.names:
        loggers.append(TensorBoard(run.path, last_step))
    if "wandb" in config.logger.names:
        earlier = with_gradient_flow(table.rows, run, last_step) if is_rank_zero() else ()
        loggers.append(Wandb(config, run, earlier))
    return [*loggers, *build_own_loggers(config)]


def send_finished(config: Config, run: "Run", result: dict[str, Any], names: Iterable[str]) -> None:
    """Log a completed run from its files to the loggers with these names: wandb, tensorboard."""
    if "wandb" in names:
        wandb_logger.send_finished(config, run, result)
    if "tensorboard" in names:
        logger = TensorBoardLogger(run.path, name=None, version="tensorboard")
        for row in with_gradient_flow(read_metrics(run.metrics_file), run, result["steps"]):
            step = int(row.pop("step"))
            logger.log_metrics({key: float(value) for key, value in row.items() if value}, step)
        logger.finalize("success")


def begin_test(loggers: list[Logger]) -> None:
    """Name metrics.csv's metrics of the test after it, also those whose names say no split."""
    for logger in loggers:
        if isinstance(logger, MetricsCSV):
            logger.split = "test"


def finish(loggers: list[Logger], result: dict[str, Any], error: BaseException | None = None) -> None:
    """Close W&B with the content of result.json and the error that ended the run; other loggers need no end."""
    for logger in loggers:
        if isinstance(logger, Wandb):
            logger.finish(result, error)
