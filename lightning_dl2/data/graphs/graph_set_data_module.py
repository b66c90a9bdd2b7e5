"""Many graphs as a LightningDataModule.

Shapes: N nodes, G graphs, B graphs a process and step, M items with a target, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.targets import Asked
from lightning_dl2.data.graph_files.graph_sets import GraphSet
from lightning_dl2.data.graph_files.own.columns import standardize_nodes
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graph_files.published_folds import read_folds
from lightning_dl2.data.graphs.graph_data_module import STANDARDIZED, GraphDataModule, feature_widths, segment_sums
from lightning_dl2.data.graphs.in_memory import build_graph_set
from lightning_dl2.data.graphs.load_sets import load_graph_set
from lightning_dl2.data.graphs.splits import graph_splits
from lightning_dl2.graphs import GraphBatch, PackedGraphs
from lightning_dl2.resume.train_batches import rank_and_world


class GraphSetDataModule(GraphDataModule):
    """Serve graphs with a class, numbers or labels each, or with those of each of their nodes.

    Args:
        name: one of GRAPH_SETS, or graphs that are read already; `from_graphs` makes them of those of other libraries.
        path: of the files; None: they are downloaded, or the graphs are generated.
        label: name of the labels in graph_set_file; None: the usual one of the format.
        target: "classification", "regression" or "multilabel" in graph_set_file, the first two also in files of the TU
            format; None: as the source says.
        undirected: add missing directions of edges in graph_set_file and in files of the TU format.
        repeated_edges: "merge": edges there between the same two nodes are one; "keep": each counts.
        num_folds: number of stratified folds of a set without a split of its own.
        fold: the one to test on, from 0.
        validation_fraction: share of the other folds' graphs that validates.
        splits_file: JSON of published folds, with validation graphs of their own; None: the files' own, or drawn ones.
        node_attributes: numbers of the nodes in sets of the TU collection; None: where the files hold some.
        standardize: shift and scale each feature of the nodes to mean 0 and variance 1 over all nodes.
        positional: kind ("none" or one of ENCODINGS) and size of a positional encoding.
        batch_size: B.
        evaluation_batch_size: largest validation or test batch; does not change the metrics.
        num_graphs: of a generated set; likewise `min_nodes` and `max_nodes`.
        linear_baseline: fit a linear model of a graph's counts, or of the nodes' own features, in a test.
        cache_dir: for downloads; None: the user's cache directory.
        num_workers: processes that prefetch batches, which stay the same; 0: no prefetching.
        seed: of the order of training. The folds are the same for every seed.
        for_run: the spec of the data of a run, whose net is to predict for these graphs; they may be others.

    Raises:
        UserError: the data are not available or damaged, or the fold does not exist.
    """

    def __init__(
        self,
        name: str | GraphSet,
        path: str | None = None,
        *,
        label: str | None = None,
        target: Asked | None = None,
        undirected: bool = True,
        repeated_edges: str = "merge",
        num_folds: int = 10,
        fold: int = 0,
        validation_fraction: float = 0.1,
        splits_file: str | None = None,
        node_attributes: bool | None = None,
        standardize: bool = False,
        positional: dict[str, Any] | None = None,
        batch_size: int = 32,
        evaluation_batch_size: int = 256,
        num_graphs: int = 800,
        min_nodes: int = 10,
        max_nodes: int = 20,
        linear_baseline: bool = True,
        cache_dir: str | None = None,
        num_workers: int = 0,
        seed: int = 0,
        for_run: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.batch_size, self.evaluation_batch_size, self.seed = batch_size, evaluation_batch_size, seed
        self.num_workers = num_workers
        self.positional = positional or {"kind": "none", "size": 0}
        sizes = {"num_graphs": num_graphs, "min_nodes": min_nodes, "max_nodes": max_nodes}
        if isinstance(name, str):
            reading = Reading(
                undirected, repeated_edges, label, target=target, node_attributes=node_attributes, for_run=for_run
            )
            name = load_graph_set(name, path, sizes=sizes, cache=cache_dir, reading=reading)
            if for_run is None and name.splits is not None and fold and splits_file is None:
                raise UserError(f"data.fold={fold}: {path} has a split of its own; allowed: 0")
        if standardize and for_run is None:  # else `_fit` does it, as in training
            name = standardize_nodes(name)
        note = None
        # Folds of a file are those of the run's graphs, and not of others.
        if splits_file is not None and (for_run is None or len(name) == sum(for_run["sizes"].values())):
            splits, note = read_folds("data.splits_file", splits_file, fold, len(name))
            name = replace(name, splits=splits)
        self.set: GraphSet = self._fit(name, for_run, path)
        self.note = "; ".join(filter(None, [self.set.note, note])) or None
        self.level, self.target = self.set.level, self.set.target
        self.labels, self.num_items = self.set.labels, len(self.set.num_nodes)
        self.class_names, self.target_names = self.set.class_names, self.set.target_names
        # One number a graph, as in ZINC, has always been learnt in its own unit.
        plain = target is None and self.level == "graph" and self.labels.ndim == 1
        self.standardizes, self.linear_baseline = self.target == "regression" and not plain, linear_baseline
        if self.standardizes:
            self.note = "; ".join(filter(None, [self.note, STANDARDIZED]))
        if self.other is None:
            self.splits = graph_splits(self.set, num_folds, fold, validation_fraction)
        self.graphs = self._pack()
        self._evaluated: dict[tuple[str, int, int], list[GraphBatch]] = {}

    @classmethod
    def from_graphs(
        cls,
        graphs: Sequence[Any],
        labels: Any = None,
        splits: Mapping[str, Any] | None = None,
        *,
        level: str = "graph",
        target: str | None = None,
        class_names: list[str] | None = None,
        target_names: Sequence[str] | None = None,
        features: str | None = None,
        types: str | None = None,
        edge_features: str | None = None,
        edge_types: str | None = None,
        undirected: bool = False,
        repeated_edges: str = "merge",
        ids: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """Serve graphs in memory: DGLGraphs, Data of PyG, graphs of networkx, or those of this package.

        `note` says what was added, numbered anew or not read.

        Args:
            graphs: G of them, or pairs of a graph and its label, as DGL's data sets are.
            labels: G class numbers, names, or floating numbers of a regression, T of each or one, NaN where unknown; or
                their name in the graphs. None: the usual name, `y` for PyG, `label` or `y` for networkx.
            splits: the numbers, or masks [G], of train, val and test; None: `fold` of `num_folds` tests.
            level: "node": the labels are those of the nodes, by default `label` for DGL, `y` for PyG.
            target: "classification", "regression" or "multilabel" (labels [T] of 0 and 1); None: floating labels are a
                regression.
            class_names: of the labels 0, 1, ...; None: the labels that occur.
            target_names: of T numbers or labels; None: "0", "1", ...
            features: name of the nodes' features; None: the usual ones, `feat` for DGL and networkx, `x` for PyG.
                Whole numbers, one a node, are types, which get an embedding. Likewise `edge_features` (`feat`,
                `edge_attr`).
            types: name of the nodes' types, beside features; likewise `edge_types`.
            undirected: add the missing direction of each edge, with the same features. Undirected edges of networkx
                always have both.
            repeated_edges: "merge": edges between the same two nodes are one; "keep": each counts.
            ids: names of the graphs, for `predict`.
            options: of the constructor: num_folds, fold, batch_size, seed, ...

        Raises:
            UserError: the graphs do not fit together, or have no labels.
        """
        found, note = build_graph_set(
            graphs,
            labels,
            splits,
            level=level,
            target=target,
            class_names=class_names,
            target_names=target_names,
            features=features,
            types=types,
            edge_features=edge_features,
            edge_types=edge_types,
            undirected=undirected,
            repeated_edges=repeated_edges,
            ids=ids,
        )
        module = cls(found, **options)
        module.note = "; ".join(filter(None, [note, module.note])) or None
        return module

    def _pack(self) -> PackedGraphs:
        graphs = self.set
        nodes = {"types": graphs.node_types, "features": graphs.node_features}
        edges = {"types": graphs.edge_types, "features": graphs.edge_features}
        ndata, edata = ({k: v for k, v in data.items() if v is not None} for data in (nodes, edges))
        shape = graphs.src, graphs.dst, graphs.num_nodes, graphs.num_edges
        ndata |= self._encode(PackedGraphs(*shape))
        if not ndata:
            ndata["features"] = torch.ones(int(graphs.num_nodes.sum()), 1)
        return PackedGraphs(*shape, ndata=ndata, edata=edata)

    @cached_property
    def _first_node(self) -> Tensor:
        """Return the first node of each graph, int64 [G]."""
        return self.set.num_nodes.cumsum(0) - self.set.num_nodes

    def _nodes(self, items: Tensor) -> Tensor:
        """Return the nodes of these graphs, graph after graph."""
        counts = self.set.num_nodes[items]
        ends = counts.cumsum(0)
        within = torch.arange(int(ends[-1])) - (ends - counts).repeat_interleave(counts)
        return self._first_node[items].repeat_interleave(counts) + within

    def _batch(self, items: Tensor, weight: float, step: int | None) -> GraphBatch:
        ids = items if self.level == "graph" else self._nodes(items)
        return GraphBatch(self.graphs.batch(items), self.labels[ids], ids, weight=weight)

    def _count(self, items: Tensor) -> int:
        return len(items) if self.level == "graph" else int(self.set.num_nodes[items].sum())

    def _labels(self, items: Tensor) -> Tensor:
        return self.labels[items if self.level == "graph" else self._nodes(items)]

    def evaluation_batches(self, split: str) -> list[GraphBatch]:
        key = (split, *rank_and_world(self))
        if key not in self._evaluated:  # a fixed set: collated once
            num_batches = self._num_batches(split, self.evaluation_batch_size)
            with torch.inference_mode(False):  # later evaluations may need gradients
                self._evaluated[key] = [self._share(items) for items in self.items(split).tensor_split(num_batches)]
        return self._evaluated[key]

    def alone(self, number: int) -> GraphBatch:
        if self.level == "graph":
            return self._batch(torch.tensor([number]), 1.0, None)
        graph = int(torch.searchsorted(self._first_node, number, right=True)) - 1
        at = torch.tensor([number - int(self._first_node[graph])])
        batch = self._batch(torch.tensor([graph]), 1.0, None)
        return replace(batch, targets=batch.targets[at], ids=batch.ids[at], index=at)

    def names(self, ids: Tensor) -> list[str]:
        graph_ids = self.set.graph_ids or [str(i) for i in range(len(self.set.num_nodes))]
        if self.level == "graph":
            return [graph_ids[i] for i in ids.tolist()]
        graphs = torch.searchsorted(self._first_node, ids, right=True) - 1
        within = ids - self._first_node[graphs]
        return [f"{graph_ids[g]}/{i}" for g, i in zip(graphs.tolist(), within.tolist(), strict=True)]

    def _features(self, items: Tensor) -> Tensor:
        """Return a node's own features, or a graph's sums of them and its numbers of nodes and edges by type."""
        whole = self.set
        count = int(whole.num_nodes.sum())
        parts = [torch.zeros(count, 0)]
        if whole.node_types is not None:
            parts.append(torch.nn.functional.one_hot(whole.node_types, whole.num_node_types).float())
        if whole.node_features is not None:
            parts.append(whole.node_features)
        nodes = torch.cat(parts, 1)
        if self.level == "node":
            return nodes[self._nodes(items)]
        sums = segment_sums(nodes, whole.num_nodes)
        columns = [sums, whole.num_nodes[:, None].float(), whole.num_edges[:, None].float()]
        if whole.edge_types is not None:
            kinds = torch.nn.functional.one_hot(whole.edge_types, whole.num_edge_types).float()
            columns.append(segment_sums(kinds, whole.num_edges))
        return torch.cat(columns, 1)[items]

    def _facts(self) -> dict[str, Any]:
        return {
            **feature_widths(self.graphs),
            "node_types": self.set.num_node_types if self.set.node_types is not None else 0,
            "edge_types": self.set.num_edge_types if self.set.edge_types is not None else 0,
        }
