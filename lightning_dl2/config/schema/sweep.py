"""Define the schemas of conf/sweep/ and conf/launcher/."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lightning_dl2.config.schema.base import Duration, Name, Natural, Positive, Strict
from lightning_dl2.config.schema.callbacks import Metric
from lightning_dl2.config.schema.component import Mode


class Grid(Strict):
    method: Literal["grid"]
    name: Name | None
    monitor: Metric | None
    mode: Mode | None
    retry_failed: bool
    overrides: list[str] = []
    max_time: Duration | None = None


class Search(Strict):
    method: Literal["random", "tpe"]
    name: Name | None
    monitor: Metric | None
    mode: Mode | None
    retry_failed: bool
    overrides: list[str] = []
    max_time: Duration | None = None
    trials: Positive
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    startup_trials: Natural
    pruner: Literal["none", "median", "hyperband"]


class Local(Strict):
    name: Literal["local"]
    jobs: Positive


class Submitit(Strict):
    name: Literal["submitit"]
    jobs: Positive
    cluster: Literal["slurm", "local"]
    partition: str | None
    minutes: Positive
    nodes: Positive
    tasks_per_node: Positive
    gpus_per_node: Natural
    cpus_per_task: Positive
    memory_gb: Positive | None
    signal_seconds: Positive
    restarts: Natural
    parameters: dict[str, bool | int | float | str]

    @model_validator(mode="after")
    def there_is_time_to_save(self) -> "Submitit":
        if self.signal_seconds >= 60 * self.minutes:
            raise ValueError(
                f"signal_seconds={self.signal_seconds}: allowed: less than minutes={self.minutes} x 60: the signal"
                " comes that many seconds before the time limit"
            )
        return self


class Ray(Strict):
    name: Literal["ray"]
    jobs: Positive
    address: str | None
    cpus: Positive
    gpus: Natural
    restarts: Natural


class Multirun(Strict):
    """Schema of the keys that a sweep adds to those of its runs."""

    dry: bool
    sweep: Annotated[Grid | Search, Field(discriminator="method")]
    launcher: Annotated[Local | Submitit | Ray, Field(discriminator="name")]
