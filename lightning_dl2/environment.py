"""What only this machine can tell to be impossible: devices, optimiser classes, logins. Checked before a run begins."""

import importlib.util
import os
from typing import TYPE_CHECKING

from lightning_dl2 import limits
from lightning_dl2.cli import UserError
from lightning_dl2.config import typed
from lightning_dl2.processes import uses_gpu
from lightning_dl2.schema import Config, GraphNet, Trainer
from lightning_dl2.values import user_path

if TYPE_CHECKING:
    import torch


NEEDS_PATH = ("text", "graph_csv", "tu", "ten_fold", "zinc")  # no files of these can be fetched


def check(config: Config) -> None:
    """Raises UserError, one line, for what the schema cannot know to be wrong."""
    check_variables()
    check_devices(config)
    limits.check_data(config)
    _check_optimizer(config)
    _check_engine(config)
    check_logger(config)


def check_logger(config: Config) -> None:
    """Raise UserError if the logger is not installed, or W&B would ask for a login."""
    if config.logger.name == "tensorboard" and not importlib.util.find_spec("tensorboard"):
        raise UserError("logger=tensorboard: is not installed; pip install tensorboard, or logger=csv")
    if config.logger.name == "wandb":
        from lightning_dl2.tracking import check_login

        check_login()


def check_path(config: Config) -> None:
    """Raise UserError where the data's files are not where they are said to be; asks no more than whether they are."""
    path = getattr(config.data, "path", None)
    if path is not None and not user_path("data.path", path).exists():
        raise UserError(f"data.path={path}: there is no such file or directory; allowed: one that exists")
    if path is None and config.data.name in NEEDS_PATH:
        raise UserError(f"data.path=null: data={config.data.name} needs files; allowed: data.path=PATH")


def check_variables() -> None:
    """Raise UserError for a variable from which Lightning takes an argument of a Trainer that is not given.

    A run with it is not what config.yaml says: PL_TRAINER_FAST_DEV_RUN=1 ends it after one step.
    """
    for name, value in sorted(os.environ.items()):
        if name.startswith("PL_TRAINER_") and value:
            key = f"trainer.{name.removeprefix('PL_TRAINER_').lower()}"
            known = key.partition(".")[2] in Trainer.model_fields
            instead = "debug=fast" if name.endswith("_FAST_DEV_RUN") else f"{key}=VALUE" if known else "a key of conf/"
            what = "changes the Trainer behind the configuration"
            raise UserError(f"{name}={value}: {what}; fix: unset it, use {instead}")


def check_devices(config: Config) -> None:
    """Raises UserError if the Trainer's devices or precision are not to be had here."""
    import torch

    trainer, there = config.trainer, torch.cuda.device_count()
    if trainer.accelerator == "gpu" and not there:
        raise UserError("trainer.accelerator=gpu: this machine has no GPU that torch can use; allowed: cpu, auto")
    gpu = uses_gpu(config)
    there = there if gpu else os.cpu_count() or 1
    if trainer.devices != "auto" and trainer.devices > there:
        kind = "GPU" if gpu else "CPU core"
        raise UserError(f"trainer.devices={trainer.devices}: this machine has {there} {kind}(s); allowed: 1 to {there}")
    if trainer.precision == "16-mixed" and not gpu:
        raise UserError("trainer.precision=16-mixed: needs a GPU; allowed on a CPU: 32, bf16-mixed, 64")


def _check_optimizer(config: Config) -> None:
    """Some classes object to an argument only when they are built, or to a gradient only when they step."""
    import torch

    from lightning_dl2.tasks.optimization import build_optimizer

    name, arguments = config.optimizer.name, config.optimizer.arguments
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in ((2, 2), (2,))]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    try:
        build_optimizer(parameters, config.optimizer.model_dump()).step(lambda: torch.zeros(()))
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        told = f", optimizer.arguments={typed(arguments)}" if arguments else ""
        raise UserError(f"optimizer.name={name}{told}: {str(error).removeprefix(f'{name}: ')}") from error


def _check_engine(config: Config) -> None:
    if not isinstance(config.task, GraphNet):
        return
    from lightning_dl2.graphs import resolve_engine

    try:
        resolve_engine(config.task.engine, "cuda" if uses_gpu(config) else "cpu")
    except ValueError as error:
        raise UserError(f"task.{error}") from error


def seed(number: int) -> None:
    """Seeds whatever draws initial weights."""
    import pytorch_lightning as pl

    pl.seed_everything(number, verbose=False)


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    import platform

    import pytorch_lightning
    import torch

    from lightning_dl2 import __version__

    return {
        "lightning_dl2": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": pytorch_lightning.__version__,
    }


def device_name(device: "torch.device") -> str:
    """What a run was on, in words. Not the module's: Lightning takes that back to the CPU at the end."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} thread(s)"
