"""Check the files of a run directory, whoever has written or edited them.

Keys that are not named here are let through: older and newer versions have others.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LARGEST = 2**63 - 1
Count = Annotated[int, Field(ge=0, le=LARGEST)]


class RunFile(BaseModel):
    """Base of the schemas: no type is taken for another, such as a text or a truth value for a number."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)  # NaN and infinity are written as null


class Result(RunFile):
    """result.json."""

    status: Literal["completed", "interrupted", "failed"]
    metrics: dict[str, Annotated[float, Field(allow_inf_nan=True)] | None]  # older versions wrote NaN, too
    experiment: str | None = None
    variant: str | None = None
    seed: Count | None = None
    error: str | None = None
    stopped_by: str | None = None
    solved_at: Count | None = None
    best_step: Count | None = None
    steps: Count | None = None
    epochs: Count | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    steps_per_second: Annotated[float, Field(ge=0)] | None = None
    parameters: Count | None = None
    world_size: Count | None = None
    versions: dict[str, Any] | None = None
    device: str | None = None
    data_digest: str | None = None
    config_hash: str | None = None


class Parameters(RunFile):
    """Hold the arguments of a task, in a checkpoint."""

    spec: dict[str, Any]


def _having(*keys: str) -> AfterValidator:
    """Allow a mapping that has `keys`, which Lightning and torch read without a question."""

    def check(values: dict[str, Any]) -> dict[str, Any]:
        if missing := [key for key in keys if key not in values]:
            raise ValueError(f"has no {missing[0]}")
        return values

    return AfterValidator(check)


Optimizer = Annotated[dict[str, Any], _having("state", "param_groups")]


class Checkpoint(RunFile):
    """A checkpoint, as far as it is read before Lightning loads it."""

    lightning: Annotated[str, Field(alias="pytorch-lightning_version", pattern=r"^\d+(\.\d+)+[\w.+-]*$")] = "0.0"
    global_step: Count
    hyper_parameters: Parameters
    epoch: Count = 0
    state_dict: dict[str, Any] = {}
    callbacks: dict[str, Any] = {}
    loops: Annotated[dict[str, Any], _having("fit_loop")] = {}
    # None at all: Lightning would go on with an optimiser that has forgotten its moments.
    optimizer_states: Annotated[list[Optimizer], Field(min_length=1)] = []
    lr_schedulers: list[dict[str, Any]] = []
    world_size: Count | None = None  # older versions did not write it
    gpu: bool | None = None
