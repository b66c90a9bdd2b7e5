"""Check, before a run begins, what depends on this machine: devices, packages, logins."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.overrides import format_override
from lightning_dl2.config.schema import Config, Trainer
from lightning_dl2.distributed.devices import Devices
from lightning_dl2.training import limits
from lightning_dl2.training.check_trainer import check_trainer


def check(config: Config, devices: Devices) -> None:
    """Raise UserError for a configuration that fits the schema, but not this machine.

    Callbacks and loggers of the user's own are built once here: an error of a constructor leaves no run directory.
    """
    check_variables()
    config.data.check_sources()
    devices.check()  # from here on, torch is needed
    from lightning_dl2.loggers.own import build_own_loggers
    from lightning_dl2.training.own_callbacks import build_own_callbacks

    limits.check_data(config, devices.is_gpu)
    _check_optimizer(config)
    check_trainer(config.trainer, devices.is_gpu)
    build_own_callbacks(config)
    build_own_loggers(config)
    config.task.check_machine(devices.is_gpu)
    check_logger(config)


def check_logger(config: Config) -> None:
    """Raise UserError if the logger is not installed, or W&B would ask for a login."""
    if "tensorboard" in config.logger.names and not importlib.util.find_spec("tensorboard"):
        raise UserError("logger=tensorboard: is not installed; fix: pip install tensorboard, or use logger=csv")
    if "wandb" in config.logger.names:
        from lightning_dl2.loggers.wandb_login import check_login

        check_login()


def check_variables() -> None:
    """Raise UserError for an environment variable from which Lightning takes an argument of the Trainer.

    A run with it would not be what config.yaml says: PL_TRAINER_FAST_DEV_RUN=1 ends it after one step.
    """
    for name, value in sorted(os.environ.items()):
        if name.startswith("PL_TRAINER_") and value:
            key = f"trainer.{name.removeprefix('PL_TRAINER_').lower()}"
            known = key.partition(".")[2] in Trainer.model_fields
            instead = "debug=fast" if name.endswith("_FAST_DEV_RUN") else f"{key}=VALUE" if known else "a key of conf/"
            what = "changes the Trainer behind the configuration"
            raise UserError(f"{name}={value}: {what}; fix: unset it, use {instead}")


def _check_optimizer(config: Config) -> None:
    """Build optimiser and schedule and make a step: some classes refuse an argument, or a gradient, only then."""
    import torch

    from lightning_dl2.tasks.optimizers import build_optimizer, check_schedule, check_state

    values = config.optimizer.model_dump()
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in ((2, 2), (2,))]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    with _naming("optimizer", values):
        optimizer = build_optimizer(parameters, values)
        optimizer.step(lambda: 0.0)
        check_state(optimizer)
    with _naming("optimizer.schedule", values["schedule"]):
        check_schedule(optimizer, values["schedule"], config.trainer.max_steps)


@contextmanager
def _naming(group: str, values: dict[str, Any]) -> Iterator[None]:
    """Turn an error of a class within the block into one line that names the class and its arguments."""
    name, arguments = values["name"], values["arguments"]
    try:
        yield
    except Exception as error:  # a class of the user's own may raise anything
        known = (AssertionError, IndexError, RuntimeError, TypeError, ValueError)
        shown = f", {group}.arguments={format_override(arguments)}" if arguments else ""
        says = str(error).partition("\n")[0].removeprefix(f"{name}: ")
        says = says if isinstance(error, known) and says else f"{type(error).__name__}: {says}"
        raise UserError(f"{group}.name={name}{shown}: {says}") from error
