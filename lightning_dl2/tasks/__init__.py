"""LightningModules: forward, loss, metrics, optimiser. They know nothing of the data modules."""

from typing import Any

from lightning_dl2.schema import Optimizer
from lightning_dl2.schema import SequenceClassifier as SequenceClassifierConfig
from lightning_dl2.tasks.sequence_classifier import SequenceClassifier
from lightning_dl2.tasks.task import Task

TASKS: dict[str, type[Task]] = {"sequence_classifier": SequenceClassifier}

__all__ = ["TASKS", "SequenceClassifier", "Task", "build_task"]


def build_task(config: SequenceClassifierConfig, optimizer: Optimizer, spec: dict[str, Any]) -> Task:
    """The task that `config` names, for data of this `spec`."""
    arguments = config.model_dump(exclude={"name"})
    return TASKS[config.name](spec=spec, optimizer=optimizer.model_dump(), **arguments)
