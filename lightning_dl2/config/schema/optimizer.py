"""Define the schemas of conf/optimizer/."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.common.errors import nearest
from lightning_dl2.config.schema.base import Natural, Plain, Positive, Rate, Strict

SCHEDULES = ("constant", "linear", "cosine", "exponential", "plateau")


class Schedule(Strict):
    name: str  # a dotted path is imported with torch, which takes seconds: training/preflight.py checks it
    warmup_steps: Natural
    total_steps: Positive | None
    final_factor: Annotated[float, Field(ge=0, le=1)]
    decay: Annotated[float, Field(gt=0, le=1)]
    decay_every: Positive
    patience: Natural
    monitor: str | None
    mode: Literal["min", "max"]
    interval: Literal["step", "epoch"]
    arguments: dict[str, Plain]

    @model_validator(mode="after")
    def name_is_known(self) -> "Schedule":
        if is_dotted(self.name):
            return self
        if self.name not in SCHEDULES:
            allowed = f"{nearest(self.name, list(SCHEDULES))}, or a dotted path as package.module.Name"
            raise ValueError(f"name={self.name}: {allowed}")
        if self.arguments:
            key = next(iter(self.arguments))
            raise ValueError(
                f"arguments.{key}={self.arguments[key]}: schedule {self.name} takes none; fix: leave it out"
            )
        if self.name != "plateau" and self.monitor is not None:
            raise ValueError(f"monitor={self.monitor}: schedule {self.name} follows no metric; allowed: null")
        return self

    @model_validator(mode="after")
    def numbers_fit_the_name(self) -> "Schedule":
        if self.name == "plateau" and self.warmup_steps:
            raise ValueError(f"warmup_steps={self.warmup_steps}: schedule plateau has no warm-up; allowed: 0")
        if self.name == "plateau" and self.decay == 1:
            raise ValueError(f"decay={self.decay}: schedule plateau would change nothing; allowed: less than 1")
        if self.name in ("linear", "cosine"):
            if self.total_steps is None:
                raise ValueError(f"total_steps=null: schedule {self.name} needs a number of steps")
            if self.total_steps <= self.warmup_steps:
                raise ValueError(f"warmup_steps={self.warmup_steps}: allowed: less than total_steps={self.total_steps}")
        return self


class Optimizer(Strict):
    name: str
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0)]
    weight_decay_of: dict[str, Annotated[float, Field(ge=0)]]
    arguments: dict[str, Plain]
    schedule: Schedule

    @model_validator(mode="after")
    def arguments_have_no_second_name(self) -> "Optimizer":
        for key, name in (("lr", "learning_rate"), ("weight_decay", "weight_decay")):
            if key in self.arguments:
                value = self.arguments[key]
                raise ValueError(f"arguments.{key}={value}: allowed: optimizer.{name}={value}")
        return self
