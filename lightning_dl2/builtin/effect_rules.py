"""List the keys of the built-in data and tasks that have an effect only together with others.

A key that stands in no rule always has an effect, or the schema itself refuses it where it has none.
"""

from typing import Any

from lightning_dl2.builtin.data import SequenceData, TextData
from lightning_dl2.builtin.graph_data import GENERATED, PLANETOID, GraphSetData, NodeData
from lightning_dl2.builtin.task import GraphNet, RecurrentTask, SequenceClassifier, TextGenerator
from lightning_dl2.config.schema import Config
from lightning_dl2.config.schema.effect_rules import Rule, needs, needs_switch

ATTENTION = ("gat", "gatv2")
EDGES = ("gine", "gatedgcn")  # the layers that read features of edges
WITHOUT_EDGE_FEATURES = (*GENERATED, *PLANETOID)

# Texts of several rules.
LAYER, LAYERS = "task.num_layers=1", "task.num_layers=2 or more"
ALONE, NOT_ALONE = f"{LAYER} and task.output_layer=none", f"{LAYERS}, or an output layer"


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
    needs_switch(SequenceData, "curriculum.*", "data.curriculum.enabled", off=(None,), quiet=True),
    Rule(SequenceData, "curriculum.minimum_batch_size", lambda c: c.data.curriculum.tokens_per_batch is not None,
         "data.curriculum.tokens_per_batch=null", "data.curriculum.tokens_per_batch=NUMBER"),
    Rule(SequenceData, "curriculum.growth curriculum.threshold curriculum.smoothing curriculum.shortest",
         lambda c: c.data.curriculum.start < c.data.sequence_length,
         "data.curriculum.start=data.sequence_length", "a smaller data.curriculum.start"),
    needs(TextData, "encoding", "data.tokens", "characters", off=("auto",)),
    needs(TextData, "validation_fraction test_fraction", "data.splits", "position", off=(0,), quiet=True),
    Rule(TextData, "evaluation_warmup", lambda c: c.data.evaluation_batch_size > 1 or not _one_process(c),
         "data.evaluation_batch_size=1 (one row reads from the start)", "data.evaluation_batch_size=2 or more", (0,)),
    needs(NodeData, "undirected", "data.name", "graph_csv", off=(True,)),
    needs(NodeData, "train_per_class validation_size test_size", "data.split", "random", off=(None,), quiet=True),
    Rule(NodeData, "batch_size", lambda c: c.data.fanouts is not None,
         "data.fanouts=null (each step sees the whole graph)", "data.fanouts=[N,...], a number a layer"),
    needs(NodeData, "block_model.*", "data.name", "sbm"),
    needs(GraphSetData, "num_graphs min_nodes max_nodes", "data.name", "minigc", "pattern"),
    Rule(GraphSetData, "num_folds fold validation_fraction", lambda c: c.data.name != "zinc",
         "data=zinc (which has a split of its own)", "other data"),
)

RECURRENT = (
    Rule(RecurrentTask, "dropout", lambda c: c.task.num_layers > 1, f"{LAYER} (it acts between layers)", LAYERS, (0,)),
    needs(RecurrentTask, "reset_after", "task.cell", "gru"),
    needs(RecurrentTask, "peephole", "task.cell", "peephole"),
    Rule(RecurrentTask, "forget_bias", lambda c: c.task.cell != "rnn",
         "task.cell=rnn (which has no gate)", "another task.cell", (None,)),
    Rule(RecurrentTask, "forget_bias", lambda c: c.task.takes_forget_bias,
         "task.cell={task.cell} (which has no forget_gate, or is a module)", "another task.cell", (None,)),
    Rule(SequenceClassifier, "bidirectional", lambda c: c.task.cell != "bilstm",
         "task.cell=bilstm (which reads in both directions)", "task.cell=lstm"),
    needs(SequenceClassifier, "embedding_size", "task.encoding", "embedding"),
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
    needs(GraphNet, "attention_dropout", "task.layer", *ATTENTION, off=(0,)),
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
    needs(GraphNet, "alpha lambda_", "task.layer", "gcnii"),
    Rule(GraphNet, "class_weights", lambda c: getattr(c.data, "target", "classification") == "classification",
         "data={data.name} (a regression)", "data with classes", ("none",)),
)

# fmt: on

RULES = (*DATA, *RECURRENT, *GRAPHS)
