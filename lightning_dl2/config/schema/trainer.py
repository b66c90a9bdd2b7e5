"""Define the schemas of conf/trainer/."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from lightning_dl2.config.schema.base import MOST, Duration, Natural, Positive, Strict

# For Lightning 0 means no clipping. It becomes null, so that both are the same run.
ClipNorm = Annotated[
    Annotated[float, Field(ge=0)] | None, BeforeValidator(lambda value: None if _is_zero(value) else value)
]


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


class Trainer(Strict):
    accelerator: Literal["cpu", "gpu", "auto"]
    devices: Positive | Literal["auto"]
    num_nodes: Positive
    strategy: Literal["auto", "ddp"]
    precision: Literal[32, 64, "bf16-mixed", "16-mixed"]
    max_steps: Annotated[int, Field(ge=-1, le=10**12)]
    max_epochs: Annotated[int, Field(ge=-1, le=10**12)]
    max_time: Duration | None
    val_check_interval: Annotated[int | float, Field(gt=0, le=MOST)]
    check_val_every_n_epoch: Positive | None
    log_every_n_steps: Positive
    gradient_clip_val: ClipNorm
    accumulate_grad_batches: Positive
    limit_train_batches: Positive | None
    limit_val_batches: Positive | None
    limit_test_batches: Positive | None
    overfit_batches: Natural
    num_threads: Annotated[int, Field(ge=1, le=1024)] | None
    flush_denormal: bool
    deterministic: bool
    profiler: Literal["simple", "advanced"] | None

    @model_validator(mode="after")
    def a_fraction_is_a_share_of_an_epoch(self) -> "Trainer":
        if isinstance(self.val_check_interval, float) and self.val_check_interval > 1:
            raise ValueError(
                f"val_check_interval={self.val_check_interval}: allowed: a whole number of training batches, or a share"
                " of an epoch up to 1.0"
            )
        return self

    @model_validator(mode="after")
    def training_has_an_end(self) -> "Trainer":
        if self.max_steps == 0 or self.max_epochs == 0:
            key = "max_steps" if self.max_steps == 0 else "max_epochs"
            raise ValueError(f"{key}=0: nothing would be trained; allowed: 1 or more, or -1 for no limit")
        if self.max_steps < 0 and self.max_epochs < 0:
            raise ValueError("max_steps=-1: max_epochs is -1 too; fix: limit one of the two")
        return self
