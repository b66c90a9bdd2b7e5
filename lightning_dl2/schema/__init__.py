"""The configuration's types and limits, one file a group of conf/; whole runs here.

Imports neither torch nor Hydra, so that a mistake is told at once. Units and consequences of each value stand in the
YAML files under conf/.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lightning_dl2.schema.base import Strict
from lightning_dl2.schema.callbacks import Callbacks, Samples
from lightning_dl2.schema.data import MINIMUM_LENGTH, TEXTS, Data, SequenceData, TextData
from lightning_dl2.schema.optimizer import Optimizer, Schedule
from lightning_dl2.schema.task import SequenceClassifier, Task, TextGenerator
from lightning_dl2.schema.trainer import Logger, Trainer

__all__ = [
    "MINIMUM_LENGTH",
    "TEXTS",
    "Callbacks",
    "Config",
    "Data",
    "Logger",
    "Optimizer",
    "Samples",
    "Schedule",
    "SequenceClassifier",
    "SequenceData",
    "Task",
    "TextData",
    "TextGenerator",
    "Trainer",
]


class Config(Strict):
    """One run, fully resolved: plain values only."""

    experiment: str
    debug: Literal["none", "fast", "overfit", "profile"]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    root: Annotated[str, Field(min_length=1)]
    resume: Literal["auto", "never", "restart"]
    data: Data
    task: Task
    optimizer: Optimizer
    trainer: Trainer
    logger: Logger
    callbacks: Callbacks

    @model_validator(mode="after")
    def task_fits_the_data(self) -> "Config":
        text = isinstance(self.data, TextData)
        if text != isinstance(self.task, TextGenerator):
            fits = "text_generator" if text else "sequence_classifier"
            raise ValueError(f"task={self.task.name}: allowed with data={self.data.name}: task={fits}")
        if not text:
            rules = self.callbacks.checkpoint, self.callbacks.early_stopping
            if any(rule.monitor == "val/loss_cold" for rule in rules):
                raise ValueError("callbacks: monitor=val/loss_cold: is of text alone; allowed: val/loss, val/accuracy")
            if self.callbacks.samples.enabled:
                raise ValueError("callbacks.samples.enabled=true: only a text_generator writes; allowed: false")
        return self

    @model_validator(mode="after")
    def one_rule_for_the_learning_rate(self) -> "Config":
        if isinstance(self.data, TextData):
            return self
        rule = self.data.curriculum
        lowers = rule.enabled and (rule.full_rate_length is not None or rule.final_steps is not None)
        if lowers and self.optimizer.schedule.name == "plateau":
            raise ValueError(
                "optimizer.schedule.name=plateau: the curriculum sets the learning rate too; allowed: another schedule,"
                " or data.curriculum.full_rate_length=null and data.curriculum.final_steps=null"
            )
        return self
