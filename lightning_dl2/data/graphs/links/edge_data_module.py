"""Labels of edges: one graph some of whose edges have a class or numbers, as a LightningDataModule.

Shapes: E directed edges, P items: edges with a label, as the files list them, M items of a batch.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import known_rows
from lightning_dl2.data.graphs.links.pair_data_module import SPLIT, PairDataModule
from lightning_dl2.data.graphs.load_sets import check_classes
from lightning_dl2.data.splits import SPLITS


class EdgeDataModule(PairDataModule):
    """Predict the labels of edges.

    An item is an edge as its file lists it, in both directions if the graph is undirected. All edges carry messages,
    those of unknown label and of the test, too: their labels alone are hidden. The splits are the file's, or drawn
    among the labelled edges by the seed.

    Args:
        edges: validation_share, test_share: of the labelled edges, where the file has no splits.

    Raises:
        UserError: the edges have no labels, or a split has none of them.
    """

    level, needs_labels, labels_edges = "edge", False, True

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
        self.pairs = torch.stack([self.set.src[first], self.set.dst[first]], 1)
        self.labels, self.num_items = found["labels"][rows], len(rows)
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
        places[rows] = torch.arange(len(rows))
        if found["splits"]:  # of rows of the file, of which repeats were merged
            splits = {name: places[members][places[members] >= 0] for name, members in splits.items()}
        self.splits = {name: splits[name].sort().values for name in SPLITS if name in splits}
        kind = "directed" if self.directed else "undirected"
        told = ", ".join(f"{len(items)} {name}" for name, items in self.splits.items()) or "no split"
        self.items_note = f"{len(known)} of {len(rows)} {kind} edges have a label: {told}"

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
