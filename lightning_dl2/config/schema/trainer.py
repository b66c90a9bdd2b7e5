"""Define the schemas of conf/trainer/."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.config.schema.base import MOST, Duration, Natural, Plain, Positive, Strict

# Arguments of Lightning's Trainer that have a key of their own, or that would break a promise, with what to do instead.
OWNED = {
    "callbacks": "use callbacks.NAME={_target_:package.module.Name}",
    "logger": "use logger=NAME",
    "default_root_dir": "use root=DIR",
    "fast_dev_run": "use debug=fast",
    "barebones": "leave it out: it trains without checkpoints",
    "enable_checkpointing": "leave it out: a run always keeps checkpoints",
    "enable_progress_bar": "use callbacks.progress_bar",
    "num_sanity_val_steps": "leave it out: it would log metrics before the first step",
    "use_distributed_sampler": "leave it out: each rank has its share already",
}

# For Lightning 0 means no clipping. It becomes null, so that both are the same run.
ClipNorm = Annotated[
    Annotated[float, Field(ge=0)] | None, BeforeValidator(lambda value: None if _is_zero(value) else value)
]


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


class Trainer(Strict):
    accelerator: Literal["cpu", "gpu", "mps", "auto"]
    devices: Positive | Literal["auto"]
    num_nodes: Positive
    strategy: Annotated[str, Field(min_length=1)]  # training/check_trainer.py asks Lightning for its names
    plugins: list[str]
    precision: Literal[32, 64, "bf16-mixed", "16-mixed"]
    max_steps: Annotated[int, Field(ge=-1, le=10**12)]
    max_epochs: Annotated[int, Field(ge=-1, le=10**12)]
    max_time: Duration | None
    val_check_interval: Annotated[int | float, Field(gt=0, le=MOST)]
    check_val_every_n_epoch: Positive | None
    log_every_n_steps: Positive
    gradient_clip_val: ClipNorm
    gradient_clip_algorithm: Literal["norm", "value"]
    accumulate_grad_batches: Positive
    limit_train_batches: Positive | None
    limit_val_batches: Positive | None
    limit_test_batches: Positive | None
    overfit_batches: Natural
    num_threads: Annotated[int, Field(ge=1, le=1024)] | None
    flush_denormal: bool
    float32_matmul_precision: Literal["highest", "high", "medium"]
    deterministic: bool
    detect_anomaly: bool
    profiler: Literal["simple", "advanced"] | None
    arguments: dict[str, Plain]

    @model_validator(mode="after")
    def arguments_have_no_key_of_their_own(self) -> "Trainer":
        for name, value in self.arguments.items():
            if name in type(self).model_fields:
                raise ValueError(f"arguments.{name}={value}: has a key of its own; fix: use trainer.{name}={value}")
            if name in OWNED:
                raise ValueError(f"arguments.{name}={value}: is set by this package; fix: {OWNED[name]}")
        return self

    @property
    def notes(self) -> list[str]:
        """Say in a line each for which values a resumed run may have other bits."""
        reload, found = self.arguments.get("reload_dataloaders_every_n_epochs"), []
        if reload:
            found.append(
                f"arguments.reload_dataloaders_every_n_epochs={reload}: a loader that is built anew is asked for"
            )
        if self.arguments.get("benchmark"):
            found.append("arguments.benchmark=true: each process on a GPU chooses its own algorithms")
        if is_dotted(self.strategy):
            found.append(f"strategy={self.strategy}: is no name of Lightning")
        if self.plugins:
            found.append(f"plugins=[{','.join(self.plugins)}]: come from outside this package")
        if self.accelerator == "mps":
            found.append("accelerator=mps: is not tested with this package")
        return [f"trainer.{line}; exact resume is not promised" for line in found]

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
