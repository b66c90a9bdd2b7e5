"""Base of the graph data modules.

Shapes: B items (nodes or graphs) a process and step, F features, G graphs.
"""

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
from lightning_dl2.resume.train_batches import BatchList, TrainBatches, check_share, rank_and_world


class GraphDataModule(LightningDataModule):
    """Order the training items, divide them among the ranks, and compute baselines.

    Training batch k is a function of (seed, k, rank). Each epoch permutes the items anew and cuts them into batches
    whose sizes differ by one at most. All ranks cut the same batch of B times their number, and each keeps its own
    items. A subclass sets the attributes and has `_batch`, `_features` and `_facts`.
    """

    set: NodeSet | GraphSet
    level: str
    target: str
    labels: Tensor  # of each item; -1: unknown, in no split
    splits: dict[str, Tensor]  # numbers of the items
    class_names: list[str]
    num_items: int
    batch_size: int
    num_workers: int
    seed: int
    positional: dict[str, Any]
    note: str | None = None  # what a user should know of how the graphs were read
    placed_at = 0, 1  # rank and number of processes, without a Trainer
    _order: tuple[int, Tensor] | None = None  # epoch of the last batch, and its order of the training items

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Describe the data for the model in plain values, which every checkpoint holds."""
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

    @torch.inference_mode(False)  # a test runs in inference mode, but the linear model needs gradients
    def baselines(self) -> dict[str, float]:
        """Return the test metrics of the commonest or median answer, and of a linear model.

        The linear model reads a node's own features (`no_graph_baseline`), or a graph's sums and numbers of nodes and
        edges (`counts_baseline`).
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
        """Build training batch number `step` of this rank."""
        epoch, number = divmod(step, self.batches_per_epoch)
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.splits["train"]))
            self._order = epoch, self.splits["train"][torch.from_numpy(order)]
        least, larger = divmod(len(self._order[1]), self.batches_per_epoch)  # the first `larger` ones have one more
        begin = number * least + min(number, larger)
        return self._share(self._order[1][begin : begin + least + (number < larger)], step)

    def train_dataloader(self) -> TrainBatches:
        return TrainBatches(self)

    def val_dataloader(self) -> BatchList:
        return BatchList(self.evaluation_batches("val"))

    def test_dataloader(self) -> BatchList:
        return BatchList(self.evaluation_batches("test"))

    def evaluation_batches(self, split: str) -> list[GraphBatch]:
        """Return this rank's share of a split, in order; every rank has equally many batches."""
        raise NotImplementedError

    def items(self, split: str) -> Tensor:
        """Return the numbers of the items of a split, or of "rest": the items in no split."""
        if split in self.splits:
            return self.splits[split]
        left = torch.ones(self.num_items, dtype=torch.bool)
        for index in self.splits.values():
            left[index] = False
        return left.nonzero().squeeze(1)

    def count_items(self, split: str) -> int:
        """Count the items of a split, or of "rest"."""
        return len(self.items(split))

    def input_columns(self, batch: GraphBatch) -> dict[str, list[str]]:
        """Return further columns of predictions: none."""
        return {}

    def names(self, ids: Tensor) -> list[str]:
        """Return the data's own names of the items of a batch."""
        raise NotImplementedError

    def check_processes(self, number: int) -> None:
        """Raise UserError if a split is too small for so many processes."""
        for split, items in self.splits.items():
            check_share(len(items), "items", split, number)

    def _num_batches(self, split: str, size: int) -> int:
        _, world = rank_and_world(self)
        items = len(self.items(split))
        check_share(items, "items", split, world)
        return min(-(-items // (size * world)), items // world)

    def _share(self, items: Tensor, step: int | None = None) -> GraphBatch:
        """Build this rank's batch of the items of a step of all ranks."""
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


def feature_widths(data: Graph | PackedGraphs) -> dict[str, int]:
    features, edges = data.ndata.get("features"), data.edata.get("features")
    return {
        "in_feats": features.shape[1] if features is not None else 0,
        "edge_feats": edges.shape[1] if edges is not None else 0,
    }


def segment_sums(values: Tensor, counts: Tensor) -> Tensor:
    """Sum consecutive rows, `counts` [G] of them: [sum of counts, F] -> [G, F]."""
    owner = torch.arange(len(counts)).repeat_interleave(counts)
    return torch.zeros(len(counts), values.shape[1]).index_add(0, owner, values)
