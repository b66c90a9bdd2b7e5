"""Link prediction: held-out edges of one graph, and pairs without an edge, as a LightningDataModule.

Shapes: N nodes, E directed edges, L links, P pairs of nodes (links and held-out negatives), M pairs of a batch.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graphs.in_memory import build_node_set
from lightning_dl2.data.graphs.links.heuristics import adamic_adar, feature_cosine
from lightning_dl2.data.graphs.links.negative_pairs import NegativePairs
from lightning_dl2.data.graphs.links.pair_data_module import HELD_OUT, SPLIT, TRAINING, PairDataModule
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.graphs import GraphBatch
from lightning_dl2.resume.train_batches import rank_and_world
from lightning_dl2.tasks.metrics import ranking_score

FEWEST_BATCHES = 5  # of an epoch whose batches are hidden: four fifths of the links carry messages


class LinkDataModule(PairDataModule):
    """Tell the edges of a graph from pairs of nodes without an edge.

    An undirected edge, stored in both directions, is one link, and so are repeated edges. Self-loops are no links. A
    graph is undirected if each edge has its reverse; in others the order of the ends counts.

    Links drawn by the seed are held out for validation and test, as many as in Kipf and Welling (2016). In both
    directions they leave the graph that carries messages, in training and in every evaluation. Held-out negatives are
    drawn once, by the seed; those of training by (seed, step). A negative is no edge of the whole graph. No held-out
    pair, link or negative, is a negative of training, so that having been drawn tells nothing of the answer.

    In training, the links of a step carry no messages in this step (`hide_supervised`): the net is asked for edges
    that it does not see, as in the test. An epoch then has FEWEST_BATCHES at least. All ranks hide the links of all
    ranks, and share the negatives.

    Args:
        edges: validation_share, test_share: of the links; negatives: in training for each link; evaluation_negatives:
            likewise of validation and test; hide_supervised: False leaves all links of training in the messages, as in
            the graph auto-encoders of Kipf and Welling (2016).

    Raises:
        UserError: a split without links, or too few pairs without an edge.
    """

    level, needs_labels = "link", False

    @classmethod
    def from_graph(
        cls,
        graph: Any,
        *,
        features: str | None = None,
        edge_features: str | None = None,
        undirected: bool = False,
        ids: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """Serve a graph in memory, whose nodes need no labels; the arguments are those of `NodeDataModule`'s."""
        of_set: dict[str, Any] = {"features": features, "edge_features": edge_features, "ids": ids}
        found, note = build_node_set(graph, undirected=undirected, labelled=False, **of_set)
        found.note = note
        return cls(found, **options)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return super().defaults() | {"negatives": 1, "evaluation_negatives": 1, "hide_supervised": True}

    def _target_facts(self) -> dict[str, Any]:
        return {}  # links need no names, and their baselines read the graph

    def baselines(self) -> dict[str, float]:
        """Return the test AUC of Adamic and Adar's index, and of the cosine of the ends' features.

        The cosine is left out without `linear_baseline`.
        """
        pairs, is_link = self.pairs[self.splits["test"]], self.labels[self.splits["test"]] > 0.5
        found = {"adamic_adar_baseline": ranking_score("auc", adamic_adar(self.graph, pairs), is_link).item()}
        features = self.graph.ndata.get("features")
        if features is not None and self.linear_baseline:
            found["no_graph_baseline"] = ranking_score("auc", feature_cosine(features, pairs), is_link).item()
        return found

    @property
    def batches_per_epoch(self) -> int:
        number = super().batches_per_epoch
        return max(number, self._fewest) if self.edges["hide_supervised"] else number

    @property
    def _fewest(self) -> int:
        return min(FEWEST_BATCHES, len(self.splits["train"]) // rank_and_world(self)[1])

    def _choose_items(self, split: str, seed: int, **sizes: Any) -> None:
        """Find the links, and draw those that are held out, with negatives."""
        nodes, count = self.set, self.set.num_nodes
        src, dst = nodes.src.numpy(), nodes.dst.numpy()
        loops = src == dst
        forward, backward = (np.unique(ends) for ends in (src * count + dst, dst * count + src))
        self.directed = not np.array_equal(forward, backward)
        self._edges = pairs = NegativePairs(src, dst, count, self.directed)
        links = np.stack(np.divmod(pairs.forbidden, count), axis=1)
        # The link of each edge; that of self-loops is one after the last, which is never hidden.
        numbers = np.searchsorted(pairs.forbidden, pairs.keys(src, dst))
        self._num_links, self._link_of_edge = len(links), torch.from_numpy(np.where(loops, len(links), numbers))
        parts = self._split(len(links), seed)
        counts = {part: len(parts[part]) * self.edges["evaluation_negatives"] for part in ("val", "test")}
        generator = np.random.default_rng((seed, HELD_OUT))
        try:
            held_out = pairs.draw_distinct(sum(counts.values()), generator)
            self._negatives = pairs.without(*held_out.T)
            self._negatives.draw(1, np.random.default_rng(0))
        except ValueError as error:
            what = f"data.edges.evaluation_negatives={self.edges['evaluation_negatives']}: the graph is too dense"
            raise UserError(f"{what}, {error}; fix: use lower shares, fewer negatives, or another graph") from error
        self.pairs = torch.from_numpy(np.concatenate([links, held_out]))
        self.labels = (torch.arange(len(self.pairs)) < len(links)).float()
        self.target, self.class_names, self.target_names, self.num_items = "link", [], [], len(self.pairs)
        first = torch.arange(counts["val"]) + len(links), torch.arange(counts["test"]) + len(links) + counts["val"]
        self.splits = parts | {
            part: torch.cat([parts[part], rest]) for part, rest in zip(("val", "test"), first, strict=True)
        }
        self.items_note = self._describe(int(loops.sum()))

    def _labels_of(self, pairs: Tensor) -> Tensor:
        """Return 1 for an edge of the whole graph, and 0 for other pairs."""
        keys = self._edges.keys(*pairs.T.numpy())
        return torch.from_numpy(np.isin(keys, self._edges.forbidden)).float()

    def ask(self, pairs: Tensor) -> str | None:
        """Take other pairs as the items; all edges of another graph than the run's then carry messages."""
        if self.other is not None:
            self.splits = {"train": torch.arange(self._num_links)}
            self.graph = self._graph()
        super().ask(pairs)
        numbers = torch.from_numpy(np.searchsorted(self._edges.forbidden, self._edges.keys(*pairs.T.numpy())))
        seen = int(torch.isin(numbers[self.labels > 0.5], self._link_of_message).sum())
        return f"{seen} of {len(pairs)} pairs are edges that carry messages: the net sees them" if seen else None

    def _describe(self, loops: int) -> str:
        """Say how many links there are, and which edges are none."""
        parts = {split: int(self.labels[items].sum()) for split, items in self.splits.items()}
        kind = "directed" if self.directed else "undirected"
        told = [f"{self._num_links} {kind} links: " + ", ".join(f"{size} {split}" for split, size in parts.items())]
        repeats = len(self.set.src) - loops - self._num_links * (1 if self.directed else 2)
        if repeats:
            told.append(f"{repeats} repeated edges are no links of their own")
        if loops:
            told.append(f"{loops} self-loops are no links")
        if self.edges["hide_supervised"] and parts["train"] <= (FEWEST_BATCHES - 1) * self.wanted_batch_size:
            most = -(-parts["train"] // FEWEST_BATCHES)
            told.append(f"a step asks for {most} links at most, as they are hidden in it (data.edges.hide_supervised)")
        return "; ".join(told)

    def _split(self, count: int, seed: int) -> dict[str, Tensor]:
        """Draw the links of each split, in ascending order."""
        order = torch.from_numpy(np.random.default_rng((seed, SPLIT)).permutation(count))
        val, test = (int(self.edges[key] * count + 1e-9) for key in ("validation_share", "test_share"))
        parts = dict(zip(SPLITS, (order[val + test :], order[:val], order[val : val + test]), strict=True))
        if empty := [split for split in SPLITS if not len(parts[split])]:
            key = {"train": "test_share", "val": "validation_share", "test": "test_share"}[empty[0]]
            raise UserError(
                f"data.edges.{key}={self.edges[key]}: of {count} links none is in the split {empty[0]}; fix: give"
                f" {'lower' if empty[0] == 'train' else 'higher'} shares, or a graph with more edges"
            )
        return {split: index.sort().values for split, index in parts.items()}

    def _message_edges(self) -> Tensor:
        """Tell which edges are of links to train on, or self-loops."""
        carries = torch.zeros(self._num_links + 1, dtype=torch.bool)
        carries[self.splits["train"]] = True
        carries[-1] = True
        kept = carries[self._link_of_edge]
        self._link_of_message = self._link_of_edge[kept]
        return kept

    def _share(self, items: Tensor, step: int | None = None) -> GraphBatch:
        """Build this rank's batch of the links of a step of all ranks; in training, negatives are added."""
        if step is None:
            return super()._share(items)
        rank, world = rank_and_world(self)
        generator = np.random.default_rng((self.seed, TRAINING, step))
        drawn = torch.from_numpy(self._negatives.draw(len(items) * self.edges["negatives"], generator))
        pairs, targets = torch.cat([self.pairs[items], drawn]), (torch.arange(len(items) + len(drawn)) < len(items))
        ids = torch.cat([items, torch.full((len(drawn),), -1)])
        mine = slice(rank, None, world)
        weight = len(ids[mine]) * world / len(ids)
        hidden = None
        if self.edges["hide_supervised"]:
            asked = torch.zeros(self._num_links + 1, dtype=torch.bool)
            asked[items] = True
            hidden = asked[self._link_of_message]
        return self._pairs_batch(pairs[mine], targets.float()[mine], ids[mine], weight, step, hidden)
