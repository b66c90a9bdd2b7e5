"""Base of the graph data modules.

Shapes: B items (nodes or graphs) a process and step, F features, G graphs.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet
from lightning_dl2.data.graphs.baselines import KINDS
from lightning_dl2.data.other_graph import Graphs, describe_columns, fit_to_run
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.graphs import Graph, GraphBatch, PackedGraphs
from lightning_dl2.graphs.positional_encodings import ENCODINGS
from lightning_dl2.resume.train_batches import BatchList, TrainBatches, check_share, rank_and_world

STANDARDIZED = (
    "numbers are learnt less training's mean, in units of its deviation (task.standardize_targets); predictions and"
    " errors are in the unit of the targets"
)


class GraphDataModule(LightningDataModule):
    """Order the training items, divide them among the ranks, and compute baselines.

    Training batch k is a function of (seed, k, rank). Each epoch permutes the items anew and cuts them into batches
    whose sizes differ by one at most. All ranks cut the same batch of B times their number, and each keeps its own
    items. A subclass sets the attributes and has `_batch`, `_features` and `_facts`.
    """

    set: NodeSet | GraphSet
    level: str
    target: str  # one of TargetKind
    labels: Tensor  # of each item, as in its set
    splits: dict[str, Tensor]  # numbers of the items
    class_names: list[str]
    target_names: list[str]  # of several numbers or labels of an item
    standardizes = False  # whether numbers are standardised, unless the task says it
    linear_baseline: bool  # whether a test fits a linear model, too
    num_items: int
    batch_size: int
    num_workers: int
    seed: int
    positional: dict[str, Any]
    other: str | None = None  # of other graphs than those of a run: how they were fitted to the run's net
    note: str | None = None  # what a user should know of how the graphs were read
    placed_at = 0, 1  # rank and number of processes, without a Trainer
    _order: tuple[int, Tensor] | None = None  # epoch of the last batch, and its order of the training items

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Describe the data for the model in plain values, which every checkpoint holds."""
        self._check_each_is_known(self._targets("train"))
        spec = {
            "level": self.level,
            "target": self.target,
            "num_outputs": self.num_outputs,
            "class_names": list(self.class_names),
            "positional": self.positional["kind"] if self.positional["size"] else None,
            "positional_size": self.positional["size"],
            "sizes": {split: len(index) for split, index in self.splits.items()},
            **self._facts(),
            "digest": self.set.digest(),
            "parts": self.set.parts(),
            "columns": describe_columns(self.set),
        }
        if self.standardizes:
            spec["standardize_targets"] = True
        return spec | self._target_facts()

    def _target_facts(self) -> dict[str, Any]:
        """Return what the spec says of the targets alone."""
        kind = KINDS[self.target]
        names = {} if self.target == "classification" else {"target_names": list(self.target_names)}
        shared = {name: self._constants[name] for name in kind.in_spec}
        return names | kind.facts(self._targets("train"), self.num_outputs) | shared

    @cached_property
    def _constants(self) -> dict[str, float]:
        """Return the test metrics of constant answers."""
        return KINDS[self.target].constants(self._targets("train"), self._targets("test"), self.num_outputs)

    def _fit(self, found: Graphs, for_run: Mapping[str, Any] | None, path: str | None) -> Graphs:
        """Return the graphs as the net of a run reads them; if they are not those of the run, take their own splits."""
        if for_run is None:
            return found
        fitted, note = fit_to_run(found, for_run, f"data.path={path}")
        if fitted.digest() == for_run.get("digest"):
            return fitted
        if ((for_run.get("columns") or {}).get("preparation") or {}).get("identity"):
            raise UserError(
                f"data.path={path}: the net has a vector for each node that it was trained on, and none for others;"
                " allowed: the graph of the run; fix: train with data.features.identity=false"
            )
        self.other, self.splits = note, dict(fitted.splits or {})
        return fitted

    @property
    def num_outputs(self) -> int:
        """Count the classes, or the targets of an item."""
        if self.target == "classification":
            return len(self.class_names)
        return 1 if self.labels.ndim == 1 else self.labels.shape[1]

    def _check_each_is_known(self, train: Tensor) -> None:
        if self.target == "classification":
            return
        known = (~train.reshape(len(train), -1).isnan()).any(0)
        if not known.all():
            number = int((~known).nonzero()[0, 0])
            name = self.target_names[number] if self.target_names else "the target"
            raise UserError(f"data: {name} is unknown for all training items; fix: leave it out, or another split")

    @torch.inference_mode(False)  # a test runs in inference mode, but the linear model needs gradients
    def baselines(self) -> dict[str, float]:
        """Return the test metrics of constant answers, and of a linear model unless `linear_baseline` is off.

        `majority_baseline` is the class that is commonest in training (of several the first), `best_constant_baseline`
        the one that is commonest in the test. The linear model reads a node's own features (`no_graph_baseline`), or a
        graph's sums and numbers of nodes and edges (`counts_baseline`).
        """
        found = dict(self._constants)
        if self.linear_baseline:
            targets = {split: self._targets(split) for split in SPLITS}
            features = {split: self._features(index) for split, index in self.splits.items()}
            name = "counts_baseline" if self.level == "graph" else "no_graph_baseline"
            found[name] = KINDS[self.target].linear(features, targets, self.num_outputs)
        return found

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
        if split != "rest":
            return self.splits.get(split, torch.empty(0, dtype=torch.int64))  # another graph may have none of them
        left = torch.ones(self.num_items, dtype=torch.bool)
        for index in self.splits.values():
            left[index] = False
        return left.nonzero().squeeze(1)

    def count_items(self, split: str) -> int:
        """Count the items of a split, or of "rest"."""
        return len(self.items(split))

    def alone(self, number: int) -> GraphBatch:
        """Return a batch of one whole graph, with item `number` as its only target."""
        raise NotImplementedError

    def input_columns(self, batch: GraphBatch) -> dict[str, list[str]]:
        """Return further columns of predictions: none."""
        return {}

    def names(self, ids: Tensor) -> list[str]:
        """Return the data's own names of the items of a batch."""
        raise NotImplementedError

    def id_columns(self, ids: Tensor) -> dict[str, list[str]]:
        """Return the columns of predictions that name the items of a batch."""
        return {"id": self.names(ids)}

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
        known = self._count_known(mine)
        weight = known * world / max(self._count_known(items), 1)  # another graph may have none
        return replace(self._batch(mine, weight, step), all_known=known == self._labels(mine).numel())

    def _count(self, items: Tensor) -> int:
        """Count the targets of these items, by which their mean loss weighs."""
        return len(items)

    def _count_known(self, items: Tensor) -> int:
        """Count the known ones of them: without classes, an item may have several, or its nodes none."""
        return self._count(items) if self.target == "classification" else int((~self._labels(items).isnan()).sum())

    def _labels(self, items: Tensor) -> Tensor:
        return self.labels[items]

    def _targets(self, split: str) -> Tensor:
        return self._labels(self.splits[split])

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
            raise UserError(
                f"data.positional.kind={kind}: {error}; fix: lower data.positional.size, or set kind=random_walk"
            ) from error


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
