"""Test that every name stands in one registry, which the schema repeats without importing torch."""

import inspect
from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml
from pydantic import TypeAdapter

from lightning_dl2 import (
    GraphNet,
    GraphNetwork,
    GraphSetDataModule,
    LanguageModel,
    LinkDataModule,
    NodeDataModule,
    Recurrent,
    RecurrentClassifier,
    RecurrentRegressor,
    RecurrentTransducer,
    SequenceClassifier,
    SequenceDataModule,
    SequenceRegressor,
    SequenceTransducer,
    TextDataModule,
    TextGenerator,
    builtin,
)
from lightning_dl2.builtin import cells as cell_facts
from lightning_dl2.builtin import effect_rules, graph_data
from lightning_dl2.builtin.data_path import BY_HAND, FORMATS
from lightning_dl2.builtin.graph_data import GENERATED, PLANETOID
from lightning_dl2.builtin.sequence_data import MARKED_LENGTHS, MINIMUM_LENGTH, REGRESSION_LENGTHS, VECTOR_LENGTHS
from lightning_dl2.builtin.task import RecurrentTask, SequenceReader
from lightning_dl2.builtin.text_data import TEXTS
from lightning_dl2.config.schema import optimizer
from lightning_dl2.config.schema.base import Part
from lightning_dl2.data.graph_files.downloads import HASHES, URLS
from lightning_dl2.data.graphs.load_sets import GRAPH_SETS, NODE_SETS
from lightning_dl2.data.sequences.formal.registry import MARKED_TASKS, REGRESSION_TASKS
from lightning_dl2.data.sequences.generators import SEQUENCE_TASKS, VECTOR_TASKS
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.data.text.corpora import CORPORA
from lightning_dl2.graphs import ENGINES
from lightning_dl2.graphs.positional_encodings import ENCODINGS as POSITIONAL
from lightning_dl2.inference import predict
from lightning_dl2.nets import CELLS, ENCODINGS, INITIALIZATIONS, LAYERS, PEEPHOLES, READOUTS
from lightning_dl2.nets.graph.graph_layer import ACTIVATIONS
from lightning_dl2.nets.graph.network import JUMPING_KNOWLEDGE
from lightning_dl2.nets.graph.norms import NORMS
from lightning_dl2.nets.graph.own.layers import ALIASES
from lightning_dl2.nets.graph.pair_network import DECODERS, PairNetwork
from lightning_dl2.nets.graph.readouts import OUTPUT_LAYERS
from lightning_dl2.nets.recurrent.initialization import is_from_state
from lightning_dl2.nets.recurrent.lookup import find_cell
from lightning_dl2.nets.recurrent.own_cells import INPUT_LENGTH, takes
from lightning_dl2.tasks.optimizers import DEFAULTS, SCHEDULES
from lightning_dl2.tasks.sequence_reader import CELL_NAMES

ROOT = Path(__file__).parent.parent

NAMES = {
    (SequenceReader, "cell"): CELL_NAMES,
    (builtin.TextGenerator, "cell"): CELLS,
    (RecurrentTask, "peephole"): PEEPHOLES,
    (RecurrentTask, "initialization"): INITIALIZATIONS,
    (SequenceReader, "encoding"): ENCODINGS,
    (builtin.GraphNet, "layer"): LAYERS,
    (builtin.GraphNet, "activation"): ACTIVATIONS,
    (builtin.GraphNet, "norm"): NORMS,
    (builtin.GraphNet, "jumping_knowledge"): JUMPING_KNOWLEDGE,
    (builtin.GraphNet, "output_layer"): OUTPUT_LAYERS,
    (builtin.GraphNet, "readout"): READOUTS,
    (builtin.GraphNet, "engine"): ENGINES,
    (builtin.GraphNet, "decoder"): DECODERS,
    (builtin.SequenceData, "name"): SEQUENCE_TASKS,
    (builtin.MarkedSequenceData, "name"): MARKED_TASKS,
    (builtin.RegressionSequenceData, "name"): REGRESSION_TASKS,
    (builtin.VectorSequenceData, "name"): VECTOR_TASKS,
    (builtin.TextData, "name"): {*CORPORA, "text"},
    (graph_data.PositionalEncoding, "kind"): {"none", *POSITIONAL},
}


