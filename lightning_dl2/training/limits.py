"""Refuse sizes that do not fit in this machine's memory, before minutes are lost.

Each number of bytes is a lower bound: a size that is refused cannot fit, another one may still be too large.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.overrides import flatten, format_override
from lightning_dl2.config.schema import (
    Config,
    GraphNet,
    GraphSetData,
    NodeData,
    SequenceClassifier,
    SequenceData,
    TextData,
    TextGenerator,
)
from lightning_dl2.config.schema.effect_rules import ATTENTION

CGROUP = Path("/sys/fs/cgroup/memory.max")  # of a container or a job
WORD = 8  # bytes of an integer
NUMBER = 4  # bytes of a float
GATES = 4  # numbers that a gated cell keeps of each unit for the gradient, at least


def machine_memory() -> int:
    """Return the bytes of memory that this process may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # the file does not exist, or says max
        memory = min(memory, int(CGROUP.read_text("utf-8")))
    return memory


def check_data(config: Config, on_gpu: bool) -> None:
    """Raise UserError, before data are made or read, where they, or the states of one batch, cannot fit.

    Args:
        on_gpu: whether the batches are on a GPU, which has a memory of its own.
    """
    data = config.data
    if isinstance(data, SequenceData):
        keys = "data.validation_size data.test_size data.sequence_length"
        sets = data.validation_size + data.test_size
        _refuse(config, "the validation and test sets", keys, sets * data.sequence_length * NUMBER)
    elif isinstance(data, NodeData):
        if data.name == "sbm":
            model = data.block_model
            size = model.num_nodes * (model.num_feats * NUMBER + model.average_degree * 2 * WORD)
            keys = " ".join(f"data.block_model.{key}" for key in ("num_nodes", "num_feats", "average_degree"))
            _refuse(config, "the graph", keys, size)
    elif isinstance(data, GraphSetData) and data.name in ("minigc", "pattern"):
        nodes = (data.min_nodes + data.max_nodes) // 2
        edges = data.num_graphs * nodes * max(1, nodes // 8)  # one of eight kinds of graphs is complete
        _refuse(config, "the graphs", "data.num_graphs data.min_nodes data.max_nodes", edges * 2 * WORD)
    if not on_gpu and not isinstance(config.task, GraphNet):
        _check_batches(config, config.task.num_layers * (1 if config.task.cell == "rnn" else GATES))


def _check_batches(config: Config, kept: int) -> None:
    """Check a training batch, of which a recurrent net keeps so many states a token, and an evaluation batch."""
    data = config.data
    if isinstance(data, SequenceData):
        length = data.sequence_length
        rows = min(data.evaluation_batch_size, max(data.validation_size, data.test_size))
        _check_batch(config, "an evaluation batch", "data.evaluation_batch_size", rows * length, states=1)
        tokens = data.batch_size * length
        if data.curriculum.enabled and data.curriculum.tokens_per_batch:
            least = data.curriculum.minimum_batch_size * length
            tokens = min(tokens, max(data.curriculum.tokens_per_batch, least))
        _check_batch(config, "a training batch", "data.batch_size", tokens, states=kept)
    elif isinstance(data, TextData):
        tokens = data.batch_size * data.sequence_length
        _check_batch(config, "a training batch", "data.batch_size", tokens, states=kept)


def check_net(config: Config, spec: dict[str, Any], on_gpu: bool) -> None:
    """Raise UserError where the net and its gradients cannot fit.

    Args:
        spec: `datamodule.spec`.
    """
    if isinstance(config.task, GraphNet):
        keys, count = "task.hidden_size task.num_layers task.heads", _graph_parameters(config.task, spec)
    else:
        keys, count = "task.hidden_size task.num_layers", _recurrent_parameters(config.task, spec)
        keys += " task.embedding_size"
        if isinstance(config.data, TextData):
            keys += " task.projection_size task.ensemble_size"
            longest, outputs = max(spec["num_tokens"].values()), spec["vocabulary_size"]
            tokens = min(config.data.evaluation_batch_size, longest) * min(config.data.cold_window, longest)
            if not on_gpu:
                key = "data.evaluation_batch_size"
                _check_batch(config, "an evaluation batch", key, tokens, states=1, outputs=outputs)
    _refuse(config, f"a net of {count:,} parameters and its gradients", keys, 2 * NUMBER * count)


def _recurrent_parameters(task: SequenceClassifier | TextGenerator, spec: dict[str, Any]) -> int:
    from lightning_dl2.nets.recurrent.cells import count_parameters

    vocabulary = spec["vocabulary_size"]
    forms: dict[str, Any] = {"bias": task.bias, "reset_after": task.reset_after, "peephole": task.peephole}
    if isinstance(task, TextGenerator):
        embedding = task.embedding_size or task.hidden_size
        core = count_parameters(task.cell, embedding, task.hidden_size, task.num_layers, **forms)["total"]
        read = task.hidden_size * (task.num_layers if task.skip_connections else 1)
        features = task.projection_size or read
        projection = read * features if task.projection_size else 0
        return task.ensemble_size * (vocabulary * (embedding + features) + core + projection)
    cell, both = ("lstm", True) if task.cell == "bilstm" else (task.cell, task.bidirectional)
    inputs = {"embedding": task.embedding_size, "one_hot": vocabulary, "scalar": 1}[task.encoding]
    table = vocabulary * inputs if task.encoding == "embedding" else 0
    return (
        table + count_parameters(cell, inputs, task.hidden_size, task.num_layers, bidirectional=both, **forms)["total"]
    )


def _graph_parameters(task: GraphNet, spec: dict[str, Any]) -> int:
    wide = task.layer in ATTENTION and task.output_layer == "none"
    width = task.hidden_size * (task.heads if wide else 1)
    first = spec["in_feats"] * (width if task.num_layers > 1 or task.output_layer != "none" else 1)
    return first + max(0, task.num_layers - 2) * width * width


def _check_batch(config: Config, what: str, key: str, tokens: int, *, states: int, outputs: int = 0) -> None:
    """Refuse a batch of which a recurrent net keeps too much: a number a token and unit, in training for each gate."""
    length = "data.cold_window" if isinstance(config.data, TextData) and "evaluation" in key else "data.sequence_length"
    size = tokens * (WORD + (outputs + states * config.task.hidden_size) * NUMBER)
    _refuse(config, what, f"{key} {length} task.hidden_size task.num_layers", size)


def _refuse(config: Config, what: str, keys: str, size: float) -> None:
    memory = machine_memory()
    if size <= memory:
        return
    values = flatten(config.model_dump())
    shown = ", ".join(f"{key}={format_override(values[key])}" for key in keys.split() if key in values)
    needs = f"{what} would take {_gigabytes(size)} or more, this machine has {_gigabytes(memory)}"
    raise UserError(f"{shown}: {needs}; fix: use smaller numbers")


def _gigabytes(size: float) -> str:
    return f"{size / 2**30:,.3g} GiB" if size < 2**40 else f"{size / 2**40:,.3g} TiB"
