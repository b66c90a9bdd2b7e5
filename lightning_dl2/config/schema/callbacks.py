"""Define the schemas of conf/callbacks/."""

from typing import Annotated

from pydantic import Field, model_validator

from lightning_dl2.common.statistics import bare_name
from lightning_dl2.config.schema.base import Natural, Positive, Rate, Strict
from lightning_dl2.config.schema.component import Mode
from lightning_dl2.config.schema.extras import WithExtras

Metric = Annotated[str, Field(min_length=1)]  # `Config` asks the task whether it logs such a one


class Checkpoint(Strict):
    every_n_steps: Positive
    monitor: Metric | None
    mode: Mode


class Solved(Strict):
    enabled: bool
    monitor: Metric
    mode: Mode
    threshold: float
    times: Positive

    @model_validator(mode="after")
    def an_accuracy_lies_between_0_and_1(self) -> "Solved":
        if bare_name(self.monitor) == "accuracy" and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold={self.threshold}: allowed with monitor={self.monitor}: 0 to 1")
        return self


class EarlyStopping(Strict):
    enabled: bool
    monitor: Metric
    mode: Mode
    patience: Positive
    min_delta: Annotated[float, Field(ge=0)]


class WeightAveraging(Strict):
    enabled: bool
    decay: Annotated[float, Field(gt=0, lt=1)]
    start_step: Natural


class WeightNoise(Strict):
    enabled: bool
    std: Annotated[float, Field(gt=0, le=10)]
    start_step: Natural


Length = Annotated[int, Field(ge=1, le=1_000_000)]  # characters generated during training


class Samples(Strict):
    enabled: bool
    prompts: list[str]
    length: Length
    temperatures: list[Rate]
    num_greedy: Annotated[int, Field(ge=0, le=10_000)]
    greedy_length: Length


class GradientFlow(Strict):
    enabled: bool
    every_n_steps: Positive


class Callbacks(WithExtras):
    checkpoint: Checkpoint
    solved: Solved
    early_stopping: EarlyStopping
    weight_averaging: WeightAveraging
    weight_noise: WeightNoise
    samples: Samples
    gradient_flow: GradientFlow
    progress_bar: bool
    curves: bool