@pytest.mark.parametrize(("group", "key"), NAMES)
def test_the_schema_has_the_names_of_the_registry(group, key):
    field = group.model_fields[key]
    parts = [mark.names for mark in field.metadata if isinstance(mark, Part)]
    names = parts[0] if parts else get_args(field.annotation)
    assert set(names) == set(NAMES[group, key]) and len(names) == len(set(names))


def test_what_the_schema_knows_of_a_name_is_what_its_registry_says():
    assert MINIMUM_LENGTH == {name: task.minimum_length for name, task in SEQUENCE_TASKS.items()}
    comment = (ROOT / "conf/data/transduction.yaml").read_text(encoding="utf-8").partition("name:")[2]
    assert {*MARKED_TASKS} <= {*comment.partition("sequence_length")[0].replace("#", " ").replace("|", " ").split()}
    marked = {name: task.minimum_length for name, task in MARKED_TASKS.items()}
    assert marked == {name: least for name, (least, _) in MARKED_LENGTHS.items()}
    assert VECTOR_LENGTHS == {name: task.minimum_length for name, task in VECTOR_TASKS.items()}
    assert REGRESSION_LENGTHS == {name: task.minimum_length for name, task in REGRESSION_TASKS.items()}
    assert SCHEDULES == optimizer.SCHEDULES
    assert set(effect_rules.ATTENTION) == {name for name, layer in LAYERS.items() if layer.attention}
    takes = effect_rules.HEADS, effect_rules.EDGE_FEATS, effect_rules.ATTENTION_DROPOUT
    assert takes == tuple(ALIASES[option] for option in ("heads", "edge_feats", "attention_dropout"))
    assert set(graph_data.NODE_SETS) == set(NODE_SETS) and set(graph_data.GRAPH_SETS) == set(GRAPH_SETS)
    assert set(effect_rules.WEIGHTS) == {name for name, layer in LAYERS.items() if layer.weights}
    assert set(effect_rules.EDGES) == {name for name, layer in LAYERS.items() if layer.edges}
    assert set(URLS) == set(HASHES) and set(PLANETOID) < set(URLS)
    trained_on = {*URLS} - {"brec"}  # its pairs are compared, not trained on as a set
    assert {*trained_on, *BY_HAND} < {*graph_data.NODE_SETS, *graph_data.GRAPH_SETS} and set(CORPORA) < set(TEXTS)
    by_path = {"sequence_file", *TEXTS, *graph_data.NODE_SETS, *graph_data.GRAPH_SETS} - {*CORPORA, *URLS, *GENERATED}
    assert by_path == {*FORMATS} - {"planetoid", "heterophilous"} and {*BY_HAND} < by_path


@pytest.mark.parametrize("name", CELLS)
def test_what_the_schema_knows_of_a_cell_is_what_its_class_says(name):
    cell, facts = find_cell(name), cell_facts.CELLS[name]
    assert facts.forget_gate == (cell.forget_gate is not None)
    assert facts.drops_weights == any(is_from_state(weight) for weight in cell.shapes(3, 4))
    assert facts.reads_text == (not takes(cell, INPUT_LENGTH))
    assert facts.bias == any(weight.startswith("bias") for weight in cell.shapes(3, 4))


