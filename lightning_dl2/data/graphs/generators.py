"""Generate graphs: a famous one, random ones, and two sets that show the limits of message passing.

Equal arguments give equal graphs.

Shapes: N nodes, E directed edges, C classes, F features, n nodes of one graph, m undirected edges of one graph.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet
from lightning_dl2.data.graphs.named_graphs import KARATE_CLUB, MINI_GC, MR_HI, family_edges
from lightning_dl2.data.splits import SPLITS

CSL_NODES, CSL_SKIPS, CSL_COPIES = 41, (2, 3, 4, 5, 6, 9, 11, 12, 13, 16), 15


def karate_club() -> NodeSet:
    """Build Zachary's karate club: 34 members, 78 acquaintances, and the faction that each joined.

    The features are the identity. As in Kipf & Welling's illustration only the labels of the two leaders are trained
    on. Of the other members, every fourth of each faction validates; the rest tests.
    """
    pairs = np.array([pair.split("-") for pair in KARATE_CLUB.split()], np.int64)
    src, dst = _both(pairs[:, 0], pairs[:, 1])
    labels = np.ones(34, np.int64)
    labels[list(MR_HI)] = 0
    factions = [[node for node in np.flatnonzero(labels == faction) if node not in (0, 33)] for faction in (0, 1)]
    return NodeSet(
        src=torch.from_numpy(src),
        dst=torch.from_numpy(dst),
        num_nodes=34,
        features=torch.eye(34),
        labels=torch.from_numpy(labels),
        class_names=["Mr. Hi", "Officer"],
        splits={
            "train": torch.tensor([0, 33]),
            "val": torch.tensor(sorted(node for faction in factions for node in faction[::4])),
            "test": torch.tensor(sorted(node for faction in factions for i, node in enumerate(faction) if i % 4)),
        },
    )


def stochastic_block_model(
    num_nodes: int,
    num_classes: int,
    average_degree: float,
    homophily: float,
    num_feats: int,
    signal: float,
    seed: int,
    train_fraction: float = 0.1,
    val_fraction: float = 0.1,
) -> NodeSet:
    """Draw a graph whose classes are communities, with features that carry some information on the class.

    num_nodes * average_degree / 2 edges are drawn without replacement among the pairs of different nodes, each within a
    class with the probability `homophily`.

    Args:
        num_nodes: N; the classes' sizes differ by one at most.
        average_degree: mean number of neighbours.
        homophily: 1 / num_classes: edges are independent of the classes; less: most neighbours are of other classes.
        num_feats: F; the features are the class's mean plus normal noise of variance 1.
        signal: length of a class's mean, a vector of random direction. 0: the features are noise.
        train_fraction: of the nodes; likewise `val_fraction`; the rest tests.

    Raises:
        UserError: too few pairs of nodes.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(num_nodes) % num_classes
    src, dst = _community_edges(labels, num_classes, average_degree, homophily, rng)
    means = rng.standard_normal((num_classes, num_feats), np.float32)
    means *= signal / np.linalg.norm(means, axis=1, keepdims=True)
    features = rng.standard_normal((num_nodes, num_feats), np.float32) + means[labels]
    shuffled = rng.permutation(num_nodes)
    ends = [round(num_nodes * train_fraction), round(num_nodes * (train_fraction + val_fraction))]
    return NodeSet(
        src=torch.from_numpy(src),
        dst=torch.from_numpy(dst),
        num_nodes=num_nodes,
        features=torch.from_numpy(features),
        labels=torch.from_numpy(labels),
        class_names=[str(number) for number in range(num_classes)],
        splits=_splits(shuffled, ends),
    )


