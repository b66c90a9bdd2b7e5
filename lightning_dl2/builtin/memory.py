"""Bound from below the memory that the built-in data and tasks need: one that is refused cannot fit."""

from collections.abc import Iterator
from typing import Any

from lightning_dl2.builtin.cells import BILSTM
from lightning_dl2.builtin.effect_rules import ATTENTION
from lightning_dl2.builtin.graph_data import GraphSetData, NodeData
from lightning_dl2.builtin.sequence_data import SequenceData
from lightning_dl2.builtin.sequence_file import SequenceFileData
from lightning_dl2.builtin.task import GraphNet, RecurrentTask, TextGenerator
from lightning_dl2.builtin.text_data import TextData
from lightning_dl2.config.schema.component import Demand
from lightning_dl2.config.schema.run import Config

WORD = 8  # bytes of an integer
NUMBER = 4  # bytes of a float


def data_demands(config: Config) -> Iterator[Demand]:
    """Yield what the data need, before they are made or read."""
    data: Any = config.data
    if isinstance(data, SequenceData):
        keys = "data.validation_size data.test_size data.sequence_length"
        sets = data.validation_size + data.test_size + (data.training_size or 0)
        tokens = sets * data.sequence_length + data.length_test_size * sum(data.test_lengths)
        yield Demand("the validation and test sets", keys, tokens * NUMBER)
    elif isinstance(data, NodeData):
        if data.name == "sbm":
            model = data.block_model
            size = model.num_nodes * (model.num_feats * NUMBER + model.average_degree * 2 * WORD)
            keys = " ".join(f"data.block_model.{key}" for key in ("num_nodes", "num_feats", "average_degree"))
            yield Demand("the graph", keys, size)
    elif isinstance(data, GraphSetData) and data.name in ("minigc", "pattern"):
        nodes = (data.min_nodes + data.max_nodes) // 2
        edges = data.num_graphs * nodes * max(1, nodes // 8)  # one of eight kinds of graphs is complete
        yield Demand("the graphs", "data.num_graphs data.min_nodes data.max_nodes", edges * 2 * WORD)


def batch_demands(config: Config) -> Iterator[Demand]:
    """Yield what a training batch, of whose tokens a recurrent net keeps states, and an evaluation batch need."""
    data, task = config.data, config.task
    if not isinstance(task, RecurrentTask):
        return
    kept = task.num_layers * _kept(task)
    if isinstance(data, SequenceData):
        length = data.sequence_length
        rows = min(data.evaluation_batch_size, max(data.validation_size, data.test_size))
        yield _batch(config, "an evaluation batch", "data.evaluation_batch_size", rows * length, states=1)
        tokens = data.batch_size * length
        if data.curriculum.enabled and data.curriculum.tokens_per_batch:
            least = data.curriculum.minimum_batch_size * length
            tokens = min(tokens, max(data.curriculum.tokens_per_batch, least))
        yield _batch(config, "a training batch", "data.batch_size", tokens, states=kept)
    elif isinstance(data, TextData):
        tokens = data.batch_size * data.sequence_length
        yield _batch(config, "a training batch", "data.batch_size", tokens, states=kept)


def net_demands(config: Config, spec: dict[str, Any], on_gpu: bool) -> Iterator[Demand]:
    """Yield what the net and its gradients need.

    Args:
        spec: `datamodule.spec`.
        on_gpu: whether batches are on a GPU, which has a memory of its own.
    """
    task: Any = config.task
    if isinstance(task, GraphNet):
        keys, count = "task.hidden_size task.num_layers task.heads", _graph_parameters(task, spec)
    else:
        keys, count = "task.hidden_size task.num_layers", _recurrent_parameters(task, spec)
        keys += " task.embedding_size"
        if isinstance(config.data, TextData):
            keys += " task.projection_size task.ensemble_size"
            longest, outputs = max(spec["num_tokens"].values()), spec["vocabulary_size"]
            tokens = min(config.data.evaluation_batch_size, longest) * min(config.data.cold_window, longest)
            if not on_gpu:
                key = "data.evaluation_batch_size"
                yield _batch(config, "an evaluation batch", key, tokens, states=1, outputs=outputs)
        elif isinstance(config.data, SequenceFileData) and not on_gpu:
            rows = min(config.data.batch_size, spec["sizes"]["train"])
            states = task.num_layers * _kept(task)
            yield _batch(config, "a training batch", "data.batch_size", rows * spec["sequence_length"], states=states)
    yield Demand(f"a net of {count:,} parameters and its gradients", keys, 2 * NUMBER * count)


def _kept(task: RecurrentTask) -> int:
    """Return the numbers kept of each unit and step for the gradient; of a user's cell, the state alone is known."""
    return 1 if task.facts is None else task.facts.kept


def _recurrent_parameters(task: Any, spec: dict[str, Any]) -> int:
    from lightning_dl2.nets.recurrent.lookup import count_parameters

    vocabulary: int = spec["features"] if "features" in spec else spec["vocabulary_size"]
    forms: dict[str, Any] = {"bias": task.bias, "reset_after": task.reset_after, "peephole": task.peephole}
    if isinstance(task, TextGenerator):
        embedding = task.embedding_size or task.hidden_size
        core = count_parameters(task.cell, embedding, task.hidden_size, task.num_layers, **forms)["total"]
        read = task.hidden_size * (task.num_layers if task.skip_connections else 1)
        features = task.projection_size or read
        projection = read * features if task.projection_size else 0
        return task.ensemble_size * (vocabulary * (embedding + features) + core + projection)
    cell, both = ("lstm", True) if task.cell == BILSTM else (task.cell, task.bidirectional)
    inputs = {"one_hot": vocabulary, "none": vocabulary, "scalar": 1}.get(task.encoding, task.embedding_size)
    table = vocabulary * inputs if task.encoding in ("embedding", "linear") else 0
    return (
        table + count_parameters(cell, inputs, task.hidden_size, task.num_layers, bidirectional=both, **forms)["total"]
    )


def _graph_parameters(task: GraphNet, spec: dict[str, Any]) -> int:
    wide = task.layer in ATTENTION and task.output_layer == "none"
    width = task.hidden_size * (task.heads if wide else 1)
    first = spec["in_feats"] * (width if task.num_layers > 1 or task.output_layer != "none" else 1)
    return first + max(0, task.num_layers - 2) * width * width


def _batch(config: Config, what: str, key: str, tokens: int, *, states: int, outputs: int = 0) -> Demand:
    """Bound a batch of which a recurrent net keeps a number a token and unit, in training for each gate."""
    task: Any = config.task
    length = "data.cold_window" if isinstance(config.data, TextData) and "evaluation" in key else "data.sequence_length"
    size = tokens * (WORD + (outputs + states * task.hidden_size) * NUMBER)
    return Demand(what, f"{key} {length} task.hidden_size task.num_layers", size)
