"""Build the task that a configuration names, and load one from a checkpoint."""

from io import BufferedReader
from pickle import UnpicklingError
from typing import Any

import torch
from pytorch_lightning.core.saving import _load_state
from pytorch_lightning.utilities.migration import migrate_checkpoint

from lightning_dl2.common.errors import UserError
from lightning_dl2.config import schema
from lightning_dl2.resume import checkpoint_file
from lightning_dl2.tasks.graph_net import GraphNet
from lightning_dl2.tasks.optimizers import complete, parameter_groups
from lightning_dl2.tasks.sequence_classifier import SequenceClassifier
from lightning_dl2.tasks.task import Task
from lightning_dl2.tasks.text_generator import TextGenerator

# Errors of torch and Lightning for a whole file that is no checkpoint of this package.
NOT_OURS = (AttributeError, EOFError, IndexError, KeyError, RuntimeError, TypeError, ValueError, UnpicklingError)
TASKS: dict[str, type[Task]] = {
    "sequence_classifier": SequenceClassifier,
    "text_generator": TextGenerator,
    "graph_net": GraphNet,
}


def build_task(config: schema.Task, optimizer: schema.Optimizer, spec: dict[str, Any]) -> Task:
    """Build the task that `config` names, for data of this `spec`.

    Raises:
        UserError: the net cannot be built, or has no such part to optimise.
    """
    arguments = config.model_dump(exclude={"name"})
    try:
        task = TASKS[config.name](spec=spec, optimizer=optimizer.model_dump(), **arguments)
    except (ValueError, RuntimeError, MemoryError) as error:  # the latter two: too little memory
        raise UserError(f"task: {error}") from error
    try:
        parameter_groups(task.net, complete(task.hparams["optimizer"]))
    except ValueError as error:
        raise UserError(f"optimizer.{error}") from error
    return task


def load_task(name: str, content: BufferedReader, checkpoint: str) -> Task:
    """Load the task `name`, one of TASKS, from the open file of a checkpoint alone, on the CPU.

    Raises:
        UserError: the file is no checkpoint of such a task.
    """
    before = torch.get_default_dtype()
    try:
        stored = checkpoint_file.load(content)
        if any(value.dtype == torch.float64 for value in stored["state_dict"].values()):  # else they were rounded
            torch.set_default_dtype(torch.float64)
        numerics = stored.get("numerics")
        # As Lightning's load_from_checkpoint, which would read the file once more.
        task: Any = _load_state(TASKS[name], migrate_checkpoint(stored)[0])
        task.written_with = numerics
        return task
    except OSError as error:
        raise UserError(f"checkpoint={checkpoint}: {content.name} is damaged; allowed: a whole file") from error
    except NOT_OURS as error:
        raise UserError(f"checkpoint={checkpoint}: {content.name} is no {name} of this version") from error
    finally:
        torch.set_default_dtype(before)
