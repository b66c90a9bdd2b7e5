"""Record what a graph network computes on the way to its answers, embeddings and attention, and write it to files.

Shapes: M nodes or graphs, H features, E edges, L layers, K attention heads.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import csv_text, replacing
from lightning_dl2.common.paths import write_to
from lightning_dl2.graphs import Graph, GraphBatch
from lightning_dl2.nets import GraphNetwork
from lightning_dl2.nets.graph.attention import EdgeSoftmax
from lightning_dl2.nets.graph.pair_network import PAIR_LEVELS
from lightning_dl2.nets.graph.sparse_linear import as_dense
from lightning_dl2.nets.graph.subgraphs import SubgraphNetwork
from lightning_dl2.resume.train_batches import BatchList


class _Edges(NamedTuple):
    """Edges of a graph by the names of their ends, and the attention weights of each layer, [E, K]."""

    src: list[str]
    dst: list[str]
    weights: list[Tensor]


class Recorder:
    """Collect embeddings and attention weights of the batches that a task predicts, and write them.

    The embedding of a node or graph is what the output layer reads; without an output layer, what the last convolution
    reads of the node itself.

    Args:
        task: of graphs.
        data: its data module.
        files: the .csv or .npz file of "embeddings", "attention", or both.

    Raises:
        UserError: the net has none of what is asked for.
    """

    def __init__(self, task: Any, data: Any, files: dict[str, Path]) -> None:
        self.net: Any = getattr(task, "net", None)
        self.data, self.files = data, files
        self._embeddings: list[Tensor] = []  # [M, H] of each batch
        self._edges: list[_Edges] = []  # likewise
        self._hidden: list[Tensor] = []  # of a batch: a piece for each chunk of nodes
        self._weights: list[tuple[Graph, Tensor]] = []
        for key, path in files.items():
            if problem := self._problem(key):
                raise UserError(f"{key}={path}: {problem}")

    def _problem(self, key: str) -> str | None:
        if not isinstance(self.net, GraphNetwork):
            return "the run has no graph network; allowed: a run of a graph_net"
        if key == "embeddings" and self.data.level in PAIR_LEVELS:
            return "the predictions are of pairs of nodes; allowed: a run whose nodes or graphs have the targets"
        if key == "attention" and not self._softmaxes:
            return f"a net of task.layer={self.net.layer} has no attention weights; allowed: a run of gat or gatv2"
        if key == "attention" and self.net.reads_relations:
            return "each relation has attention of its own; allowed: a run without task.relations=sum or mean"
        if key == "attention" and isinstance(self.net, SubgraphNetwork):
            return "each subgraph has attention of its own; allowed: a run with task.subgraphs=none"
        if key == "embeddings" and self._is_direct and len(self.net.layers) == 1:
            return "a net of one layer and no output layer has no hidden features; allowed: a run with either"
        return None

    @property
    def _is_direct(self) -> bool:
        return isinstance(self.net.output, nn.Identity)

    @property
    def _softmaxes(self) -> list[EdgeSoftmax]:
        return [module for module in self.net.modules() if isinstance(module, EdgeSoftmax)]

    def wrap(self, compute: Callable[[Any, BatchList], Any]) -> Callable[[Any, BatchList], Any]:
        """Return `compute`, which predicts the batches of a split, with each of them recorded."""

        def recorded(task: Any, batches: BatchList) -> Any:
            if "attention" in self.files:  # a chunk of nodes has a part of the edges, numbered anew
                batches = BatchList([replace(batch, chunk=None) for batch in batches])
            with self._recording(task):
                return compute(task, batches)

        return recorded

    @contextmanager
    def _recording(self, task: Any) -> Iterator[None]:
        with ExitStack() as stack:

            def hook(handle: Any) -> None:
                stack.callback(handle.remove)

            if "embeddings" in self.files and self._is_direct:
                hook(self.net.layers[-1].register_forward_pre_hook(self._read_layer))
            elif "embeddings" in self.files:
                hook(self.net.output.register_forward_pre_hook(self._read_output))
            for module in self._softmaxes if "attention" in self.files else ():
                hook(module.register_forward_hook(self._read_weights))
            hook(task.register_forward_hook(self._end_batch))
            yield

    def _read_layer(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        graph, x = inputs[:2]
        self._hidden.append(as_dense(x)[: graph.num_nodes])

    def _read_output(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._hidden.append(inputs[0])

    def _read_weights(self, module: nn.Module, inputs: tuple[Any, ...], weights: Tensor) -> None:
        self._weights.append((inputs[0], weights))

    def _end_batch(self, task: Any, inputs: tuple[Any, ...], output: Any) -> None:
        (batch,) = inputs
        if self._hidden:
            rows = torch.cat(self._hidden)
            self._embeddings.append((rows if batch.index is None else rows[batch.index]).float().cpu())
        # One graph has the same weights for each part of its nodes.
        if self._weights and (batch.index is None or not self._edges):
            graph, names = self._weights[0][0], name_nodes(self.data, batch)
            src, dst = ([names[node] for node in nodes.tolist()] for nodes in (graph.src, graph.dst))
            self._edges.append(_Edges(src, dst, [weights.float().cpu() for _, weights in self._weights]))
        self._hidden, self._weights = [], []

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Write the files, of what was recorded for the predicted `rows`.

        Raises:
            UserError: a file cannot be written.
        """
        if path := self.files.get("embeddings"):
            write_embeddings(path, rows, torch.cat(self._embeddings))
        if path := self.files.get("attention"):
            src = [name for each in self._edges for name in each.src]
            dst = [name for each in self._edges for name in each.dst]
            layers = zip(*(each.weights for each in self._edges), strict=True)
            write_attention(path, src, dst, [torch.cat(layer) for layer in layers])


