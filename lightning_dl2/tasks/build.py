"""Build the task that a configuration names, and load one from a checkpoint."""

from io import BufferedReader
from pickle import UnpicklingError
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.saving import _load_state
from pytorch_lightning.utilities.migration import migrate_checkpoint

from lightning_dl2.common.dotted import find_callable
from lightning_dl2.common.errors import UserError
from lightning_dl2.config import schema
from lightning_dl2.config.component import REFERENCE, instantiate
from lightning_dl2.config.schema.component import TARGET, OwnTask, TaskSchema
from lightning_dl2.resume import checkpoint_file
from lightning_dl2.resume.find_checkpoint import data_spec
from lightning_dl2.tasks.optimizers import complete, parameter_groups
from lightning_dl2.tasks.task import Task

# Errors of torch and Lightning for a whole file that is no checkpoint of this package.
NOT_OURS = (AttributeError, EOFError, IndexError, KeyError, RuntimeError, TypeError, ValueError, UnpicklingError)


def build_task(config: TaskSchema, optimizer: schema.Optimizer, spec: dict[str, Any], data: Any = None) -> Any:
    """Build the task that `config` names, for data of this `spec`.

    Args:
        optimizer: given to a constructor that has such an argument, as those of all subclasses of Task have.
        spec: likewise.
        data: the data module; its attributes replace `${data.NAME}` in the arguments of a task of the user's own.

    Raises:
        UserError: the net cannot be built, or has no such part to optimise.
    """
    if isinstance(config, OwnTask):
        values = resolve_references(config.arguments, spec, data)
        task = instantiate("task", {TARGET: config.class_path, **values}, spec=spec, optimizer=optimizer.model_dump())
        if not isinstance(task, LightningModule):
            what = f"task: {config.class_path} gives a {type(task).__name__}"
            raise UserError(f"{what}; allowed: a pytorch_lightning.LightningModule")
    else:
        try:
            task = find_callable(config.class_path)(spec=spec, optimizer=optimizer.model_dump(), **config.arguments)
        except (ValueError, RuntimeError, MemoryError) as error:  # the latter two: too little memory
            raise UserError(f"task: {error}") from error
    if isinstance(task, Task):
        try:
            parameter_groups(task.net, complete(task.hparams["optimizer"]))
        except ValueError as error:
            raise UserError(f"optimizer.{error}") from error
        if data is not None:
            task.check_data(data)
    return task


def resolve_references(values: Any, spec: dict[str, Any], data: Any) -> Any:
    """Replace ${data.NAME} by the entry of the spec, or the attribute of the data module, of this name.

    Raises:
        UserError: the data have neither.
    """
    if isinstance(values, dict):
        return {key: resolve_references(value, spec, data) for key, value in values.items()}
    if isinstance(values, list):
        return [resolve_references(value, spec, data) for value in values]
    if not isinstance(values, str) or not (found := REFERENCE.fullmatch(values)):
        return values
    name = found[1]
    if name in spec:
        return spec[name]
    if hasattr(data, name):
        return getattr(data, name)
    raise UserError(f"task: {values}: the data have no {name}; allowed: {', '.join(spec) or 'an attribute of theirs'}")


def load_task(
    config: schema.Config, content: BufferedReader, checkpoint: str, data: Any = None, task: Any = None
) -> Any:
    """Load the task of a configuration from the open file of a checkpoint, on the CPU.

    A built-in task is built from the checkpoint alone, one of the user's own from the configuration.

    Args:
        data: the data module, for `${data.NAME}` in the arguments of a task of the user's own.
        task: an object that gets the weights; None: it is built here.

    Raises:
        UserError: the file is no checkpoint of such a task.
    """
    before = torch.get_default_dtype()
    try:
        stored = checkpoint_file.load(content)
        if any(value.dtype == torch.float64 for value in stored["state_dict"].values()):  # else they were rounded
            torch.set_default_dtype(torch.float64)
        numerics = stored.get("numerics")
        stored = migrate_checkpoint(stored)[0]
        if isinstance(config.task, OwnTask):
            task = task or build_task(config.task, config.optimizer, data_spec(stored), data)
            task.on_load_checkpoint(stored)
            task.load_state_dict(stored["state_dict"])
        else:  # as Lightning's load_from_checkpoint, which would read the file once more
            kind: Any = find_callable(config.task.class_path)
            task = _load_state(kind, stored)
        task.written_with, task.trained_on = numerics, data_spec(stored)
        return task
    except OSError as error:
        raise UserError(f"checkpoint={checkpoint}: {content.name} is damaged; allowed: a whole file") from error
    except UserError:
        raise
    except NOT_OURS as error:
        raise UserError(f"checkpoint={checkpoint}: {content.name} is no {config.task.title} of this version") from error
    finally:
        torch.set_default_dtype(before)
