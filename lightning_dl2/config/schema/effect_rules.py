"""List the keys of any run that have an effect only together with others; `effects` applies the rules.

A key that stands in no rule always has an effect, or the schema itself refuses it where it has none. `data.cache_dir`
is left out because it makes no other run, and `logger.group` because a sweep gives it to all of its runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.config.schema.base import Strict
from lightning_dl2.config.schema.callbacks import Callbacks
from lightning_dl2.config.schema.logger import Logger
from lightning_dl2.config.schema.optimizer import Optimizer
from lightning_dl2.config.schema.trainer import Trainer

FALLING = ("linear", "cosine")  # the schedules that end
SCHEDULE = "optimizer.schedule.name"


@dataclass(frozen=True)
class Rule:
    """Keys of one group that have an effect only together with other keys."""

    kind: type[Strict]  # of the group
    keys: str  # their names within the group; "solved.*" stands for all below but `enabled`
    works: Callable[[Any], bool]  # tells whether they have an effect in a Config whose group is of `kind`
    why: str  # the values with which they have none; {task.cell} stands for a value
    fix: str  # the values with which they have one
    off: tuple[Any, ...] = ()  # the values of the keys that ask for nothing, whose effect nobody misses
    quiet: bool = False  # say nothing about values of the files, where the user's choice makes the reason plain

    def names(self, group: Strict) -> Iterator[str]:
        """Name the keys of the rule one by one."""
        for key in self.keys.split():
            parent, star, _ = key.partition(".*")
            below = type(value_of(group, parent)).model_fields if star else ()
            yield from (f"{parent}.{name}" for name in below if name != "enabled") if star else (key,)


def value_of(model: Any, key: str) -> Any:
    """Return the value at a path such as "schedule.decay"."""
    for name in key.split("."):
        model = getattr(model, name)
    return model


def needs(
    kind: type[Strict], keys: str, key: str, *values: str, off: tuple[Any, ...] = (), quiet: bool = False
) -> Rule:
    """Make the rule that `keys` have an effect only while `key` has one of `values`."""
    shown = key.removesuffix(".name") if key.count(".") == 1 else key  # a user types data=csl, not data.name=csl
    why, fix = f"{shown}={{{key}}}", f"{shown}={' or '.join(values)}"
    return Rule(kind, keys, lambda config: value_of(config, key) in values, why, fix, off, quiet)


def needs_switch(kind: type[Strict], keys: str, key: str, off: tuple[Any, ...] = (), quiet: bool = False) -> Rule:
    """Make the rule that `keys` have an effect only while `key` is true."""
    return Rule(kind, keys, lambda config: value_of(config, key), f"{key}=false", f"{key}=true", off, quiet)


# A rule has two lines or three: its keys and when they work; then `why`, `fix` and `off`.
# fmt: off
TRAINING = (
    needs(Optimizer, "schedule.total_steps", SCHEDULE, *FALLING, off=(None,), quiet=True),
    needs(Optimizer, "schedule.final_factor", SCHEDULE, *FALLING),
    needs(Optimizer, "schedule.decay", SCHEDULE, "exponential", "plateau"),
    needs(Optimizer, "schedule.decay_every", SCHEDULE, "exponential"),
    needs(Optimizer, "schedule.patience schedule.mode", SCHEDULE, "plateau"),
    Rule(Optimizer, "schedule.warmup_steps", lambda c: not is_dotted(c.optimizer.schedule.name),
         "optimizer.schedule.name={optimizer.schedule.name}", "a schedule of this package", (0,)),
    Rule(Optimizer, "schedule.interval", lambda c: is_dotted(c.optimizer.schedule.name),
         "optimizer.schedule.name={optimizer.schedule.name}", "the dotted path of a schedule", ("step",)),
    Rule(Trainer, "limit_train_batches", lambda c: not c.trainer.overfit_batches,
         "trainer.overfit_batches={trainer.overfit_batches}", "trainer.overfit_batches=0", (None,)),
    Rule(Trainer, "gradient_clip_algorithm", lambda c: c.trainer.gradient_clip_val is not None,
         "trainer.gradient_clip_val=null", "trainer.gradient_clip_val=NUMBER", ("norm",)),
    Rule(Logger, "project entity run_name job_type notes tags init_timeout finish_timeout",
         lambda c: "wandb" in c.logger.names, "logger={logger.name}", "logger=wandb", (None, []), quiet=True),
    *(
        needs_switch(Callbacks, f"{name}.*", f"callbacks.{name}.enabled")
        for name in ("solved", "early_stopping", "weight_averaging", "weight_noise", "samples", "gradient_flow")
    ),
    Rule(Callbacks, "checkpoint.mode", lambda c: c.callbacks.checkpoint.monitor is not None,
         "callbacks.checkpoint.monitor=null", "callbacks.checkpoint.monitor=METRIC", ("min",), quiet=True),
    Rule(Callbacks, "samples.length", lambda c: bool(c.callbacks.samples.prompts and c.callbacks.samples.temperatures),
         "no prompt or no temperature", "callbacks.samples.prompts and callbacks.samples.temperatures"),
    Rule(Callbacks, "samples.greedy_length", lambda c: c.callbacks.samples.num_greedy > 0,
         "callbacks.samples.num_greedy=0", "callbacks.samples.num_greedy=1 or more"),
)
# fmt: on