def test_every_cell_stands_in_the_help_and_on_its_page():
    page = (ROOT / "docs/experiments/sequences.md").read_text(encoding="utf-8")
    assert [name for name in CELL_NAMES if f"\n| `{name}` |" not in page] == []
    for task in ("_sequence_reader", "text_generator"):
        text = (ROOT / f"conf/task/{task}.yaml").read_text(encoding="utf-8").replace("#", " ")
        comment = text.partition("cell: lstm")[2].partition("hidden_size")[0].replace("|", " ").split()
        names = [name for name, facts in cell_facts.CELLS.items() if facts.reads_text or task != "text_generator"]
        assert [name for name in names if name not in comment] == []


def test_the_defaults_of_an_optimizer_are_those_of_its_file():
    base, adam = (yaml.safe_load((ROOT / f"conf/optimizer/{name}.yaml").read_text()) for name in ("_base", "adam"))
    assert base | {"name": adam["name"]} == DEFAULTS
    assert hasattr(torch.optim, DEFAULTS["name"])


def test_predict_knows_every_split():
    assert predict.SPLITS == (*SPLITS, "rest")


# Arguments of a constructor that the package passes, or that come from the data's spec: no keys of the configuration.
PASSED = {
    "self",
    "spec",
    "optimizer",
    "seed",
    "for_run",
    "kwargs",
    "net",
    "recurrent",
    "options",
    "input_size",
    "batch_first",
}
FROM_SPEC = {"vocabulary_size", "num_classes", "sequence_length", "num_outputs", "in_feats", "node_types", "edge_feats"}
FROM_SPEC |= {
    "edge_types",
    "positional",
    "positional_size",
    "level",
    "features",
    "has_unknown",
    "mean",
    "scale",
    "directed",
}


def parameters(*constructors) -> dict[str, inspect.Parameter]:
    return {name: each for kind in constructors for name, each in inspect.signature(kind).parameters.items()}


CONSTRUCTORS = {
    builtin.SequenceData: (SequenceDataModule,),
    builtin.TextData: (TextDataModule,),
    builtin.NodeData: (NodeDataModule, LinkDataModule),
    builtin.GraphSetData: (GraphSetDataModule,),
    builtin.MarkedSequenceData: (SequenceDataModule,),
    builtin.RegressionSequenceData: (SequenceDataModule,),
    builtin.SequenceRegressor: (SequenceRegressor, RecurrentClassifier, RecurrentRegressor, Recurrent),
    builtin.SequenceClassifier: (SequenceClassifier, RecurrentClassifier, Recurrent),
    builtin.SequenceTransducer: (SequenceTransducer, RecurrentTransducer, Recurrent),
    builtin.TextGenerator: (TextGenerator, LanguageModel, Recurrent),
    builtin.GraphNet: (GraphNet, PairNetwork, GraphNetwork),
}


@pytest.mark.parametrize("schema", CONSTRUCTORS, ids=lambda schema: schema.__name__)
def test_the_schema_has_the_arguments_of_the_constructor(schema):
    """A key without an argument would fail when the object is built; an argument without a key could not be set."""
    taken, is_task = parameters(*CONSTRUCTORS[schema]), issubclass(schema, builtin.BuiltInTask)
    keys = set(schema.model_fields) - ({"name"} if is_task else CHOOSES.get(schema.__name__, set()))
    assert keys - set(taken) == set()
    assert set(taken) - keys - PASSED - (FROM_SPEC if is_task else set()) == LEFT_OUT.get(schema.__name__, set())
    for key in keys & set(taken):
        default = taken[key].default
        if default is not inspect.Parameter.empty and default is not None and not isinstance(default, dict):
            adapter = TypeAdapter(schema.model_fields[key].annotation)
            adapter.validate_python(default)  # the constructor's own default is allowed


CHOOSES = {"NodeData": {"level"}}  # keys that name the class

# Arguments that no key sets, on purpose.
LEFT_OUT = {
    "SequenceClassifier": {"weight_dropout"},
    "SequenceRegressor": {"weight_dropout"},
    "SequenceTransducer": {"weight_dropout"},
    "TextGenerator": {"bidirectional"},
    "GraphNet": {"relational"},  # made of several keys
}
