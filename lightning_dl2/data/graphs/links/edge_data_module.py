"""Labels of edges: one graph some of whose edges have a class or numbers, as a LightningDataModule.

Shapes: E directed edges, P items: edges with a label, as the files list them, M items of a batch.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.edge_labels import take_edge_targets
from lightning_dl2.data.graph_files.graph_sets import known_rows
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graphs.in_memory import build_node_set
from lightning_dl2.data.graphs.libraries import read_graph
from lightning_dl2.data.graphs.links.directions import join_directions
from lightning_dl2.data.graphs.links.pair_data_module import SPLIT, PairDataModule
from lightning_dl2.data.graphs.load_sets import check_classes
from lightning_dl2.data.splits import SPLITS


class EdgeDataModule(PairDataModule):
    """Predict the labels of edges.

    An item is an edge as its file lists it, in both directions if the graph is undirected. A file that lists both
    directions with the same label lists one item; with different labels the order of the ends counts. All edges carry
    messages, those of unknown label and of the test, too: their labels alone are hidden. The splits are the file's, or
    drawn among the labelled edges by the seed.

    Args:
        edges: validation_share, test_share: of the labelled edges, where the file has no splits.

    Raises:
        UserError: the edges have no labels, or a split has none of them.
    """

    level, needs_labels, labels_edges = "edge", False, True

    @classmethod
    def from_graph(
        cls,
        graph: Any,
        *,
        labels: str | None = None,
        target: Any = None,
        features: str | None = None,
        edge_features: str | None = None,
        edge_weight: str | None = None,
        undirected: bool = False,
        repeated_edges: str = "merge",
        ids: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """Serve a graph in memory, whose edges have labels; the other arguments are those of `NodeDataModule`'s.

        Args:
            labels: name of the labels in the data of the edges; None: `label`, of PyG `edge_label`. Masks of edges with
                the usual names are the splits.

        Raises:
            UserError: the edges have no such labels.
        """
        parts = read_graph(graph, "graph")
        try:
            targets, told = take_edge_targets(parts, Reading(label=labels, target=target, labels_edges=True), "graph")
        except UserError as error:
            raise UserError(str(error).replace("data.label", "labels").replace("data.target", "target")) from error
        of_set: dict[str, Any] = {"features": features, "edge_features": edge_features, "edge_weight": edge_weight}
        of_set |= {"undirected": undirected, "repeated_edges": repeated_edges, "ids": ids}
        found, note = build_node_set(parts, labelled=False, edge_targets=targets, **of_set)
        found.note = "; ".join(filter(None, (note, told))) or None
        return cls(found, **options)

    def _choose_items(self, split: str, seed: int, **sizes: Any) -> None:
        """Find the labelled edges, and split them."""
        found = self.set.edge_targets
        if found is None:
            raise UserError(
                "data.level=edge: the edges have no labels; fix: give edges.csv a column label, or set data.label"
            )
        rows, first = np.unique(found["rows"].numpy(), return_index=True)
        src, dst, count = self.set.src.numpy(), self.set.dst.numpy(), self.set.num_nodes
        self.directed = not np.array_equal(np.unique(src * count + dst), np.unique(dst * count + src))
        pairs, labels = torch.stack([self.set.src[first], self.set.dst[first]], 1), found["labels"][rows]
        items, by_direction = torch.arange(len(rows)), None
        if not self.directed and (joined := join_directions(pairs, labels, count)) is not None:
            items, (pairs, labels) = joined.items, (pairs[joined.first], joined.labels)
        elif not self.directed:
            self.directed, by_direction = True, "both directions of an edge have labels of their own"
        self.pairs, self.labels, self.num_items = pairs, labels, len(pairs)
        self.target, self.class_names, self.target_names = (found[key] for key in ("target", "class_names", "names"))
        self._file_pairs, self._file_labels = self.pairs, self.labels
        self.standardizes = self.target == "regression"
        known = known_rows(self.labels).nonzero().squeeze(1)
        if self.other is not None:  # of another graph all edges are asked for
            splits = found["splits"] or {}
        else:
            if self.target == "classification":
                check_classes("data.level=edge", self.class_names)
            splits = found["splits"] or self._drawn(known[torch.randperm(len(known), generator=_generator(seed))])
        places = torch.full((len(found["labels"]),), -1)
        places[rows] = items
        if found["splits"]:  # of rows of the file, of which repeats and directions were merged
            splits = {name: places[members][places[members] >= 0].unique() for name, members in splits.items()}
            if len(torch.cat(list(splits.values())).unique()) < sum(map(len, splits.values())):
                raise UserError("data.level=edge: both directions of an edge are in different splits; fix: give one")
        self.splits = {name: splits[name].sort().values for name in SPLITS if name in splits}
        kind = "directed" if self.directed else "undirected"
        told = ", ".join(f"{len(items)} {name}" for name, items in self.splits.items()) or "no split"
        self.items_note = f"{len(known)} of {len(pairs)} {kind} edges have a label: {told}"
        self.items_note = "; ".join(filter(None, (self.items_note, by_direction)))

    def _labels_of(self, pairs: Tensor) -> Tensor:
        """Return the label of each pair that is an edge of the file; of others it is unknown."""
        count = self.set.num_nodes

        def keys(ends: Tensor) -> Tensor:
            low, high = (ends[:, 0], ends[:, 1]) if self.directed else (ends.amin(1), ends.amax(1))
            return low * count + high

        known, order = keys(self._file_pairs).sort(stable=True)
        wanted = keys(pairs)
        place = torch.searchsorted(known, wanted).clamp(max=len(known) - 1)
        found = self._file_labels[order[place]]
        unknown = -1 if self.target == "classification" else torch.nan
        return torch.where((known[place] == wanted).reshape(-1, *[1] * (found.ndim - 1)), found, unknown)

    def _drawn(self, order: Tensor) -> dict[str, Tensor]:
        val, test = (int(self.edges[key] * len(order) + 1e-9) for key in ("validation_share", "test_share"))
        parts = dict(zip(SPLITS, (order[val + test :], order[:val], order[val : val + test]), strict=True))
        if empty := [name for name in SPLITS if not len(parts[name])]:
            raise UserError(
                f"data.edges.test_share={self.edges['test_share']}: of {len(order)} labelled edges none is in the split"
                f" {empty[0]}; fix: give other shares, or more labels"
            )
        return parts

    def _features(self, items: Tensor) -> Tensor:
        """Return what a model without a graph may read: sums and products of the ends' features, [M, 2 F]."""
        of_nodes = super()._features
        one, other = (of_nodes(ends) for ends in self.pairs[items].T)
        return torch.cat([one, other] if self.directed else [one + other, one * other], 1)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(int(np.random.default_rng((seed, SPLIT)).integers(2**31)))
