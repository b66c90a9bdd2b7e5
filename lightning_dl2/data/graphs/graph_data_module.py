"""What the graph data modules share.

Shapes: B items (nodes or graphs) a process and step, F features.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.baselines import majority_share
from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet
from lightning_dl2.data.graphs.baselines import linear_accuracy, linear_error, median_error
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.graphs import Graph, GraphBatch, PackedGraphs
from lightning_dl2.graphs.positional_encodings import ENCODINGS
from lightning_dl2.resume.train_batches import TrainBatches, check_share, rank_and_world


class GraphDataModule(LightningDataModule):
    """What both kinds share: the order of the training items, the sharing out among processes, the baselines.

    Training batch k is a function of (seed, k, rank): each epoch permutes the items anew and cuts them into batches
    whose sizes differ by one at most; all ranks cut the same batch of B times their number, and each keeps its own
    items. A subclass sets the attributes and has `_batch`, `_features`, `_facts`.
    """

    set: NodeSet | GraphSet
    level: str
    target: str
    labels: Tensor  # of each item; -1: unknown, and in no split
    splits: dict[str, Tensor]  # numbers of the items
    class_names: list[str]
    num_items: int
    batch_size: int
    num_workers: int
    seed: int
    positional: dict[str, Any]
    placed_at = 0, 1  # rank and number of processes, without a Trainer
    _order: tuple[int, Tensor] | None = None  # of the last batch's epoch: its number, and the training items

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What a model must know of the data; plain values, saved in every checkpoint."""
        classifies = self.target == "classification"
        spec = {
            "level": self.level,
            "target": self.target,
            "num_outputs": len(self.class_names) if classifies else 1,
            "class_names": list(self.class_names),
            "positional": self.positional["kind"] if self.positional["size"] else None,
            "positional_size": self.positional["size"],
            "sizes": {split: len(index) for split, index in self.splits.items()},
            **self._facts(),
            "digest": self.set.digest(),
        }
        train, test = self._targets("train"), self._targets("test")
        if classifies:
            counts = torch.bincount(train, minlength=len(self.class_names))
            spec["class_shares"] = (counts / counts.sum()).tolist()
            spec["majority_baseline"] = majority_share(train.numpy(), test.numpy(), len(self.class_names))
        else:
            spec["median_baseline"] = median_error(train, test)
        return spec

    @torch.inference_mode(False)  # of the test that asks: the linear model needs gradients
    def baselines(self) -> dict[str, float]:
        """What must be beaten on the test set: always the same answer, and a linear model.

        Of a node, the linear model has the features alone: `no_graph_baseline`. Of a graph, it has counts, and among
        them the number of edges, though not where they are: `counts_baseline`.
        """
        features = {split: self._features(index) for split, index in self.splits.items()}
        targets = {split: self._targets(split) for split in SPLITS}
        linear = "counts_baseline" if self.level == "graph" else "no_graph_baseline"
        if self.target == "regression":
            error = linear_error(features, targets)
            return {"median_baseline": self.spec["median_baseline"], linear: error}
        accuracy = linear_accuracy(features, targets, len(self.class_names))
        return {"majority_baseline": self.spec["majority_baseline"], linear: accuracy}

    @property
    def batches_per_epoch(self) -> int:
        return self._num_batches("train", self.batch_size)

    def train_batch(self, step: int) -> GraphBatch:
        """Training batch number `step` of this rank."""
        epoch, number = divmod(step, self.batches_per_epoch)
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.splits["train"]))
            self._order = epoch, self.splits["train"][torch.from_numpy(order)]
        least, larger = divmod(len(self._order[1]), self.batches_per_epoch)  # the first ones have an item more
        begin = number * least + min(number, larger)
        return self._share(self._order[1][begin : begin + least + (number < larger)], step)

    def train_dataloader(self) -> TrainBatches:
        return TrainBatches(self)

    def val_dataloader(self) -> "FixedGraphBatches":
        return FixedGraphBatches(self.evaluation_batches("val"))

    def test_dataloader(self) -> "FixedGraphBatches":
        return FixedGraphBatches(self.evaluation_batches("test"))

    def evaluation_batches(self, split: str) -> list[GraphBatch]:
        """The split in order; this rank's share of it, as many batches as every other rank has."""
        raise NotImplementedError

    def items(self, split: str) -> Tensor:
        """Numbers of the items of a split; of "rest", of all that are in none."""
        if split in self.splits:
            return self.splits[split]
        left = torch.ones(self.num_items, dtype=torch.bool)
        for index in self.splits.values():
            left[index] = False
        return left.nonzero().squeeze(1)

    def names(self, ids: Tensor) -> list[str]:
        """What the data call the items of a batch."""
        raise NotImplementedError

    def check_processes(self, number: int) -> None:
        """Raises UserError if a split is too small for so many."""
        for split, items in self.splits.items():
            check_share(len(items), "items", split, number)

    def _num_batches(self, split: str, size: int) -> int:
        _, world = rank_and_world(self)
        items = len(self.items(split))
        check_share(items, "items", split, world)
        return min(-(-items // (size * world)), items // world)

    def _share(self, items: Tensor, step: int | None = None) -> GraphBatch:
        """This rank's part of the items of a step of all ranks."""
        rank, world = rank_and_world(self)
        mine = items[rank::world]
        weight = self._count(mine) * world / self._count(items)
        return self._batch(mine, weight, step)

    def _count(self, items: Tensor) -> int:
        return len(items)

    def _targets(self, split: str) -> Tensor:
        return self.labels[self.splits[split]]

    def _batch(self, items: Tensor, weight: float, step: int | None) -> GraphBatch:
        raise NotImplementedError

    def _features(self, items: Tensor) -> Tensor:
        raise NotImplementedError

    def _facts(self) -> dict[str, Any]:
        raise NotImplementedError

    def _encode(self, graphs: Graph | PackedGraphs) -> dict[str, Tensor]:
        kind, size = self.positional["kind"], self.positional["size"]
        if not size:
            return {}
        try:
            return {"positional": ENCODINGS[kind](graphs, size)}
        except ValueError as error:
            raise UserError(f"data.positional.kind={kind}: {error}; allowed: none, random_walk") from error


class FixedGraphBatches:
    """Batches in order. Not a list, which Lightning would take for one of loaders."""

    def __init__(self, batches: list[GraphBatch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[GraphBatch]:
        return iter(self.batches)


def feature_widths(data: Graph | PackedGraphs) -> dict[str, int]:
    features, edges = data.ndata.get("features"), data.edata.get("features")
    return {
        "in_feats": features.shape[1] if features is not None else 0,
        "edge_feats": edges.shape[1] if edges is not None else 0,
    }


def segment_sums(values: Tensor, counts: Tensor) -> Tensor:
    """Sums over consecutive rows: [sum of counts, F] -> [G, F]."""
    owner = torch.arange(len(counts)).repeat_interleave(counts)
    return torch.zeros(len(counts), values.shape[1]).index_add(0, owner, values)
