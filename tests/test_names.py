"""Test that every name stands in one registry, which the schema repeats without importing torch."""

from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml

from lightning_dl2.config import schema
from lightning_dl2.config.data_path import BY_HAND, FORMATS
from lightning_dl2.config.schema import effect_rules, optimizer
from lightning_dl2.config.schema.data import GENERATED, MINIMUM_LENGTH, PLANETOID, TEXTS
from lightning_dl2.config.schema.task import RecurrentTask
from lightning_dl2.data.graph_files.downloads import HASHES, URLS
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
from lightning_dl2.nets.graph.readouts import OUTPUT_LAYERS
from lightning_dl2.tasks import TASKS
from lightning_dl2.tasks.optimizers import DEFAULTS, SCHEDULES
from lightning_dl2.tasks.sequence_classifier import CELL_NAMES

ROOT = Path(__file__).parent.parent

NAMES = {
    (schema.SequenceClassifier, "cell"): CELL_NAMES,
    (schema.TextGenerator, "cell"): CELLS,
    (RecurrentTask, "peephole"): PEEPHOLES,
    (RecurrentTask, "initialization"): INITIALIZATIONS,
    (schema.SequenceClassifier, "encoding"): ENCODINGS,
    (schema.GraphNet, "layer"): LAYERS,
    (schema.GraphNet, "activation"): ACTIVATIONS,
    (schema.GraphNet, "norm"): NORMS,
    (schema.GraphNet, "jumping_knowledge"): JUMPING_KNOWLEDGE,
    (schema.GraphNet, "output_layer"): OUTPUT_LAYERS,
    (schema.GraphNet, "readout"): READOUTS,
    (schema.GraphNet, "engine"): ENGINES,
    (schema.SequenceData, "name"): SEQUENCE_TASKS,
    (schema.TextData, "name"): {*CORPORA, "text"},
    (schema.data.PositionalEncoding, "kind"): {"none", *POSITIONAL},
}


@pytest.mark.parametrize(("group", "key"), NAMES)
def test_the_schema_has_the_names_of_the_registry(group, key):
    names = get_args(group.model_fields[key].annotation)
    assert set(names) == set(NAMES[group, key]) and len(names) == len(set(names))


def test_what_the_schema_knows_of_a_name_is_what_its_registry_says():
    assert set(schema.TASKS) == set(TASKS) == {get_args(task.model_fields["name"].annotation)[0] for task in TASK_TYPES}
    assert MINIMUM_LENGTH == {name: task.minimum_length for name, task in SEQUENCE_TASKS.items()}
    assert SCHEDULES == optimizer.SCHEDULES
    assert set(effect_rules.ATTENTION) == {name for name, layer in LAYERS.items() if layer.attention}
    assert set(effect_rules.EDGES) == {name for name, layer in LAYERS.items() if layer.edges}
    assert set(URLS) == set(HASHES) and set(PLANETOID) < set(URLS)
    assert {*URLS, *BY_HAND} < {*schema.NODE_SETS, *schema.GRAPH_SETS} and set(CORPORA) < set(TEXTS)
    by_path = {*TEXTS, *schema.NODE_SETS, *schema.GRAPH_SETS} - {*CORPORA, *URLS, *GENERATED}
    assert by_path == {*FORMATS} - {"planetoid"} and {*BY_HAND} < by_path


TASK_TYPES = (schema.SequenceClassifier, schema.TextGenerator, schema.GraphNet)


def test_the_defaults_of_an_optimizer_are_those_of_its_file():
    base, adam = (yaml.safe_load((ROOT / f"conf/optimizer/{name}.yaml").read_text()) for name in ("_base", "adam"))
    assert base | {"name": adam["name"]} == DEFAULTS
    assert hasattr(torch.optim, DEFAULTS["name"])


def test_predict_knows_every_split():
    assert predict.SPLITS == (*SPLITS, "rest")
