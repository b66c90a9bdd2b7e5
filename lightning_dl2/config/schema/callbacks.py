"""Define the schemas of conf/callbacks/."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lightning_dl2.config.schema.base import Natural, Positive, Rate, Strict

Metric = Literal["val/loss", "val/loss_cold", "val/accuracy", "val/mean_absolute_error"]


def mode_of(metric: str) -> Literal["min", "max"]:
    """Return whether a metric is better when it is smaller (min) or larger (max)."""
    return "max" if metric == "val/accuracy" else "min"


class Monitored(Strict):
    monitor: Metric
    mode: Literal["min", "max"]

    @model_validator(mode="after")
    def mode_fits_the_metric(self) -> "Monitored":
        fits = mode_of(self.monitor)
        if self.mode != fits:
            raise ValueError(f"mode={self.mode}: allowed with monitor={self.monitor}: {fits}")
        return self


class Checkpoint(Monitored):
    every_n_steps: Positive


class Solved(Strict):
    enabled: bool
    monitor: Literal["val/accuracy"]
    threshold: Annotated[float, Field(ge=0, le=1)]
    times: Positive


class EarlyStopping(Monitored):
    enabled: bool
    patience: Positive
    min_delta: Annotated[float, Field(ge=0)]


class WeightAveraging(Strict):
    enabled: bool
    decay: Annotated[float, Field(gt=0, lt=1)]
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


class Callbacks(Strict):
    checkpoint: Checkpoint
    solved: Solved
    early_stopping: EarlyStopping
    weight_averaging: WeightAveraging
    samples: Samples
    gradient_flow: GradientFlow
    progress_bar: bool
    curves: bool
