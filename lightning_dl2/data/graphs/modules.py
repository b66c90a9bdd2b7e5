"""Graphs as LightningDataModules: one graph whose nodes have labels, or many graphs.

Shapes: N nodes, G graphs, B items (nodes or graphs) a process and step, M items that are asked about, F features.
"""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet
from lightning_dl2.data.graphs.base_module import GraphDataModule
from lightning_dl2.data.graphs.neighbor_sampling import NeighborBlocks
from lightning_dl2.data.graphs.sources import graph_splits, load_graph_set, load_node_set, node_splits
from lightning_dl2.graphs import Graph, GraphBatch, PackedGraphs, SparseMatrix
from lightning_dl2.resume.train_batches import rank_and_world


class NodeDataModule(GraphDataModule):
    """One graph. A step sees all of it, or with `fanouts` blocks sampled around a batch of its nodes.

    Args:
        name: one of schema.NODE_SETS.
        path: where the files lie; None: they are downloaded, or generated.
        undirected: graph_csv: every edge is read in both directions.
        split: "public", the source's own, or "random": `train_per_class` nodes of each class, `validation_size` and
            `test_size` (None: all others), drawn by the seed.
        normalize_features: each node's features are divided by their sum.
        positional: kind ("none", "laplacian", "random_walk") and size of a positional encoding.
        fanouts: in-neighbours sampled for each layer; None: the whole graph at each step.
        batch_size: B, with fanouts.
        evaluation_chunk: with it, evaluation goes layer by layer over so many nodes at once.
        block_model: arguments of stochastic_block_model, for name="sbm".
        cache_dir: for downloads; None: the user's cache directory.
        num_workers: with fanouts, processes that sample ahead; 0: blocks are sampled between the steps.
        seed: decides a random split and the order of training.

    Raises:
        UserError: the data are not to be had or damaged, or a split is impossible.
        ValueError: there are workers without fanouts.
    """

    level, target = "node", "classification"

    def __init__(
        self,
        name: str,
        path: str | None = None,
        *,
        undirected: bool = True,
        split: str = "public",
        train_per_class: int = 20,
        validation_size: int = 500,
        test_size: int | None = None,
        normalize_features: bool = False,
        positional: dict[str, Any] | None = None,
        fanouts: list[int] | None = None,
        batch_size: int = 1024,
        evaluation_chunk: int | None = None,
        block_model: dict[str, Any] | None = None,
        cache_dir: str | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if num_workers and fanouts is None:
            raise ValueError(f"num_workers={num_workers}: without fanouts each batch is the graph at hand")
        self.seed, self.chunk, self.num_workers = seed, evaluation_chunk, num_workers
        self.positional = positional or {"kind": "none", "size": 0}
        self.set: NodeSet = load_node_set(name, path, undirected=undirected, block_model=block_model, cache=cache_dir)
        self.labels, self.class_names, self.num_items = self.set.labels, self.set.class_names, self.set.num_nodes
        sizes: dict[str, Any] = {"train_per_class": train_per_class, "validation_size": validation_size}
        self.splits = node_splits(self.set, split, seed, **sizes, test_size=test_size)
        self.graph = self._graph(normalize_features, sampled=fanouts is not None)
        self.sampler = NeighborBlocks(self.graph, fanouts) if fanouts is not None else None
        self.batch_size = batch_size if self.sampler else len(self.splits["train"])
        self._moved: Graph | None = None

    def _graph(self, normalize: bool, *, sampled: bool) -> Graph:
        nodes = self.set
        ndata: dict[str, Any] = {}
        if nodes.features is not None:
            ndata["features"] = _normalized(nodes.features) if normalize else nodes.features
        src, dst, edges = nodes.src, nodes.dst, nodes.edge_features
        if sampled:  # a net that wants self-loops adds them to the blocks, and must not find others
            kept = src != dst
            src, dst, edges = src[kept], dst[kept], None if edges is None else edges[kept]
        edata = {} if edges is None else {"features": edges}
        graph = Graph(src, dst, nodes.num_nodes, ndata=ndata, edata=edata)
        ndata |= self._encode(graph)
        if not ndata:
            ndata["features"] = torch.ones(nodes.num_nodes, 1)
        return graph.replace(ndata=ndata)

    def _batch(self, items: Tensor, weight: float, step: int | None) -> GraphBatch:
        targets = self.labels[items]
        if step is not None and self.sampler:
            rank, _ = rank_and_world(self)
            seed = int(np.random.default_rng((self.seed, step, rank)).integers(2**31))
            return GraphBatch(self.sampler.sample(items, seed), targets, items, weight=weight)
        chunk = self.chunk if step is None else None
        return GraphBatch(self.graph, targets, items, index=items, weight=weight, chunk=chunk)

    def train_batch(self, step: int) -> GraphBatch:
        """Training batch number `step` of this rank; without fanouts always all training nodes, in their order."""
        return super().train_batch(step) if self.sampler else self._share(self.splits["train"], step)

    def evaluation_batches(self, split: str) -> list[GraphBatch]:
        items = self.items(split)
        self._num_batches(split, len(items))
        return [self._share(items)]

    def transfer_batch_to_device(self, batch: GraphBatch, device: torch.device, dataloader_idx: int) -> GraphBatch:
        """The whole graph moves once, not with each batch."""
        if batch.graphs is not self.graph or batch.chunk is not None:
            return batch.to(device)
        if self._moved is None or self._moved.device != device:
            with torch.inference_mode(False):  # of a validation that comes first: training could not learn on it
                self._moved = self.graph.to(device)
        return replace(batch, graphs=self._moved).to(device)

    def names(self, ids: Tensor) -> list[str]:
        return [self.set.node_ids[i] if self.set.node_ids else str(i) for i in ids.tolist()]

    def _features(self, items: Tensor) -> Tensor:
        features = self.graph.ndata.get("features")
        if features is None:
            return torch.zeros(len(items), 0)
        return features.rows(items).to_dense() if isinstance(features, SparseMatrix) else features[items]

    def _facts(self) -> dict[str, Any]:
        return {**_widths(self.graph), "node_types": 0, "edge_types": 0}


class GraphSetDataModule(GraphDataModule):
    """Many graphs, each with a class or a number, or with a class for each of its nodes.

    Args:
        name: one of schema.GRAPH_SETS.
        path: where the files lie; None: they are downloaded, or generated.
        num_folds: of a set without a split of its own, this many folds, each with its share of every class.
        fold: the one to test on, from 0.
        validation_fraction: of the other folds' graphs, held out to choose by.
        positional: kind ("none", "laplacian", "random_walk") and size of a positional encoding.
        batch_size: B graphs.
        evaluation_batch_size: most graphs in a validation or test batch; does not change the metrics.
        num_graphs: of a generated set; likewise `min_nodes` and `max_nodes`.
        cache_dir: for downloads; None: the user's cache directory.
        num_workers: processes that make batches ahead; 0: they are made between the steps. Does not change them.
        seed: decides the order of training. The folds are the same for every seed.

    Raises:
        UserError: the data are not to be had or damaged, or there is no such fold.
    """

    def __init__(
        self,
        name: str,
        path: str | None = None,
        *,
        num_folds: int = 10,
        fold: int = 0,
        validation_fraction: float = 0.1,
        positional: dict[str, Any] | None = None,
        batch_size: int = 32,
        evaluation_batch_size: int = 256,
        num_graphs: int = 800,
        min_nodes: int = 10,
        max_nodes: int = 20,
        cache_dir: str | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.batch_size, self.evaluation_batch_size, self.seed = batch_size, evaluation_batch_size, seed
        self.num_workers = num_workers
        self.positional = positional or {"kind": "none", "size": 0}
        sizes = {"num_graphs": num_graphs, "min_nodes": min_nodes, "max_nodes": max_nodes}
        self.set: GraphSet = load_graph_set(name, path, sizes=sizes, cache=cache_dir)
        self.level, self.target = self.set.level, self.set.target
        self.labels, self.class_names, self.num_items = self.set.labels, self.set.class_names, len(self.set.num_nodes)
        self.splits = graph_splits(self.set, num_folds, fold, validation_fraction)
        self.graphs = self._pack()
        self._evaluated: dict[tuple[str, int, int], list[GraphBatch]] = {}

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
        """Where each graph's nodes begin, int64 [G]."""
        return self.set.num_nodes.cumsum(0) - self.set.num_nodes

    def _nodes(self, items: Tensor) -> Tensor:
        """The nodes of these graphs, graph after graph."""
        counts = self.set.num_nodes[items]
        ends = counts.cumsum(0)
        within = torch.arange(int(ends[-1])) - (ends - counts).repeat_interleave(counts)
        return self._first_node[items].repeat_interleave(counts) + within

    def _batch(self, items: Tensor, weight: float, step: int | None) -> GraphBatch:
        ids = items if self.level == "graph" else self._nodes(items)
        return GraphBatch(self.graphs.batch(items), self.labels[ids], ids, weight=weight)

    def _count(self, items: Tensor) -> int:
        return len(items) if self.level == "graph" else int(self.set.num_nodes[items].sum())

    def _targets(self, split: str) -> Tensor:
        items = self.splits[split]
        return self.labels[items if self.level == "graph" else self._nodes(items)]

    def evaluation_batches(self, split: str) -> list[GraphBatch]:
        key = (split, *rank_and_world(self))
        if key not in self._evaluated:  # a fixed set: collated once
            num_batches = self._num_batches(split, self.evaluation_batch_size)
            with torch.inference_mode(False):  # of the evaluation that asks first: others may want gradients
                self._evaluated[key] = [self._share(items) for items in self.items(split).tensor_split(num_batches)]
        return self._evaluated[key]

    def names(self, ids: Tensor) -> list[str]:
        graph_ids = self.set.graph_ids or [str(i) for i in range(len(self.set.num_nodes))]
        if self.level == "graph":
            return [graph_ids[i] for i in ids.tolist()]
        graphs = torch.searchsorted(self._first_node, ids, right=True) - 1
        within = ids - self._first_node[graphs]
        return [f"{graph_ids[g]}/{i}" for g, i in zip(graphs.tolist(), within.tolist(), strict=True)]

    def _features(self, items: Tensor) -> Tensor:
        """Of a node its own features; of a graph their sums, and its numbers of nodes and edges by kind."""
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
        sums = _sums(nodes, whole.num_nodes)
        columns = [sums, whole.num_nodes[:, None].float(), whole.num_edges[:, None].float()]
        if whole.edge_types is not None:
            kinds = torch.nn.functional.one_hot(whole.edge_types, whole.num_edge_types).float()
            columns.append(_sums(kinds, whole.num_edges))
        return torch.cat(columns, 1)[items]

    def _facts(self) -> dict[str, Any]:
        return {
            **_widths(self.graphs),
            "node_types": self.set.num_node_types if self.set.node_types is not None else 0,
            "edge_types": self.set.num_edge_types if self.set.edge_types is not None else 0,
        }


def _widths(data: Graph | PackedGraphs) -> dict[str, int]:
    features, edges = data.ndata.get("features"), data.edata.get("features")
    return {
        "in_feats": features.shape[1] if features is not None else 0,
        "edge_feats": edges.shape[1] if edges is not None else 0,
    }


def _sums(values: Tensor, counts: Tensor) -> Tensor:
    """Sums over consecutive rows: [sum of counts, F] -> [G, F]."""
    owner = torch.arange(len(counts)).repeat_interleave(counts)
    return torch.zeros(len(counts), values.shape[1]).index_add(0, owner, values)


def _normalized(features: Tensor | SparseMatrix) -> Tensor | SparseMatrix:
    """Each row divided by its sum; a row of zeros stays."""
    if isinstance(features, Tensor):
        return features / features.abs().sum(1, keepdim=True).clamp(min=1e-12)
    counts = features.indptr.diff()
    sums = _sums(features.values[:, None].abs(), counts).squeeze(1).clamp(min=1e-12)
    return features.with_values(features.values / sums.repeat_interleave(counts))
