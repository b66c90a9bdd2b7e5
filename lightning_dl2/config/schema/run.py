"""Define the configuration of a run: all groups, and the rules between them."""

from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny, model_validator

from lightning_dl2.config.schema.base import Strict
from lightning_dl2.config.schema.callbacks import Callbacks
from lightning_dl2.config.schema.component import DataSchema, Mode, TaskSchema
from lightning_dl2.config.schema.logger import Logger
from lightning_dl2.config.schema.optimizer import Optimizer
from lightning_dl2.config.schema.trainer import Trainer

MONITORING = ("checkpoint", "early_stopping", "solved")  # the callbacks that follow a metric


class Config(Strict):
    """Schema of a run, fully resolved to plain values."""

    experiment: str
    debug: Literal["none", "fast", "overfit", "profile"]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    root: Annotated[str, Field(min_length=1)]
    resume: Literal["auto", "never", "restart"]
    data: SerializeAsAny[DataSchema]
    task: SerializeAsAny[TaskSchema]
    optimizer: Optimizer
    trainer: Trainer
    logger: Logger
    callbacks: Callbacks

    @model_validator(mode="after")
    def components_fit_each_other(self) -> "Config":
        for name in ("samples", "gradient_flow"):
            if getattr(self.callbacks, name).enabled and (says := self.task.refuses(name)):
                raise ValueError(f"callbacks.{name}.enabled=true: {says}")
        self._check_monitors()
        self.task.check(self)
        return self

    @property
    def monitors(self) -> list[str]:
        """Return the metrics that the enabled callbacks monitor."""
        rules = (getattr(self.callbacks, name) for name in MONITORING)
        return [rule.monitor for rule in rules if getattr(rule, "enabled", True) and rule.monitor is not None]

    def mode_of(self, metric: str) -> Mode | None:
        """Return the direction in which a metric improves; None: neither the task nor a callback says it."""
        if declared := (self.task.metrics(self.data) or {}).get(metric):
            return declared
        rules = (getattr(self.callbacks, name) for name in MONITORING)
        return next((rule.mode for rule in rules if rule.monitor == metric), None)

    @property
    def logged_metrics(self) -> list[str] | None:
        """Return the metrics of a validation that a rule may monitor; None: nobody knows them before it."""
        metrics = self.task.metrics(self.data)
        return None if metrics is None else list(metrics)

    @property
    def test_split(self) -> str:
        """Name the data of the test, which is not always a split of its own."""
        return self.data.test_split

    def _check_monitors(self) -> None:
        metrics = self.task.metrics(self.data)
        if metrics is None:
            return
        logged = list(metrics)
        solved = self.callbacks.solved
        for monitor in self.monitors:
            if monitor not in logged:
                instead = ", or callbacks.solved.enabled=false" if solved.enabled and solved.monitor == monitor else ""
                if key := self.task.how_to_log(monitor, self.data):
                    instead += f"; fix: {key} logs {monitor}"
                raise ValueError(
                    f"callbacks: monitor={monitor}: data={self.data.title} logs no such metric; allowed:"
                    f" {', '.join(logged)}{instead}"
                )
        for name in MONITORING:
            rule = getattr(self.callbacks, name)
            if rule.monitor in metrics and rule.mode != (fits := metrics[rule.monitor]):
                raise ValueError(f"callbacks.{name}.mode={rule.mode}: allowed with monitor={rule.monitor}: {fits}")

    @model_validator(mode="after")
    def validations_fit_into_an_epoch(self) -> "Config":
        known = self.data.batches_in_epoch  # that of most data depends on their files
        if says := self.epoch_length_problem(known):
            raise ValueError(says)
        return self

    def epoch_length_problem(self, batches_per_epoch: int | None) -> str | None:
        """Describe in one line an epoch that ends before its first validation or step; None: it does not.

        Args:
            batches_per_epoch: training batches of the data; None: unknown.
        """
        trainer, most = self.trainer, self._batches(batches_per_epoch)
        if most is None:
            return None
        ends = f"an epoch ends after {most} training batches; allowed: 1 to {most}"
        if trainer.accumulate_grad_batches > most:  # Lightning would divide the gradient by batches that do not exist
            return f"trainer.accumulate_grad_batches={trainer.accumulate_grad_batches}: {ends}"
        if trainer.check_val_every_n_epoch is not None and trainer.val_check_interval > most:
            every = f"trainer.val_check_interval={trainer.val_check_interval}"
            return f"{every}: {ends}, or any with trainer.check_val_every_n_epoch=null"
        return None

    def _batches(self, batches_per_epoch: int | None) -> int | None:
        """Return the training batches of an epoch, from those of the data (None: unknown); None: unknown."""
        limits = [limit for limit in (batches_per_epoch, self.trainer.limit_train_batches) if limit]
        return self.trainer.overfit_batches or min(limits, default=None)

    def validation_interval(self, batches_per_epoch: int) -> tuple[int, str | None]:
        """Count the training batches between two validations.

        A share of an epoch's batches becomes a whole number, so that a resumed run validates after the same steps as an
        uninterrupted run.

        Args:
            batches_per_epoch: training batches of the data on each rank.

        Returns:
            The batches, and one line if they differ from the configured share.
        """
        share, most = self.trainer.val_check_interval, self._batches(batches_per_epoch) or batches_per_epoch
        if isinstance(share, int):
            return share, None
        interval = max(1, int(round(share * most, 9)))  # down, as Lightning does; 0.29 * 100 is 28.999999999999996
        says = f"trainer.val_check_interval={share:g}: every {interval} of the {most} training batches of an epoch"
        return interval, None if abs(share * most - interval) < 1e-6 else says

    @property
    def schedule_warning(self) -> str | None:
        """Describe a schedule that ends before the training, after which little is learnt; None: it does not."""
        schedule, max_steps = self.optimizer.schedule, self.trainer.max_steps
        if schedule.name not in ("linear", "cosine") or schedule.total_steps is None:
            return None
        if schedule.total_steps >= max_steps:
            return None
        return (
            f"optimizer.schedule.total_steps={schedule.total_steps}: from there to trainer.max_steps={max_steps} the"
            f" learning rate is {schedule.final_factor:g} times optimizer.learning_rate"
        )

    @model_validator(mode="after")
    def data_fit_the_rest(self) -> "Config":
        self.data.check(self)
        return self
