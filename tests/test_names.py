"""Test that every name stands in one registry, which the schema repeats without importing torch."""

from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml

from lightning_dl2 import builtin
from lightning_dl2.builtin import effect_rules, graph_data
from lightning_dl2.builtin.data import MINIMUM_LENGTH, TEXTS
from lightning_dl2.builtin.data_path import BY_HAND, FORMATS
from lightning_dl2.builtin.graph_data import GENERATED, PLANETOID
from lightning_dl2.builtin.task import RecurrentTask
from lightning_dl2.config.schema import optimizer
from lightning_dl2.config.schema.base import Part
from lightning_dl2.data.graph_files.downloads import HASHES, URLS
from lightning_dl2.data.graphs.load_sets import GRAPH_SETS, NODE_SETS
from lightning_dl2.data.sequences.generators import SEQUENCE_TASKS
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
from lightning_dl2.nets.graph.readouts import OUTPUT_LAYERS
from lightning_dl2.tasks.optimizers import DEFAULTS, SCHEDULES
from lightning_dl2.tasks.sequence_classifier import CELL_NAMES

ROOT = Path(__file__).parent.parent

NAMES = {
    (builtin.SequenceClassifier, "cell"): CELL_NAMES,
    (builtin.TextGenerator, "cell"): CELLS,
    (RecurrentTask, "peephole"): PEEPHOLES,
    (RecurrentTask, "initialization"): INITIALIZATIONS,
    (builtin.SequenceClassifier, "encoding"): ENCODINGS,
    (builtin.GraphNet, "layer"): LAYERS,
    (builtin.GraphNet, "activation"): ACTIVATIONS,
    (builtin.GraphNet, "norm"): NORMS,
    (builtin.GraphNet, "jumping_knowledge"): JUMPING_KNOWLEDGE,
    (builtin.GraphNet, "output_layer"): OUTPUT_LAYERS,
    (builtin.GraphNet, "readout"): READOUTS,
    (builtin.GraphNet, "engine"): ENGINES,
    (builtin.SequenceData, "name"): SEQUENCE_TASKS,
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
    assert SCHEDULES == optimizer.SCHEDULES
    assert set(effect_rules.ATTENTION) == {name for name, layer in LAYERS.items() if layer.attention}
    takes = effect_rules.HEADS, effect_rules.EDGE_FEATS, effect_rules.ATTENTION_DROPOUT
    assert takes == tuple(ALIASES[option] for option in ("heads", "edge_feats", "attention_dropout"))
    assert set(graph_data.NODE_SETS) == set(NODE_SETS) and set(graph_data.GRAPH_SETS) == set(GRAPH_SETS)
    assert set(effect_rules.EDGES) == {name for name, layer in LAYERS.items() if layer.edges}
    assert set(URLS) == set(HASHES) and set(PLANETOID) < set(URLS)
    assert {*URLS, *BY_HAND} < {*graph_data.NODE_SETS, *graph_data.GRAPH_SETS} and set(CORPORA) < set(TEXTS)
    by_path = {"sequence_file", *TEXTS, *graph_data.NODE_SETS, *graph_data.GRAPH_SETS} - {*CORPORA, *URLS, *GENERATED}
    assert by_path == {*FORMATS} - {"planetoid"} and {*BY_HAND} < by_path


def test_the_defaults_of_an_optimizer_are_those_of_its_file():
    base, adam = (yaml.safe_load((ROOT / f"conf/optimizer/{name}.yaml").read_text()) for name in ("_base", "adam"))
    assert base | {"name": adam["name"]} == DEFAULTS
    assert hasattr(torch.optim, DEFAULTS["name"])


def test_predict_knows_every_split():
    assert predict.SPLITS == (*SPLITS, "rest")
