"""List the keys of the built-in data and tasks that have an effect only together with others.

A key that stands in no rule always has an effect, or the schema itself refuses it where it has none.
"""

from typing import Any

from lightning_dl2.builtin.graph_data import (
    GENERATED,
    HETEROPHILOUS,
    PLANAR_SAT,
    PLANETOID,
    TU_ORDER,
    TU_SETS,
    GraphData,
    GraphSetData,
    NodeData,
)
from lightning_dl2.builtin.graph_formats import OWN_GRAPH_SETS, OWN_GRAPHS
from lightning_dl2.builtin.sequence_data import SequenceData
from lightning_dl2.builtin.sequence_file import SequenceFileData
from lightning_dl2.builtin.task import GraphNet, RecurrentTask, SequenceReader, TextGenerator
from lightning_dl2.builtin.text_data import TextData
from lightning_dl2.common.dotted import find_callable, is_dotted, parameters_of
from lightning_dl2.config.schema import Config
from lightning_dl2.config.schema.effect_rules import Rule, needs, needs_switch
from lightning_dl2.config.schema.targets import SEVERAL

ATTENTION = ("gat", "gatv2")
EDGES = ("gine", "gatedgcn")  # the layers that read features of edges
WEIGHTS = ("gcn", "gcnii", "sage", "gat", "gatv2", "gin", "rgcn")  # the layers that read weights of edges
# By which names the constructor of an own layer takes what a key says. An attribute of its class goes before.
HEADS, EDGE_FEATS = ("heads", "num_heads"), ("edge_feats", "edge_dim")
ATTENTION_DROPOUT = ("attention_dropout", "attn_drop")
FROM_TU = ("tu", *TU_SETS)  # may be read from files of the TU format
WITHOUT_EDGE_FEATURES = (*GENERATED, *PLANETOID, *HETEROPHILOUS, *PLANAR_SAT)

# Texts of several rules.
LAYER, LAYERS = "task.num_layers=1", "task.num_layers=2 or more"
ALONE, NOT_ALONE = f"{LAYER} and task.output_layer=none", f"{LAYERS}, or an output layer"


def _alone(config: Any) -> bool:
    """Tell whether the only convolution gives the logits: nothing comes between or after convolutions."""
    return config.task.num_layers == 1 and config.task.output_layer == "none"


def _takes(part: str, *arguments: str, attribute: str = "") -> bool:
    """Tell whether a part of the user's own, named by its dotted path, has the attribute or takes an argument."""
    if not is_dotted(part):
        return False
    kind = find_callable(part)
    return bool(getattr(kind, attribute, parameters_of(kind).keys() & {*arguments}))


def _attends(config: Any) -> bool:
    return config.task.layer in ATTENTION or _takes(config.task.layer, *HEADS, attribute="attention")


def _reads_edges(config: Any) -> bool:
    return config.task.layer in EDGES or _takes(config.task.layer, *EDGE_FEATS, attribute="reads_edges")


def _reads_weights(config: Any) -> bool:
    layer = getattr(config.task, "layer", None)
    return layer in WEIGHTS or (isinstance(layer, str) and _takes(layer, attribute="reads_weights"))


def _has_positions(config: Any) -> bool:
    data = config.data
    return not isinstance(data, NodeData | GraphSetData) or data.positional.size > 0  # of own data nothing is known


def _has_graph_labels(config: Any) -> bool:
    data = config.data
    return data.level == "graph" if isinstance(data, GraphSetData) else not isinstance(data, GraphData)


def _may_be(config: Any, *kinds: str) -> bool:
    """Tell whether the target is of one of these kinds; of own data nobody knows."""
    return not isinstance(config.data, GraphData) or config.data.target_kind in kinds


def _has_pairs(config: Any) -> bool:
    data = config.data
    return data.level != "node" if isinstance(data, NodeData) else not isinstance(data, GraphData)


