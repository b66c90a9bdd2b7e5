"""Define the schemas of conf/logger/."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lightning_dl2.config.schema.base import Rate, Strict

NOT_IN_PROJECTS = "/\\#?%:"
WANDB_ID = re.compile(r"[^\x00-\x1f:;,#?/'\\]{1,128}")


class Logger(Strict):
    name: Literal["csv", "wandb", "tensorboard"]
    project: Annotated[str, Field(min_length=1, max_length=128)]
    entity: str | None
    group: str | None
    run_name: Annotated[str, Field(min_length=1, max_length=128)] | None
    job_type: Annotated[str, Field(min_length=1, max_length=64)] | None
    notes: str | None
    tags: list[Annotated[str, Field(min_length=1, max_length=64)]]
    artifacts: list[Literal["figures", "samples", "checkpoint"]]
    init_timeout: Rate
    finish_timeout: Rate

    @model_validator(mode="after")
    def project_is_a_name(self) -> "Logger":
        if set(self.project) & set(NOT_IN_PROJECTS):
            raise ValueError(f"project={self.project}: allowed: a name without {' '.join(NOT_IN_PROJECTS)}")
        return self

    @model_validator(mode="after")
    def artifacts_are_kept_by_wandb(self) -> "Logger":
        if self.artifacts and self.name != "wandb":
            raise ValueError(f"artifacts=[{','.join(self.artifacts)}]: logger={self.name} keeps none; allowed: []")
        return self
