"""Define the schemas of conf/optimizer/."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lightning_dl2.config.schema.base import Natural, Positive, Rate, Scalar, Strict


class Schedule(Strict):
    name: Literal["constant", "linear", "cosine", "exponential", "plateau"]
    warmup_steps: Natural
    total_steps: Positive | None
    final_factor: Annotated[float, Field(ge=0, le=1)]
    decay: Annotated[float, Field(gt=0, le=1)]
    decay_every: Positive
    patience: Natural

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
    arguments: dict[str, Scalar]
    schedule: Schedule

    @model_validator(mode="after")
    def arguments_have_no_second_name(self) -> "Optimizer":
        for key, name in (("lr", "learning_rate"), ("weight_decay", "weight_decay")):
            if key in self.arguments:
                value = self.arguments[key]
                raise ValueError(f"arguments.{key}={value}: allowed: optimizer.{name}={value}")
        return self
