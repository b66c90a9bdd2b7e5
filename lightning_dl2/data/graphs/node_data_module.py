"""One graph whose nodes have labels, as a LightningDataModule.

Shapes: N nodes, B nodes a process and step, M nodes with a target, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.targets import Asked
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.own.reading import Features, Reading
from lightning_dl2.data.graphs.graph_data_module import STANDARDIZED, GraphDataModule, feature_widths, segment_sums
from lightning_dl2.data.graphs.load_sets import load_node_set
from lightning_dl2.data.graphs.splits import node_splits
from lightning_dl2.data.graphs.typed.in_memory import build_any_node_set
from lightning_dl2.graphs import Graph, GraphBatch, NeighborBlocks, SparseMatrix
from lightning_dl2.nets.graph.convolutions import EDGE_WEIGHT
from lightning_dl2.nets.graph.relations.split import TYPES
from lightning_dl2.resume.train_batches import rank_and_world


class NodeDataModule(GraphDataModule):
    """Serve the whole graph at each step, or with `fanouts` blocks sampled around a batch of nodes.

    Args:
        name: one of NODE_SETS, or a graph that is read already; `from_graph` makes it of one of another library.
        path: of the files; None: they are downloaded, or the graph is generated.
        undirected: read every edge of graph_csv and graph_file in both directions.
        label: name of the labels in such graphs; None: the usual one of the format.
        labels: names of several numbers or labels of each node, in place of `label`.
        target: "classification", "regression" or "multilabel", of such graphs; None: as the source says.
        edge_weight: name of the weights of edges in such graphs; None: there are none.
        types: of a graph of several types: "node" and "edge", columns that say the type, and "target", the type whose
            nodes have the targets; None: files of each type, the only type with labels.
        repeated_edges: "merge": edges of such graphs between the same two nodes are one; "keep": each counts.
        features: arguments of `Features`: which columns of such graphs are features.
        split: "public", the source's own, or "random": `train_per_class` nodes of each class, `validation_size` and
            `test_size` (None: all others).
        split_index: which of several splits of the source.
        split_seed: of a random split; None: the seed.
        split_sizes: three shares or numbers of a random split, instead of `train_per_class` and so on.
        normalize_features: divide each node's features by their sum.
        positional: kind ("none" or one of ENCODINGS) and size of a positional encoding.
        fanouts: in-neighbours sampled for each layer; None: the whole graph at each step.
        replace: draw them with replacement.
        draw_by_weight: draw them in proportion to the weights of edges, which the blocks' weights then make up for.
        batch_size: B, with fanouts.
        evaluation_chunk: evaluate layer by layer, so many nodes at once; None: in one forward pass.
        linear_baseline: fit a linear model of the nodes' own features in a test.
        block_model: arguments of stochastic_block_model, for name="sbm".
        cache_dir: for downloads; None: the user's cache directory.
        num_workers: processes that prefetch sampled blocks, which stay the same; 0: no prefetching.
        seed: of the order of training, and of a random split.
        for_run: the spec of the data of a run, whose net is to predict for this graph; it may be another one.

    Raises:
        UserError: the data are not available or damaged, or a split is impossible.
        ValueError: workers without fanouts.
    """

    level = "node"
    needs_labels = True  # of the nodes
    labels_edges = False  # the labels are those of the edges

    def __init__(
        self,
        name: str | NodeSet,
        path: str | None = None,
        *,
        undirected: bool = True,
        label: str | None = None,
        labels: Sequence[str] | None = None,
        target: Asked | None = None,
        repeated_edges: str = "merge",
        edge_weight: str | None = None,
        types: Mapping[str, str | None] | None = None,
        features: Mapping[str, Any] | None = None,
        split: str = "public",
        split_index: int = 0,
        split_seed: int | None = None,
        split_sizes: Sequence[float] | None = None,
        train_per_class: int = 20,
        validation_size: int = 500,
        test_size: int | None = None,
        normalize_features: bool = False,
        positional: dict[str, Any] | None = None,
        fanouts: list[int] | None = None,
        replace: bool = False,
        draw_by_weight: bool = False,
        batch_size: int = 1024,
        evaluation_chunk: int | None = None,
        linear_baseline: bool = True,
        block_model: dict[str, Any] | None = None,
        cache_dir: str | None = None,
        num_workers: int = 0,
        seed: int = 0,
        for_run: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if num_workers and fanouts is None:
            raise ValueError(f"num_workers={num_workers}: without fanouts each batch is the graph at hand")
        self.seed, self.chunk, self.num_workers = seed, evaluation_chunk, num_workers
        self.positional = positional or {"kind": "none", "size": 0}
        if isinstance(name, str):
            kinds: dict[str, Any] = {f"{key}_type": value for key, value in (types or {}).items()}
            reading = Reading(
                undirected=undirected,
                repeated_edges=repeated_edges,
                label=label,
                labels=labels,
                target=target,
                edge_weight=edge_weight,
                split_index=split_index,
                features=Features(**features or {}),
                **kinds,
                labelled=self.needs_labels,
                labels_edges=self.labels_edges,
                for_run=for_run,
            )
            name = load_node_set(name, path, reading=reading, block_model=block_model, cache=cache_dir)
        self.set: NodeSet = self._fit(name, for_run, path)
        self.note = self.set.note
        self.linear_baseline = linear_baseline
        sizes: dict[str, Any] = {"train_per_class": train_per_class, "test_size": test_size, "sizes": split_sizes}
        self._choose_items(split, seed if split_seed is None else split_seed, validation_size=validation_size, **sizes)
        self.normalize_features = normalize_features
        self.graph = self._graph()
        self.sampler = None if fanouts is None else self._sampler(fanouts, replace, draw_by_weight)
        self.batch_size = batch_size if self.sampler else len(self.splits.get("train", ()))
        self._moved: Graph | None = None

    @property
    def sampler_name(self) -> str | None:
        """Name the sampler whose draws the batches are; older versions had DGL's."""
        return None if self.sampler is None else type(self.sampler).__name__

    @classmethod
    def from_graph(
        cls,
        graph: Any,
        *,
        features: str | None = None,
        labels: Any = None,
        splits: Mapping[str, Any] | None = None,
        edge_features: str | None = None,
        edge_weight: str | None = None,
        target_type: str | None = None,
        target: str | None = None,
        class_names: list[str] | None = None,
        target_names: Sequence[str] | None = None,
        undirected: bool = False,
        repeated_edges: str = "merge",
        ids: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """Serve a graph in memory: a DGLGraph, a Data of PyG, a graph of networkx, or a `Graph`.

        `note` says what was added, numbered anew or not read.

        Args:
            graph: with features, labels and masks at its nodes; also a heterograph of DGL or a HeteroData of PyG,
                where each type may have features of another width, or none.
            features: name of the features, floating numbers [N, F]; None: the usual one, `feat` for DGL and networkx,
                `x` for PyG. Likewise `edge_features` (`feat`, `edge_attr`).
            labels: N class numbers or names, numbers, or labels [N, T] of 0 and 1, or their name in the graph, by
                default `label` for DGL, `y` for PyG; -1, an empty name or NaN: unknown.
            splits: masks [N] or numbers of train, val and test, or the names of the masks; None: train_mask, val_mask
                and test_mask, or a random split where there is none of them.
            target: "classification", "regression" or "multilabel"; None: classes, and an error for floating numbers.
            class_names: of the labels 0, 1, ...; None: the labels that occur.
            target_names: of T numbers or labels; None: "0", "1", ...
            undirected: add the missing direction of each edge, with the same features. Undirected edges of networkx
                always have both.
            repeated_edges: "merge": edges between the same two nodes are one; "keep": each counts.
            edge_weight: name of the weights of edges, such as `weight`; None: there are none.
            target_type: of several types, the one whose nodes have the targets; None: the only one with labels.
            ids: names of the nodes, of the target type, for `predict`; None: those of networkx, or numbers.
            options: of the constructor: split, fanouts, evaluation_chunk, seed, ...

        Raises:
            UserError: the parts of the graph do not fit together, or a split is impossible.
        """
        of_edges = {"undirected": undirected, "repeated_edges": repeated_edges, "edge_weight": edge_weight}
        found, note = build_any_node_set(
            graph,
            target_type,
            features=features,
            labels=labels,
            splits=splits,
            edge_features=edge_features,
            target=target,
            class_names=class_names,
            target_names=target_names,
            **of_edges,
            ids=ids,
        )
        notes = [note]
        if found.splits is None and "split" not in options:
            options["split"] = "random"
            notes.append("there are no masks: the split is random")
        module = cls(found, **options)
        module.note = "; ".join(filter(None, [*notes, module.note])) or None
        return module

    def _choose_items(self, split: str, seed: int, **sizes: Any) -> None:
        """Set labels and splits of the items, the nodes; the arguments are those of `node_splits`."""
        nodes = self.set
        self.labels, self.num_items, self.class_names = nodes.labels, nodes.num_nodes, nodes.class_names
        self.target, self.target_names, self.standardizes = (
            nodes.target,
            nodes.target_names,
            nodes.target == "regression",
        )
        if self.standardizes:
            self.note = "; ".join(filter(None, [self.note, STANDARDIZED]))
        if self.other is None:
            self.splits = node_splits(nodes, split, seed, **sizes)

    def _message_edges(self) -> Tensor:
        """Tell which edges of the set carry messages, bool [E]."""
        return torch.ones(len(self.set.src), dtype=torch.bool)

    def _graph(self) -> Graph:
        nodes = self.set
        ndata: dict[str, Any] = {}
        if nodes.features is not None:
            ndata["features"] = _normalized(nodes.features) if self.normalize_features else nodes.features
        kept, parts = self._message_edges(), {"features": nodes.edge_features, EDGE_WEIGHT: nodes.edge_weights}
        parts[TYPES] = nodes.edge_types
        edges = {"src": nodes.src, "dst": nodes.dst} | {name: part for name, part in parts.items() if part is not None}
        if not kept.all():
            edges = {name: part[kept] for name, part in edges.items()}
        graph = Graph(edges.pop("src"), edges.pop("dst"), nodes.num_nodes, ndata=ndata, edata=edges)
        ndata |= self._encode(graph)
        if nodes.num_node_types > 1:
            assert nodes.node_types is not None
            ndata[TYPES] = nodes.node_types
        if not ndata:
            ndata["features"] = torch.ones(nodes.num_nodes, 1)
        return graph.replace(ndata=ndata)

    def _sampler(self, fanouts: list[int], replace: bool, by_weight: bool) -> NeighborBlocks:
        weights = self.graph.edata.get(EDGE_WEIGHT)
        totals = None if weights is None else EDGE_WEIGHT
        if not by_weight:
            return NeighborBlocks(self.graph, fanouts, replace=replace, totals=totals)
        if weights is None:
            raise UserError("data.draw_by_weight=true: the edges have no weights; fix: give data.edge_weight=NAME")
        options: dict[str, Any] = {"weights": weights, "estimates": EDGE_WEIGHT, "totals": totals}
        return NeighborBlocks(self.graph, fanouts, replace=replace, **options)

    def _batch(self, items: Tensor, weight: float, step: int | None) -> GraphBatch:
        targets = self.labels[items]
        if step is not None and self.sampler:
            rank, _ = rank_and_world(self)
            seed = int(np.random.default_rng((self.seed, step, rank)).integers(2**31))
            return GraphBatch(self.sampler.sample(items, seed), targets, items, weight=weight)
        chunk = self.chunk if step is None else None
        return GraphBatch(self.graph, targets, items, index=items, weight=weight, chunk=chunk)

    def train_batch(self, step: int) -> GraphBatch:
        """Build training batch number `step` of this rank; without fanouts it has all training nodes, in order."""
        return super().train_batch(step) if self.sampler else self._share(self.splits["train"], step)

    def evaluation_batches(self, split: str) -> list[GraphBatch]:
        items = self.items(split)
        self._num_batches(split, len(items))
        return [self._share(items)]

    def transfer_batch_to_device(self, batch: GraphBatch, device: torch.device, dataloader_idx: int) -> GraphBatch:
        """Move the batch; the whole graph moves once, not with each batch."""
        if batch.graphs is not self.graph or batch.chunk is not None:
            return batch.to(device)
        if self._moved is None or self._moved.device != device:
            with torch.inference_mode(False):  # validation may come first, and training cannot use inference tensors
                self._moved = self.graph.to(device)
        return replace(batch, graphs=self._moved).to(device)

    def items(self, split: str) -> Tensor:
        """Return the numbers of the items of a split, or of "rest": the nodes of the asked type in no split."""
        found, types = super().items(split), self.set.node_types
        return found if split in self.splits or types is None else found[types[found] == self.set.target_type]

    def alone(self, number: int) -> GraphBatch:
        return replace(self._batch(torch.tensor([number]), 1.0, None), chunk=None)

    @property
    def all_names(self) -> list[str]:
        """Return the names of all nodes."""
        return self.names(torch.arange(self.set.num_nodes))

    def names(self, ids: Tensor) -> list[str]:
        return [self.set.node_ids[i] if self.set.node_ids else str(i) for i in ids.tolist()]

    def _features(self, items: Tensor) -> Tensor:
        features = self.graph.ndata.get("features")
        if features is None:
            return torch.zeros(len(items), 0)
        return features.rows(items).to_dense() if isinstance(features, SparseMatrix) else features[items]

    def _facts(self) -> dict[str, Any]:
        nodes, facts = self.set, {**feature_widths(self.graph), "node_types": 0, "edge_types": 0}
        if nodes.target_type is None or nodes.node_type_names is None:
            return facts
        types = {
            "node_types": nodes.num_node_types if nodes.num_node_types > 1 else 0,
            "edge_types": nodes.num_edge_types,
        }
        target = nodes.node_type_names[nodes.target_type]
        return facts | types | {"relation_ends": nodes.relation_ends, "target_type": target}


def _normalized(features: Tensor | SparseMatrix) -> Tensor | SparseMatrix:
    """Divide each row by its sum; rows of zeros stay."""
    if isinstance(features, Tensor):
        return features / features.abs().sum(1, keepdim=True).clamp(min=1e-12)
    counts = features.indptr.diff()
    sums = segment_sums(features.values[:, None].abs(), counts).squeeze(1).clamp(min=1e-12)
    return features.with_values(features.values / sums.repeat_interleave(counts))