def _named(config: Any) -> str | None:
    return config.data.name if isinstance(config.data, GraphData) else None


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
    Rule(SequenceData, "batches_per_epoch", lambda c: c.data.training_size is None,
         "data.training_size={data.training_size} (an epoch reads each sequence once)", "data.training_size=null"),
    Rule(SequenceData, "length_test_size", lambda c: bool(c.data.test_lengths),
         "data.test_lengths=[]", "data.test_lengths=[N,...]"),
    Rule(SequenceFileData, "tokens", lambda c: not (c.data.path or "").endswith(".npz"),
         "data.path={data.path} (which has no texts)", "a .csv, .tsv or .txt file", ("characters",)),
    Rule(TextData, "encoding", lambda c: c.data.tokens != "bytes", "data.tokens=bytes", "data.tokens=characters",
         ("auto",)),
    needs(TextData, "validation_fraction test_fraction", "data.splits", "position", off=(0,), quiet=True),
    Rule(TextData, "evaluation_warmup", lambda c: c.data.evaluation_batch_size > 1 or not _one_process(c),
         "data.evaluation_batch_size=1 (one row reads from the start)", "data.evaluation_batch_size=2 or more", (0,)),
    needs(NodeData, "undirected repeated_edges", "data.name", *OWN_GRAPHS, off=(True, "merge")),
    needs(NodeData, "label labels", "data.name", *OWN_GRAPHS, off=(None,)),
    needs(NodeData, "types.*", "data.name", *OWN_GRAPHS, off=(None,)),
    needs(NodeData, "features.*", "data.name", *OWN_GRAPHS, off=(False, "none", None, [])),
    needs(NodeData, "train_per_class validation_size test_size split_sizes", "data.split", "random", off=(None,),
          quiet=True),
    Rule(NodeData, "split_seed", lambda c: c.data.split == "random" or c.data.level != "node",
         "data.split={data.split}", "data.split=random", (None,)),
    Rule(NodeData, "train_per_class validation_size test_size", lambda c: c.data.split_sizes is None,
         "data.split_sizes={data.split_sizes}", "data.split_sizes=null", (None,), quiet=True),
    Rule(NodeData, "train_per_class", lambda c: c.data.target_kind == "classification",
         "data.target={data.target} (which has no classes)", "data.split_sizes=[...]", (), quiet=True),
    Rule(NodeData, "split_index", lambda c: c.data.name in (*OWN_GRAPHS, *HETEROPHILOUS) and c.data.split == "public",
         "data={data.name} and data.split={data.split}", "a graph with several public splits", (0,)),
    needs(NodeData, "split train_per_class validation_size test_size split_sizes split_index", "data.level",
          "node", off=(None, 0), quiet=True),
    Rule(NodeData, "batch_size", lambda c: c.data.fanouts is not None or c.data.level != "node",
         "data.fanouts=null (each step sees the whole graph)", "data.fanouts=[N,...], a number a layer"),
    Rule(NodeData, "replace draw_by_weight", lambda c: c.data.fanouts is not None,
         "data.fanouts=null (nothing is drawn)", "data.fanouts=[N,...], a number a layer", (False,)),
    Rule(NodeData, "draw_by_weight", lambda c: c.data.edge_weight is not None,
         "data.edge_weight=null (the edges have no weights)", "data.edge_weight=NAME", (False,)),
    needs(NodeData, "edges.validation_share edges.test_share", "data.level", "link", "edge"),
    needs(NodeData, "edges.negatives edges.evaluation_negatives edges.hide_supervised", "data.level", "link"),
    needs(NodeData, "block_model.*", "data.name", "sbm"),
    needs(GraphSetData, "label", "data.name", *OWN_GRAPH_SETS, off=(None,)),
    Rule(GraphSetData, "undirected repeated_edges", lambda c: c.data.name in (*FROM_TU, *OWN_GRAPH_SETS),
         "data={data.name} (whose edges go both ways)", "data=tu or graph_set_file", (True, "merge")),
    needs(GraphSetData, "num_graphs min_nodes max_nodes", "data.name", "minigc", "pattern"),
    Rule(GraphSetData, "num_folds fold validation_fraction", lambda c: c.data.name != "zinc",
         "data=zinc (which has a split of its own)", "other data"),
    Rule(GraphSetData, "num_folds validation_fraction", lambda c: c.data.name not in PLANAR_SAT,
         "data={data.name} (which has ten folds and validation graphs of its own)", "other data", quiet=True),
    Rule(GraphSetData, "num_folds validation_fraction", lambda c: c.data.splits_file is None,
         "data.splits_file={data.splits_file}", "data.splits_file=null", quiet=True),
    Rule(GraphSetData, "splits_file", lambda c: c.data.path is not None or c.data.name in TU_ORDER,
         "data.path=null (whose graphs may have another order)", "data.path=DIR of the TU collection", (None,)),
    Rule(GraphSetData, "standardize", lambda c: c.data.name in (*FROM_TU, "ten_fold", *OWN_GRAPH_SETS),
         "data={data.name} (whose nodes have no numbers)", "data=enzymes, tu or graph_set_file", (False,)),
    Rule(GraphSetData, "node_attributes", lambda c: c.data.name in FROM_TU,
         "data={data.name} (which is not of the TU collection)", "data=enzymes, proteins or tu", (None,)),
)

RECURRENT = (
    Rule(RecurrentTask, "dropout", lambda c: c.task.num_layers > 1, f"{LAYER} (it acts between layers)", LAYERS, (0,)),
    Rule(RecurrentTask, "bias", lambda c: c.task.facts is None or c.task.facts.bias,
         "task.cell={task.cell} (which has none)", "another task.cell", (True,)),
    needs(RecurrentTask, "reset_after", "task.cell", "gru"),
    needs(RecurrentTask, "peephole", "task.cell", "peephole"),
    Rule(RecurrentTask, "forget_bias", lambda c: c.task.cell != "rnn",
         "task.cell=rnn (which has no gate)", "another task.cell", (None,)),
    Rule(RecurrentTask, "forget_bias", lambda c: c.task.takes_forget_bias,
         "task.cell={task.cell} (which has no forget_gate, or is a module)", "another task.cell", (None,)),
    Rule(SequenceReader, "bidirectional", lambda c: c.task.cell != "bilstm",
         "task.cell=bilstm (which reads in both directions)", "task.cell=lstm"),
    needs(SequenceReader, "embedding_size", "task.encoding", "embedding", "linear"),
    Rule(SequenceReader, "label_smoothing", lambda c: c.task.name != "sequence_regressor",
         "task=sequence_regressor (which has no classes)", "another task", (0,)),
    Rule(TextGenerator, "skip_connections", lambda c: c.task.num_layers > 1, LAYER, LAYERS, (False,)),
    Rule(TextGenerator, "locked_dropout", _drops,
         "no dropout that it could lock",
         "task.input_dropout, task.output_dropout, or task.dropout with two layers", (False,)),
)

