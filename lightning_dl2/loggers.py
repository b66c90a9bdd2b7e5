"""Where metrics go: metrics.csv always, Weights & Biases or TensorBoard beside it on request."""

from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from lightning_dl2.callbacks import MetricsCSV
from lightning_dl2.run import Run, is_rank_zero, variant
from lightning_dl2.schema import Config


def build_loggers(config: Config, run: Run, last_step: int) -> list[Logger]:
    """metrics.csv always; W&B or TensorBoard beside it on request."""
    loggers: list[Logger] = [MetricsCSV(run.metrics_file, last_step)]
    if config.logger.name == "tensorboard":
        loggers.append(TensorBoardLogger(run.path, name=None, version="tensorboard"))
    if config.logger.name == "wandb":
        loggers.append(
            WandbLogger(
                project=config.logger.project,
                entity=config.logger.entity,
                group=config.logger.group or f"{config.experiment}/{variant(config)}",
                tags=config.logger.tags,
                name=f"{config.experiment}/{variant(config)}/seed={config.seed}",
                id=run.wandb_id() if is_rank_zero() else None,  # the others do not log
                save_dir=run.path,
                resume="allow",
                config=config.model_dump(),
            )
        )
    return loggers