def name_nodes(data: Any, batch: GraphBatch) -> list[str]:
    """Return the names of all nodes of a batch: of a graph in a set, GRAPH/NUMBER."""
    assert isinstance(batch.graphs, Graph)
    if batch.index is not None:  # one graph, of which some nodes are asked for
        return data.names(torch.arange(batch.graphs.num_nodes))
    names = data.names(batch.ids)
    if data.level == "node":
        return names
    counts = batch.graphs.batch_num_nodes.tolist()
    return [f"{name}/{number}" for name, count in zip(names, counts, strict=True) for number in range(count)]


def write_embeddings(path: Path, rows: list[dict[str, Any]], embeddings: Tensor) -> None:
    """Write the embeddings [M, H] of the predicted `rows`: arrays id, split and embeddings, or a row of a CSV for each.

    Raises:
        UserError: the file cannot be written.
    """
    ids, splits = ([row[key] for row in rows] for key in ("id", "split"))
    if path.suffix == ".npz":
        _write_npz(path, id=np.array(ids), split=np.array(splits), embeddings=embeddings.numpy())
        return
    lines = ((name, split, *row) for name, split, row in zip(ids, splits, embeddings.tolist(), strict=True))
    write_to(
        path,
        csv_text([("id", "split", *(f"h{number}" for number in range(embeddings.shape[1]))), *lines]),
        "embeddings",
    )


def write_attention(path: Path, src: list[str], dst: list[str], weights: list[Tensor]) -> None:
    """Write a row for each edge, self-loops that the net adds among them, with its weights in each layer and head.

    A .npz has src, dst, and layer1, layer2, ...: [E, K].

    Args:
        weights: of each layer, [E, K].

    Raises:
        UserError: the file cannot be written.
    """
    named = {f"layer{number}": each for number, each in enumerate(weights, start=1)}
    if path.suffix == ".npz":
        arrays = {name: each.numpy() for name, each in named.items()}
        _write_npz(path, src=np.array(src), dst=np.array(dst), **arrays)
        return
    heads = [f"{name}/head{head}" for name, each in named.items() for head in range(1, each.shape[1] + 1)]
    lines = zip(src, dst, torch.cat(weights, 1).tolist(), strict=True)
    write_to(path, csv_text([("src", "dst", *heads), *((one, other, *row) for one, other, row in lines)]), "attention")


def _write_npz(path: Path, **arrays: Any) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