GRAPHS = (
    Rule(GraphNet, "heads", lambda c: _attends(c) and not _alone(c),
         "task.layer={task.layer}, task.num_layers={task.num_layers}, task.output_layer={task.output_layer}",
         "task.layer=gat or gatv2, with two layers or an output layer", (1,)),
    Rule(GraphNet, "output_heads", lambda c: _attends(c) and c.task.output_layer == "none",
         "task.layer={task.layer}, task.output_layer={task.output_layer}",
         "task.layer=gat or gatv2, with task.output_layer=none", (1,)),
    Rule(GraphNet, "attention_dropout",
         lambda c: c.task.layer in ATTENTION or _takes(c.task.layer, *ATTENTION_DROPOUT),
         "task.layer={task.layer}", "task.layer=gat or gatv2", (0,)),
    Rule(GraphNet, "activation dropout residual feed_forward", lambda c: not _alone(c), ALONE, NOT_ALONE, (0,)),
    Rule(GraphNet, "norm",
         lambda c: c.task.layer in ("gin", "gine") or _takes(c.task.layer, "norm") or not _alone(c),
         ALONE, NOT_ALONE, ("none",)),
    Rule(GraphNet, "hidden_size",
         lambda c: not _alone(c) or c.task.input_layer or _reads_edges(c) or _has_positions(c),
         f"{ALONE} and task.input_layer=false", f"{NOT_ALONE}, or an input layer"),
    Rule(GraphNet, "jumping_knowledge virtual_node", lambda c: c.task.num_layers > 1, LAYER, LAYERS, ("none", False)),
    Rule(GraphNet, "input_layer", lambda c: _named(c) not in ("zinc", "ten_fold", *PLANAR_SAT),
         "data={data.name} (whose kinds of nodes always have one)", "other data", (True,)),
    Rule(GraphNet, "readout", _has_graph_labels,
         "data={data.name} (whose nodes have the labels)", "data whose graphs have the labels"),
    Rule(GraphNet, "self_loops", lambda c: c.task.layer != "mlp",
         "task.layer=mlp (which sees no edges)", "another task.layer", (None,)),
    Rule(GraphNet, "edge_features", lambda c: _reads_edges(c) and _named(c) not in WITHOUT_EDGE_FEATURES,
         "task.layer={task.layer} and data={data.name}",
         "task.layer=gine or gatedgcn, and data with features of the edges", (True,)),
    Rule(NodeData, "edge_weight", lambda c: c.data.name in OWN_GRAPHS and _reads_weights(c),
         "data={data.name} and task.layer={task.layer}",
         f"a graph of your own, with task.layer={', '.join(WEIGHTS[:-1])} or {WEIGHTS[-1]}", (None,)),
    Rule(GraphNet, "alpha", lambda c: c.task.layer == "gcnii" or _takes(c.task.layer, "alpha"),
         "task.layer={task.layer}", "task.layer=gcnii"),
    Rule(GraphNet, "lambda_", lambda c: c.task.layer == "gcnii" or _takes(c.task.layer, "lambda_"),
         "task.layer={task.layer}", "task.layer=gcnii"),
    needs(GraphNet, "decomposition num_bases", "task.layer", "rgcn", off=("none", None)),
    Rule(GraphNet, "decoder decoder_dropout embedding_size", _has_pairs,
         "data={data.name} (whose nodes or graphs have the targets)", "data.level=link or edge", ("dot", 0)),
    Rule(GraphNet, "decoder_dropout", lambda c: c.task.decoder == "mlp", "task.decoder={task.decoder}",
         "task.decoder=mlp", (0,)),
    Rule(GraphNet, "subgraph_hops", lambda c: c.task.subgraphs != "none", "task.subgraphs=none",
         "task.subgraphs=node or edge"),
    Rule(GraphNet, "class_weights", lambda c: _may_be(c, "classification", "multilabel"),
         "data={data.name} (a regression)", "data with classes", ("none",)),
    Rule(GraphNet, "metrics_by_target", lambda c: _may_be(c, *SEVERAL),
         "data={data.name} (whose items have one target)", "data.labels=[NAME,...]", (False,)),
    Rule(GraphNet, "loss standardize_targets", lambda c: _may_be(c, "regression"),
         "data={data.name} (which has no numbers to predict)", "data of a regression", ("l1", None)),
)

# fmt: on

RULES = (*DATA, *RECURRENT, *GRAPHS)
