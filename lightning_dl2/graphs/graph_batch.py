"""One batch of a graph data module: graphs and targets."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.graphs.graph import Graph


@dataclass(eq=False, repr=False)  # not frozen, or Lightning would refuse it with precision=64
class GraphBatch:
    """Graphs with targets. Shapes: M nodes or graphs that have a target.

    Args:
        graphs: one graph (or many in one), or the sampled blocks of each layer.
        targets: int64 [M], classes; float32 [M], numbers, or 1 for a link and 0 for none.
        ids: int64 [M], the node or graph of the data that each target belongs to.
        index: int64 [M], the rows of the net's output that have a target; None: all, in order. If the targets are those
            of pairs of nodes, the rows of both ends, [M, 2].
        weight: of this rank's mean loss in the mean over the ranks: M times their number, over the sum of their M.
        all_known: whether no target is unknown, so that the loss need not ask a GPU for those that are.
        chunk: evaluate layer by layer, so many nodes at once; None: all at once.
    """

    graphs: Graph | list[Graph]
    targets: Tensor
    ids: Tensor
    index: Tensor | None = None
    weight: float = 1.0
    chunk: int | None = None
    all_known: bool = False

    def to(self, device: torch.device, non_blocking: bool = False) -> "GraphBatch":
        """Move to `device`; a graph that is evaluated in chunks stays where it is."""
        return self._map(lambda value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "GraphBatch":
        """Copy to page-locked memory."""
        return self._map(lambda value: value.pin_memory())

    def _map(self, function: Callable[[Any], Any]) -> "GraphBatch":
        graphs = self.graphs
        if isinstance(graphs, list):
            graphs = [function(block) for block in graphs]
        elif self.chunk is None:
            graphs = function(graphs)
        index = None if self.index is None else function(self.index)
        return replace(self, graphs=graphs, targets=function(self.targets), ids=function(self.ids), index=index)

    def __len__(self) -> int:
        return len(self.targets)
