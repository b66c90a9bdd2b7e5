"""Base of the data modules whose items are pairs of nodes of one graph.

Shapes: P items, M items of a batch, E directed edges.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graphs.node_data_module import NodeDataModule
from lightning_dl2.graphs import Graph, GraphBatch
from lightning_dl2.resume.train_batches import rank_and_world

SPLIT, HELD_OUT, TRAINING, BLOCKS = range(4)  # streams of random numbers of a seed
SHARES = {"validation_share": 0.05, "test_share": 0.1}  # of Kipf and Welling (2016), arXiv:1611.07308


class PairDataModule(NodeDataModule):
    """Serve pairs of nodes with the graph that carries the messages.

    A batch has the whole graph, or blocks around the ends of its items; `index` [M, 2] names both ends. A subclass sets
    `pairs`, `labels`, `splits` and what else an item needs in `_choose_items`.

    Args:
        name, path, for_run, options: see `NodeDataModule`; `split`, `train_per_class`, `validation_size` and
            `test_size` have no effect. `batch_size` counts items.
        edges: of the subclass; what it lacks has its default.
    """

    pairs: Tensor  # int64 [P, 2], the ends of each item
    directed: bool  # whether the order of the ends counts
    items_note: str  # how many there are

    def __init__(
        self,
        name: Any,
        path: str | None = None,
        *,
        edges: dict[str, Any] | None = None,
        batch_size: int = 1024,
        for_run: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.edges, self.wanted_batch_size = self.defaults() | (edges or {}), batch_size
        super().__init__(name, path, batch_size=batch_size, for_run=for_run, **options)
        self.batch_size = batch_size
        self.note = "; ".join(filter(None, (self.note, self.items_note)))
        if self.other is not None and for_run is not None and for_run["directed"] != self.directed:
            kinds = ["directed" if directed else "undirected" for directed in (self.directed, for_run["directed"])]
            self.other += f"; these edges are {kinds[0]}, and those of the run {kinds[1]}"

    def ask(self, pairs: Tensor) -> str | None:
        """Take other pairs of nodes, int64 [M, 2], as the items, in no split; return a note of what the net sees.

        Their targets are those of the data, as far as they are known.
        """
        self.pairs, self.num_items, self.splits = pairs, len(pairs), {}
        self.labels = self._labels_of(pairs)
        return None

    def _labels_of(self, pairs: Tensor) -> Tensor:
        """Return the targets of any pairs."""
        raise NotImplementedError

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Describe the data for the model in plain values, which every checkpoint holds."""
        return super().spec | {"directed": self.directed}

    def _fit(self, found: Any, for_run: Mapping[str, Any] | None, path: str | None) -> Any:
        if found.relation_ends:
            raise UserError(
                f"data.level={self.level}: the graph has {len(found.relation_ends)} relations; allowed: node"
            )
        return super()._fit(found, for_run, path)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the defaults of `edges`."""
        return dict(SHARES)

    def train_batch(self, step: int) -> GraphBatch:
        """Build training batch number `step` of this rank."""
        return super(NodeDataModule, self).train_batch(step)

    def _batch(self, items: Tensor, weight: float, step: int | None) -> GraphBatch:
        return self._pairs_batch(self.pairs[items], self.labels[items], items, weight, step)

    def _pairs_batch(
        self, pairs: Tensor, targets: Tensor, ids: Tensor, weight: float, step: int | None, hidden: Tensor | None = None
    ) -> GraphBatch:
        """Build a batch of pairs [M, 2], with the whole graph, or in training with blocks if there are fanouts.

        Args:
            hidden: of each edge of the graph, whether it carries no message: bool [E]; None: all do.
        """
        if step is None or self.sampler is None:
            graph = self.graph if hidden is None else without(self.graph, hidden)
            chunk = self.chunk if step is None else None
            return GraphBatch(graph, targets, ids, index=pairs, weight=weight, chunk=chunk)
        rank, _ = rank_and_world(self)
        seed = int(np.random.default_rng((self.seed, BLOCKS, step, rank)).integers(2**31))
        nodes, places = pairs.unique(return_inverse=True)
        numbers = None if hidden is None else hidden.nonzero().squeeze(1)
        blocks = self.sampler.sample(nodes, seed, leave_out=numbers)
        return GraphBatch(blocks, targets, ids, index=places, weight=weight)

    def transfer_batch_to_device(self, batch: GraphBatch, device: torch.device, dataloader_idx: int) -> GraphBatch:
        """Move the batch; the features move once, also where a step hides some edges."""
        graph, move = batch.graphs, super().transfer_batch_to_device
        if isinstance(graph, list) or graph is self.graph:
            return move(batch, device, dataloader_idx)
        whole = move(replace(batch, graphs=self.graph), device, dataloader_idx)
        assert isinstance(whole.graphs, Graph)
        return replace(whole, graphs=graph.replace(ndata={}).to(device).replace(ndata=whole.graphs.ndata))

    def id_columns(self, ids: Tensor) -> dict[str, list[str]]:
        """Return the names of both ends of the items of a batch."""
        return {name: self.names(ends) for name, ends in zip(("src", "dst"), self.pairs[ids].T, strict=True)}


def without(graph: Graph, hidden: Tensor) -> Graph:
    """Return the graph with the same features, but without the hidden edges, bool [E]."""
    edges = (~hidden).nonzero().squeeze(1)
    edata = {name: values[edges] for name, values in graph.edata.items()}
    found = Graph(graph.src[edges], graph.dst[edges], graph.num_nodes, edata=edata, checked=False)
    return found.replace(ndata=graph.ndata)