def _community_edges(
    labels: np.ndarray, num_classes: int, average_degree: float, homophily: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the edges of `stochastic_block_model` between nodes of the classes `labels` [N]: src and dst, int64 [E]."""
    num_nodes = len(labels)
    sizes = np.bincount(labels, minlength=num_classes)
    members = np.argsort(labels, kind="stable")  # class after class
    starts = np.cumsum(sizes) - sizes
    num_edges = round(num_nodes * average_degree / 2)
    num_within = int(rng.binomial(num_edges, homophily))
    pairs_within = sizes * (sizes - 1) // 2
    for wanted, room, kind in (
        (num_within, int(pairs_within.sum()), "within"),
        (num_edges - num_within, num_nodes * (num_nodes - 1) // 2 - int(pairs_within.sum()), "between"),
    ):
        if wanted > room // 2:  # rejecting repeated draws would take long
            raise UserError(
                f"data.block_model.average_degree={average_degree}: asks for {wanted} edges {kind} the classes;"
                f" allowed: half of the pairs, {room // 2}"
            )

    def within(number: int) -> tuple[np.ndarray, np.ndarray]:
        classes = np.searchsorted(np.cumsum(pairs_within), rng.integers(0, pairs_within.sum(), number), "right")
        one, other = rng.integers(0, sizes[classes]), rng.integers(0, sizes[classes] - 1)
        other += other >= one
        return members[starts[classes] + one], members[starts[classes] + other]

    def between(number: int) -> tuple[np.ndarray, np.ndarray]:
        one, other = rng.integers(0, num_nodes, (2, number))
        kept = labels[one] != labels[other]
        return one[kept], other[kept]

    pairs = np.concatenate(
        [_distinct(within, num_within, num_nodes), _distinct(between, num_edges - num_within, num_nodes)]
    )
    src, dst = _both(pairs // num_nodes, pairs % num_nodes)
    order = np.argsort(src * num_nodes + dst)  # neighbours together in memory
    return src[order], dst[order]


def _distinct(draw: Any, number: int, num_nodes: int) -> np.ndarray:
    """Draw `number` distinct undirected edges, as low * num_nodes + high, int64; `draw` returns about as many."""
    found = np.zeros(0, np.int64)
    while len(found) < number:
        one, other = draw(int(1.1 * (number - len(found))) + 16)
        new = np.minimum(one, other) * num_nodes + np.maximum(one, other)
        everything = np.concatenate([found, new])
        # The first drawn are kept; keeping the smallest would favour low numbers.
        found = everything[np.sort(np.unique(everything, return_index=True)[1])][:number]
    return found


def mini_gc(num_graphs: int, min_nodes: int, max_nodes: int, seed: int) -> GraphSet:
    """Draw graphs of the eight families MINI_GC, the classes, as in DGL's MiniGCDataset; without node features.

    The families take turns. A graph has from `min_nodes` (at least 6) to `max_nodes` nodes, inclusive; hypercubes,
    grids and circular ladders have fewer if their shape needs it. The cube is a hypercube and a circular ladder: with 8
    nodes no classifier is always right. Unlike DGL's graphs these have no self-loops.

    Raises:
        UserError: impossible numbers of nodes.
    """
    if min_nodes < 6:
        raise UserError(f"data.min_nodes={min_nodes}: too few for a lollipop and a grid; allowed: at least 6")
    if max_nodes < min_nodes:
        raise UserError(f"data.max_nodes={max_nodes}: is less than data.min_nodes; allowed: at least {min_nodes}")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(num_graphs) % len(MINI_GC)
    sizes, graphs = rng.integers(min_nodes, max_nodes + 1, num_graphs), []
    for label, size in zip(labels.tolist(), sizes.tolist(), strict=True):
        graphs.append(family_edges(MINI_GC[label], size, int(rng.integers(2, size // 2))))
    return _graph_set(graphs, labels=torch.from_numpy(labels), class_names=list(MINI_GC))


def csl(seed: int) -> GraphSet:
    """Draw 150 circular skip links: a cycle of 41 nodes, each also linked to the one `skip` further; skips are classes.

    Ten skips, which give ten different graphs, have 15 random orders of the nodes each (Murphy et al., 2019, Relational
    Pooling). Every node has four neighbours: message passing alone cannot distinguish the classes.
    """
    rng = np.random.default_rng(seed)
    nodes = np.arange(CSL_NODES)
    labels = np.repeat(np.arange(len(CSL_SKIPS)), CSL_COPIES)
    graphs = []
    for label in labels:
        names = rng.permutation(CSL_NODES)
        one = np.concatenate([nodes, nodes])
        other = np.concatenate([nodes + 1, nodes + CSL_SKIPS[label]]) % CSL_NODES
        graphs.append((CSL_NODES, names[one], names[other]))
    return _graph_set(graphs, labels=torch.from_numpy(labels), class_names=[f"skip {skip}" for skip in CSL_SKIPS])


def pattern(
    num_graphs: int,
    seed: int,
    num_communities: int = 5,
    min_nodes: int = 5,
    max_nodes: int = 35,
    p: float = 0.5,
    q: float = 0.35,
    num_patterns: int = 100,
    pattern_nodes: int = 20,
    pattern_p: float = 0.5,
    pattern_q: float = 0.5,
    num_types: int = 3,
) -> GraphSet:
    """Draw random communities, each graph with one of a few fixed patterns among them, whose nodes are to be found.

    PATTERN of Dwivedi et al. (2020), Benchmarking Graph Neural Networks, with the numbers of the paper, which has
    14,000 graphs. Communities are drawn anew for every graph; the patterns' edges and node types recur. The first 10 of
    14 graphs train, 2 of 14 validate, 2 of 14 test. The patterns take turns: with more than 14 graphs for 10 patterns
    every pattern is trained on. All 14,000 graphs take some GB.

    Args:
        num_communities, min_nodes, max_nodes: of a graph's background; the sizes are inclusive.
        p, q: probabilities of an edge within a community and between two.
        num_patterns, pattern_nodes: number of patterns, and of the nodes of each.
        pattern_p, pattern_q: probabilities of an edge within a pattern and between it and the background.
        num_types: number of node types.

    Raises:
        UserError: too few graphs for three splits.
    """
    if num_graphs < 4:
        raise UserError(f"data.num_graphs={num_graphs}: too few for three splits; allowed: at least 4")
    rng = np.random.default_rng(seed)
    # Only above the diagonal, so that each pair is drawn once.
    inside = np.triu(rng.random((num_patterns, pattern_nodes, pattern_nodes), np.float32) < pattern_p, 1)
    pattern_types = rng.integers(0, num_types, (num_patterns, pattern_nodes))
    graphs, types, labels = [], [], []
    for number in range(num_graphs):
        which = number % num_patterns
        sizes = rng.integers(min_nodes, max_nodes + 1, num_communities)
        community = np.repeat(np.arange(num_communities + 1), [*sizes, pattern_nodes])
        n, hidden = len(community), community == num_communities
        odds = np.where(community[:, None] == community, np.float32(p), np.float32(q))
        odds[hidden] = odds[:, hidden] = pattern_q
        edges = np.triu(rng.random((n, n), np.float32) < odds, 1)
        edges[-pattern_nodes:, -pattern_nodes:] = inside[which]
        kinds = np.concatenate([rng.integers(0, num_types, n - pattern_nodes), pattern_types[which]])
        order = rng.permutation(n)  # without it the pattern would be the last nodes
        one, other = np.nonzero((edges | edges.T)[order][:, order])
        graphs.append((n, one[one < other], other[one < other]))
        types.append(kinds[order])
        labels.append(hidden[order])
    return _graph_set(
        graphs,
        labels=torch.from_numpy(np.concatenate(labels).astype(np.int64)),
        class_names=["background", "pattern"],
        node_types=torch.from_numpy(np.concatenate(types)),
        num_node_types=num_types,
        level="node",
        splits=_splits(np.arange(num_graphs), [num_graphs * 10 // 14, num_graphs * 12 // 14]),
    )


def _splits(items: np.ndarray, ends: list[int]) -> dict[str, torch.Tensor]:
    """Cut items at `ends` into training, validation and test, each in ascending order."""
    return {name: torch.from_numpy(np.sort(part)) for name, part in zip(SPLITS, np.split(items, ends), strict=True)}


def _both(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Map undirected edges [m] to the sources and destinations of both directions [2 m]."""
    return np.concatenate([one, other]), np.concatenate([other, one])


def _graph_set(graphs: Iterable[tuple[int, np.ndarray, np.ndarray]], **rest: Any) -> GraphSet:
    """Build a GraphSet from the number of nodes and the undirected edges of each graph."""
    sizes, ones, others = zip(*graphs, strict=True)
    directed = [_both(one, other) for one, other in zip(ones, others, strict=True)]
    src, dst = (torch.from_numpy(np.concatenate(ends).astype(np.int64)) for ends in zip(*directed, strict=True))
    return GraphSet(
        src=src, dst=dst, num_nodes=torch.tensor(sizes), num_edges=torch.tensor([2 * len(one) for one in ones]), **rest
    )
