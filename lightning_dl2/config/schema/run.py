"""Define the configuration of a run: all groups, and the rules between them."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.config.schema.base import Strict
from lightning_dl2.config.schema.callbacks import Callbacks
from lightning_dl2.config.schema.data import (
    MINIMUM_HELD_OUT,
    PLANETOID,
    Data,
    GraphSetData,
    NodeData,
    SequenceData,
    TextData,
)
from lightning_dl2.config.schema.logger import Logger
from lightning_dl2.config.schema.optimizer import Optimizer
from lightning_dl2.config.schema.task import GraphNet, Task, TextGenerator
from lightning_dl2.config.schema.trainer import Trainer

FITTING_TASK = {
    name: task
    for kind, task in (
        (SequenceData, "sequence_classifier"),
        (TextData, "text_generator"),
        (NodeData, "graph_net"),
        (GraphSetData, "graph_net"),
    )
    for name in get_args(kind.model_fields["name"].annotation)
}
TASKS = tuple(dict.fromkeys(FITTING_TASK.values()))


HELD_OUT = "held out"
NOT_HELD_OUT = "the sequences of training: there are no others"


def test_split(data: str, test_fraction: float | None, sequence_length: float | None) -> str:
    """Name the sequences, texts or graphs of the test; an argument is None if the data has no such key."""
    if test_fraction == 0:
        return "validation, which also chose the checkpoint"
    if data in MINIMUM_HELD_OUT and sequence_length is not None and sequence_length < MINIMUM_HELD_OUT[data]:
        return NOT_HELD_OUT
    return HELD_OUT


class Config(Strict):
    """Schema of a run, fully resolved to plain values."""

    experiment: str
    debug: Literal["none", "fast", "overfit", "profile"]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    root: Annotated[str, Field(min_length=1)]
    resume: Literal["auto", "never", "restart"]
    data: Data
    task: Task
    optimizer: Optimizer
    trainer: Trainer
    logger: Logger
    callbacks: Callbacks

    @model_validator(mode="before")
    @classmethod
    def task_fits_the_data(cls, values: Any) -> Any:
        """Check the pair first: otherwise the error would name a key that the user never set."""
        groups = [values.get(group) if isinstance(values, dict) else None for group in ("data", "task")]
        data, task = (str(group.get("name")) if isinstance(group, dict) else "" for group in groups)
        fitting = "sequence_classifier" if is_dotted(data) else FITTING_TASK.get(data)
        if fitting and task in TASKS and task != fitting:
            raise ValueError(f"task={task}: allowed with data={data}: task={fitting}")
        return values

    @model_validator(mode="after")
    def callbacks_fit_the_task(self) -> "Config":
        if self.callbacks.samples.enabled and not isinstance(self.task, TextGenerator):
            raise ValueError("callbacks.samples.enabled=true: only a text_generator writes samples; allowed: false")
        if self.callbacks.gradient_flow.enabled and isinstance(self.task, GraphNet):
            raise ValueError("callbacks.gradient_flow.enabled=true: a graph_net reads no sequence; allowed: false")
        return self

    @property
    def logged_metrics(self) -> list[str]:
        """Return the metrics of a validation that a rule may monitor."""
        if isinstance(self.data, GraphSetData) and self.data.target == "regression":
            return ["val/loss", "val/mean_absolute_error"]
        return ["val/loss", "val/accuracy"] + ["val/loss_cold"] * isinstance(self.data, TextData)

    @property
    def test_split(self) -> str:
        """Name the data of the test, which is not always a split of its own."""
        if isinstance(self.data, SequenceData):
            return HELD_OUT if self.data.holds_out else NOT_HELD_OUT
        return test_split(self.data.name, getattr(self.data, "test_fraction", None), None)

    @model_validator(mode="after")
    def monitored_metrics_are_logged(self) -> "Config":
        logged = self.logged_metrics
        rules = self.callbacks.checkpoint, self.callbacks.early_stopping, self.callbacks.solved
        for rule in rules:
            if not getattr(rule, "enabled", True):
                continue
            if rule.monitor not in logged:
                raise ValueError(
                    f"callbacks: monitor={rule.monitor}: data={self.data.name} logs no such metric; allowed:"
                    f" {', '.join(logged)}" + (", or callbacks.solved.enabled=false" if rule is rules[2] else "")
                )
            if rule.monitor == "val/loss_cold" and self.trainer.limit_val_batches == 1:
                raise ValueError(
                    "trainer.limit_val_batches=1: the first batch gives no val/loss_cold; allowed: 2 or more, null, or"
                    " another monitor"
                )
        return self

    @model_validator(mode="after")
    def graph_net_fits_the_graphs(self) -> "Config":
        if not isinstance(self.task, GraphNet):
            return self
        level = self.data.level if isinstance(self.data, GraphSetData) else "node"
        if level == "graph" and self.task.output_layer == "none":
            raise ValueError(
                f"task.output_layer=none: data={self.data.name} has one target for each graph; allowed: linear, mlp"
            )
        sparse = isinstance(self.data, NodeData) and self.data.name in PLANETOID and self.data.positional.size
        if sparse and not self.task.input_layer:
            raise ValueError(
                f"task.input_layer=false: data={self.data.name} has sparse features; allowed with data.positional: true"
            )
        fanouts = self.data.fanouts if isinstance(self.data, NodeData) else None
        if fanouts and len(fanouts) != self.task.num_layers:
            raise ValueError(
                f"data.fanouts={fanouts}: allowed with task.num_layers={self.task.num_layers}: a list of"
                f" {self.task.num_layers}, or null"
            )
        return self

    @model_validator(mode="after")
    def validations_fit_into_an_epoch(self) -> "Config":
        # The number of batches of other data depends on their files.
        known = self.data.batches_per_epoch if isinstance(self.data, SequenceData) else None
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
    def one_rule_for_the_learning_rate(self) -> "Config":
        if not isinstance(self.data, SequenceData):
            return self
        rule = self.data.curriculum
        lowers = rule.enabled and (rule.full_rate_length is not None or rule.final_steps is not None)
        name = self.optimizer.schedule.name
        if lowers and (name == "plateau" or is_dotted(name)):
            raise ValueError(
                f"optimizer.schedule.name={name}: the curriculum sets the learning rate too; fix: choose another"
                " schedule, or data.curriculum.full_rate_length=null and data.curriculum.final_steps=null"
            )
        return self
