"""List the keys that have an effect only together with others; `effects` applies the rules.

A key that stands in no rule always has an effect, or the schema itself refuses it where it has none. `data.cache_dir`
is left out because it makes no other run, and `logger.group` because a sweep gives it to all of its runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.config.schema import (
    PLANETOID,
    Config,
    GraphNet,
    GraphSetData,
    Logger,
    NodeData,
    Optimizer,
    SequenceClassifier,
    SequenceData,
    TextData,
    TextGenerator,
    Trainer,
)
from lightning_dl2.config.schema.base import Strict
from lightning_dl2.config.schema.callbacks import Callbacks
from lightning_dl2.config.schema.data import GENERATED
from lightning_dl2.config.schema.task import RecurrentTask

ATTENTION = ("gat", "gatv2")
FALLING = ("linear", "cosine")  # the schedules that end
EDGES = ("gine", "gatedgcn")  # the layers that read features of edges
WITHOUT_EDGE_FEATURES = (*GENERATED, *PLANETOID)

# Texts of several rules.
LAYER, LAYERS = "task.num_layers=1", "task.num_layers=2 or more"
ALONE, NOT_ALONE = f"{LAYER} and task.output_layer=none", f"{LAYERS}, or an output layer"
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


def _needs(
    kind: type[Strict], keys: str, key: str, *values: str, off: tuple[Any, ...] = (), quiet: bool = False
) -> Rule:
    """Make the rule that `keys` have an effect only while `key` has one of `values`."""
    shown = key.removesuffix(".name") if key.count(".") == 1 else key  # a user types data=csl, not data.name=csl
    why, fix = f"{shown}={{{key}}}", f"{shown}={' or '.join(values)}"
    return Rule(kind, keys, lambda config: value_of(config, key) in values, why, fix, off, quiet)


def _needs_switch(kind: type[Strict], keys: str, key: str, off: tuple[Any, ...] = (), quiet: bool = False) -> Rule:
    """Make the rule that `keys` have an effect only while `key` is true."""
    return Rule(kind, keys, lambda config: value_of(config, key), f"{key}=false", f"{key}=true", off, quiet)


def _alone(config: Any) -> bool:
    """Tell whether the only convolution gives the logits: nothing comes between or after convolutions."""
    return config.task.num_layers == 1 and config.task.output_layer == "none"


def _drops(config: Any) -> bool:
    task = config.task
    return bool(task.input_dropout or task.output_dropout or (task.dropout and task.num_layers > 1))


def _one_process(config: Config) -> bool:
    return config.trainer.devices == 1 and config.trainer.num_nodes == 1


# A rule has two lines or three: its keys and when they work; then `why`, `fix` and `off`.
# fmt: off
DATA = (
    _needs_switch(SequenceData, "curriculum.*", "data.curriculum.enabled", off=(None,), quiet=True),
    Rule(SequenceData, "curriculum.minimum_batch_size", lambda c: c.data.curriculum.tokens_per_batch is not None,
         "data.curriculum.tokens_per_batch=null", "data.curriculum.tokens_per_batch=NUMBER"),
    Rule(SequenceData, "curriculum.growth curriculum.threshold curriculum.smoothing curriculum.shortest",
         lambda c: c.data.curriculum.start < c.data.sequence_length,
         "data.curriculum.start=data.sequence_length", "a smaller data.curriculum.start"),
    _needs(TextData, "encoding", "data.tokens", "characters", off=("auto",)),
    Rule(TextData, "evaluation_warmup", lambda c: c.data.evaluation_batch_size > 1 or not _one_process(c),
         "data.evaluation_batch_size=1 (one row reads from the start)", "data.evaluation_batch_size=2 or more", (0,)),
    _needs(NodeData, "undirected", "data.name", "graph_csv", off=(True,)),
    _needs(NodeData, "train_per_class validation_size test_size", "data.split", "random", off=(None,), quiet=True),
    Rule(NodeData, "batch_size", lambda c: c.data.fanouts is not None,
         "data.fanouts=null (each step sees the whole graph)", "data.fanouts=[N,...], a number a layer"),
    _needs(NodeData, "block_model.*", "data.name", "sbm"),
    _needs(GraphSetData, "num_graphs min_nodes max_nodes", "data.name", "minigc", "pattern"),
    Rule(GraphSetData, "num_folds fold validation_fraction", lambda c: c.data.name != "zinc",
         "data=zinc (which has a split of its own)", "other data"),
)

RECURRENT = (
    Rule(RecurrentTask, "dropout", lambda c: c.task.num_layers > 1, f"{LAYER} (it acts between layers)", LAYERS, (0,)),
    _needs(RecurrentTask, "reset_after", "task.cell", "gru"),
    _needs(RecurrentTask, "peephole", "task.cell", "peephole"),
    Rule(RecurrentTask, "forget_bias", lambda c: c.task.cell != "rnn",
         "task.cell=rnn (which has no gate)", "another task.cell", (None,)),
    Rule(SequenceClassifier, "bidirectional", lambda c: c.task.cell != "bilstm",
         "task.cell=bilstm (which reads in both directions)", "task.cell=lstm"),
    _needs(SequenceClassifier, "embedding_size", "task.encoding", "embedding"),
    Rule(TextGenerator, "skip_connections", lambda c: c.task.num_layers > 1, LAYER, LAYERS, (False,)),
    Rule(TextGenerator, "locked_dropout", _drops,
         "no dropout that it could lock",
         "task.input_dropout, task.output_dropout, or task.dropout with two layers", (False,)),
)

GRAPHS = (
    Rule(GraphNet, "heads", lambda c: c.task.layer in ATTENTION and not _alone(c),
         "task.layer={task.layer}, task.num_layers={task.num_layers}, task.output_layer={task.output_layer}",
         "task.layer=gat or gatv2, with two layers or an output layer", (1,)),
    Rule(GraphNet, "output_heads", lambda c: c.task.layer in ATTENTION and c.task.output_layer == "none",
         "task.layer={task.layer}, task.output_layer={task.output_layer}",
         "task.layer=gat or gatv2, with task.output_layer=none", (1,)),
    _needs(GraphNet, "attention_dropout", "task.layer", *ATTENTION, off=(0,)),
    Rule(GraphNet, "activation dropout residual", lambda c: not _alone(c), ALONE, NOT_ALONE, (0,)),
    Rule(GraphNet, "norm", lambda c: c.task.layer in ("gin", "gine") or not _alone(c), ALONE, NOT_ALONE, ("none",)),
    Rule(GraphNet, "hidden_size",
         lambda c: not _alone(c) or c.task.input_layer or c.task.layer in EDGES or c.data.positional.size > 0,
         f"{ALONE} and task.input_layer=false", f"{NOT_ALONE}, or an input layer"),
    Rule(GraphNet, "jumping_knowledge", lambda c: c.task.num_layers > 1, LAYER, LAYERS, ("none",)),
    Rule(GraphNet, "input_layer", lambda c: c.data.name not in ("zinc", "ten_fold"),
         "data={data.name} (whose kinds of nodes always have one)", "other data", (True,)),
    Rule(GraphNet, "readout", lambda c: isinstance(c.data, GraphSetData) and c.data.level == "graph",
         "data={data.name} (whose nodes have the labels)", "data whose graphs have the labels"),
    Rule(GraphNet, "self_loops", lambda c: c.task.layer != "mlp",
         "task.layer=mlp (which sees no edges)", "another task.layer", (None,)),
    Rule(GraphNet, "edge_features", lambda c: c.task.layer in EDGES and c.data.name not in WITHOUT_EDGE_FEATURES,
         "task.layer={task.layer} and data={data.name}",
         "task.layer=gine or gatedgcn, and data with features of the edges", (True,)),
    _needs(GraphNet, "alpha lambda_", "task.layer", "gcnii"),
    Rule(GraphNet, "class_weights", lambda c: getattr(c.data, "target", "classification") == "classification",
         "data={data.name} (a regression)", "data with classes", ("none",)),
)

TRAINING = (
    _needs(Optimizer, "schedule.total_steps", SCHEDULE, *FALLING, off=(None,), quiet=True),
    _needs(Optimizer, "schedule.final_factor", SCHEDULE, *FALLING),
    _needs(Optimizer, "schedule.decay", SCHEDULE, "exponential", "plateau"),
    _needs(Optimizer, "schedule.decay_every", SCHEDULE, "exponential"),
    _needs(Optimizer, "schedule.patience schedule.mode", SCHEDULE, "plateau"),
    Rule(Optimizer, "schedule.warmup_steps", lambda c: not is_dotted(c.optimizer.schedule.name),
         "optimizer.schedule.name={optimizer.schedule.name}", "a schedule of this package", (0,)),
    Rule(Optimizer, "schedule.interval", lambda c: is_dotted(c.optimizer.schedule.name),
         "optimizer.schedule.name={optimizer.schedule.name}", "the dotted path of a schedule", ("step",)),
    Rule(Trainer, "limit_train_batches", lambda c: not c.trainer.overfit_batches,
         "trainer.overfit_batches={trainer.overfit_batches}", "trainer.overfit_batches=0", (None,)),
    _needs(Logger, "project entity run_name job_type notes tags init_timeout finish_timeout", "logger.name",
           "wandb", off=(None, []), quiet=True),
    *(
        _needs_switch(Callbacks, f"{name}.*", f"callbacks.{name}.enabled")
        for name in ("solved", "early_stopping", "weight_averaging", "samples", "gradient_flow")
    ),
    Rule(Callbacks, "samples.length", lambda c: bool(c.callbacks.samples.prompts and c.callbacks.samples.temperatures),
         "no prompt or no temperature", "callbacks.samples.prompts and callbacks.samples.temperatures"),
    Rule(Callbacks, "samples.greedy_length", lambda c: c.callbacks.samples.num_greedy > 0,
         "callbacks.samples.num_greedy=0", "callbacks.samples.num_greedy=1 or more"),
)
# fmt: on

RULES = (*DATA, *RECURRENT, *GRAPHS, *TRAINING)
