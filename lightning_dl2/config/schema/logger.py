"""Define the schemas of conf/logger/."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lightning_dl2.config.schema.base import Rate
from lightning_dl2.config.schema.extras import WithExtras

NOT_IN_PROJECTS = "/\\#?%:"
WANDB_ID = re.compile(r"[^\x00-\x1f:;,#?/'\\]{1,128}")


Name = Literal["csv", "wandb", "tensorboard"]


class Logger(WithExtras):
    name: Name | Annotated[list[Name], Field(min_length=1)]
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
        if self.artifacts and "wandb" not in self.names:
            shown = ",".join(self.names)
            raise ValueError(f"artifacts=[{','.join(self.artifacts)}]: logger={shown} keeps none; allowed: []")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the package's own loggers that are asked for."""
        return (self.name,) if isinstance(self.name, str) else tuple(self.name)
