"""Test sizes, degrees and classes of generated graphs, and that equal arguments give equal graphs."""

from dataclasses import fields
from itertools import combinations

import numpy as np
import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet
from lightning_dl2.data.graphs.generators import CSL_SKIPS, csl, karate_club, mini_gc, pattern, stochastic_block_model
from lightning_dl2.data.graphs.named_graphs import MINI_GC, family_edges

BLOCKS = dict(num_nodes=601, num_classes=4, average_degree=6.0, homophily=0.7, num_feats=8, signal=3.0, seed=0)


def graph(graphs: GraphSet, number: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of nodes and both ends of the directed edges of one graph."""
    edges = slice(int(graphs.num_edges[:number].sum()), int(graphs.num_edges[: number + 1].sum()))
    return int(graphs.num_nodes[number]), graphs.src[edges].numpy(), graphs.dst[edges].numpy()


def check_undirected(src, dst) -> None:
    """Check that each edge is there once in both directions, without self-loops."""
    edges = set(zip(src.tolist(), dst.tolist(), strict=True))
    assert len(edges) == len(src) and all((v, u) in edges and u != v for u, v in edges)


def test_the_karate_club():
    club = karate_club()
    club.check()
    check_undirected(club.src, club.dst)
    degrees = club.src.bincount().tolist()
    assert len(club.src) == 2 * 78 and sum(degrees) == 156
    assert degrees[0] == 16 and degrees[33] == 17 and degrees[32] == 12 and degrees[11] == 1
    assert club.labels.bincount().tolist() == [17, 17] and club.class_names == ["Mr. Hi", "Officer"]
    assert club.labels[0] == 0 and club.labels[33] == 1
    assert club.splits["train"].tolist() == [0, 33]
    assert torch.cat(list(club.splits.values())).sort().values.tolist() == list(range(34))
    assert {name: club.labels[nodes].bincount().tolist() for name, nodes in club.splits.items()} == {
        "train": [1, 1], "val": [4, 4], "test": [12, 12],
    }  # fmt: skip
    assert club.features.equal(torch.eye(34)) and club.digest() == karate_club().digest()


def test_the_karate_club_is_that_of_networkx():
    networkx = pytest.importorskip("networkx")
    known, club = networkx.karate_club_graph(), karate_club()
    assert {tuple(sorted(edge)) for edge in known.edges} == {
        (u, v) for u, v in zip(club.src.tolist(), club.dst.tolist(), strict=True) if u < v
    }
    assert [club.class_names[label] for label in club.labels] == [known.nodes[node]["club"] for node in range(34)]


def test_the_block_model():
    blocks = stochastic_block_model(**BLOCKS)
    blocks.check()
    check_undirected(blocks.src, blocks.dst)
    assert blocks.num_nodes == 601 and len(blocks.src) == 2 * round(601 * 6 / 2)
    assert sorted(blocks.labels.bincount().tolist()) == [150, 150, 150, 151]
    same = (blocks.labels[blocks.src] == blocks.labels[blocks.dst]).float().mean()
    assert abs(same - 0.7) < 0.04  # three standard deviations
    assert {name: len(nodes) for name, nodes in blocks.splits.items()} == {"train": 60, "val": 60, "test": 481}
    assert blocks.features.shape == (601, 8) and blocks.features.dtype == torch.float32
    assert (blocks.src.diff() >= 0).all()


@pytest.mark.parametrize("homophily", [0.0, 0.25, 1.0])
def test_homophily_is_the_share_of_edges_within_a_class(homophily):
    blocks = stochastic_block_model(**BLOCKS | {"homophily": homophily})
    same = float((blocks.labels[blocks.src] == blocks.labels[blocks.dst]).float().mean())
    assert abs(same - homophily) < (0.04 if 0 < homophily < 1 else 1e-9)


@pytest.mark.parametrize("signal", [0.0, 6.0])
def test_the_signal_is_the_length_of_a_classs_mean(signal):
    blocks = stochastic_block_model(**BLOCKS | {"signal": signal, "num_nodes": 4000})
    means = torch.stack([blocks.features[blocks.labels == label].mean(0) for label in range(4)])
    assert (means.norm(dim=1) - signal).abs().max() < 0.2  # 8 features with an error of 0.03 each
    assert abs((blocks.features - means[blocks.labels]).std() - 1) < 0.02


@pytest.mark.slow
def test_pairs_of_nodes_are_drawn_evenly():
    """Over many draws of a small graph, each pair within a class is equally frequent."""
    times = np.zeros((6, 6))
    for seed in range(400):
        blocks = stochastic_block_model(6, 1, 2.0, 1.0, 1, 0.0, seed)
        times[blocks.src, blocks.dst] += 1
    found = times[np.triu_indices(6, 1)]
    assert found.sum() == 400 * 6 and (abs(found - 160) < 4 * np.sqrt(160 * 0.6)).all()


def test_more_edges_than_half_of_the_pairs_are_refused():
    # Four classes of 5 nodes have 40 pairs within a class.
    few = BLOCKS | {"num_nodes": 20, "homophily": 1.0}
    assert len(stochastic_block_model(**few | {"average_degree": 2.0}).src) == 40
    with pytest.raises(UserError) as caught:
        stochastic_block_model(**few | {"average_degree": 2.1})
    assert str(caught.value) == (
        "data.block_model.average_degree=2.1: asks for 21 edges within the classes; allowed: half of the pairs, 20"
    )
    with pytest.raises(UserError, match="asks for 1803 edges between the classes; allowed: half of the pairs, 0"):
        stochastic_block_model(**BLOCKS | {"num_classes": 1, "homophily": 0.0})


def test_the_block_model_may_have_other_splits():
    blocks = stochastic_block_model(**BLOCKS, train_fraction=0.5, val_fraction=0.2)
    assert {name: len(nodes) for name, nodes in blocks.splits.items()} == {"train": 300, "val": 121, "test": 180}


def degrees(n: int, src: np.ndarray) -> list[int]:
    return sorted(np.bincount(src, minlength=n).tolist())


def test_mini_gc():
    graphs = mini_gc(num_graphs=83, min_nodes=6, max_nodes=17, seed=1)
    graphs.check()
    assert len(graphs) == 83 and sorted(graphs.labels.bincount().tolist()) == [10] * 5 + [11] * 3
    assert graphs.class_names == list(MINI_GC) and graphs.num_nodes.max() <= 17
    for number, label in enumerate(graphs.labels.tolist()):
        n, src, dst = graph(graphs, number)
        check_undirected(src, dst)
        found, family = degrees(n, src), MINI_GC[label]
        if family in ("cycle", "clique", "circular_ladder", "hypercube"):
            wanted = {"cycle": 2, "clique": n - 1, "circular_ladder": 3, "hypercube": n.bit_length() - 1}[family]
            assert found == [wanted] * n
        elif family in ("star", "wheel"):
            assert found == [1 if family == "star" else 3] * (n - 1) + [n - 1]
        elif family == "lollipop":
            path = n - found[-1]  # the clique's node at the path is joined to all other nodes of the clique
            assert found == [1] + [2] * (path - 1) + [n - path - 1] * (n - path - 1) + [n - path]
        else:
            rows = [r for r in range(2, n) if n % r == 0 and len(src) == 2 * (2 * n - r - n // r)]
            assert rows and found[:4] == [2] * 4 and found[4] >= 3 and found[-1] <= 4
        assert n >= 6 or family == "hypercube"
        assert n & (n - 1) == 0 or family != "hypercube"


def test_every_size_is_drawn_inclusively():
    graphs = mini_gc(num_graphs=800, min_nodes=6, max_nodes=9, seed=0)
    for family in ("cycle", "star", "wheel", "lollipop", "clique"):
        assert set(graphs.num_nodes[graphs.labels == MINI_GC.index(family)].tolist()) == {6, 7, 8, 9}


@pytest.mark.parametrize("size", [6, 7, 11, 16])
@pytest.mark.parametrize("family", MINI_GC)
def test_the_families_are_those_of_networkx(family, size):
    networkx = pytest.importorskip("networkx")
    known = {
        "cycle": lambda: networkx.cycle_graph(size),
        "star": lambda: networkx.star_graph(size - 1),
        "wheel": lambda: networkx.wheel_graph(size),
        "lollipop": lambda: networkx.lollipop_graph(size - 2, 2),
        "hypercube": lambda: networkx.hypercube_graph(int(np.log2(size))),
        "grid": lambda: networkx.grid_graph([2, size // 2]),
        "clique": lambda: networkx.complete_graph(size),
        "circular_ladder": lambda: networkx.circular_ladder_graph(size // 2),
    }[family]()
    n, one, other = family_edges(family, size, 2)
    found = networkx.empty_graph(n)
    found.add_edges_from(zip(one.tolist(), other.tolist(), strict=True))
    assert networkx.is_isomorphic(found, known)


def test_mini_gc_refuses_sizes_that_leave_no_graph():
    with pytest.raises(UserError, match="data.min_nodes=5: too few for a lollipop and a grid; allowed: at least 6"):
        mini_gc(8, 5, 10, 0)
    with pytest.raises(UserError, match="data.max_nodes=9: is less than data.min_nodes; allowed: at least 10"):
        mini_gc(8, 10, 9, 0)


def spectrum(n: int, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """Return the adjacency's eigenvalues, which do not depend on the order of nodes."""
    matrix = np.zeros((n, n))
    matrix[src, dst] = 1
    return np.linalg.eigvalsh(matrix)


def test_circular_skip_links():
    graphs = csl(seed=0)
    graphs.check()
    assert len(graphs) == 150 and graphs.labels.bincount().tolist() == [15] * 10
    assert graphs.num_nodes.tolist() == [41] * 150 and graphs.num_edges.tolist() == [164] * 150
    found = {label: [] for label in range(10)}
    for number, label in enumerate(graphs.labels.tolist()):
        n, src, dst = graph(graphs, number)
        check_undirected(src, dst)
        assert degrees(n, src) == [4] * 41
        found[label].append(spectrum(n, src, dst))
    for label, spectra in found.items():
        angles = 2 * np.pi * np.arange(41) / 41
        wanted = np.sort(2 * np.cos(angles) + 2 * np.cos(CSL_SKIPS[label] * angles))
        assert all(np.allclose(one, wanted) for one in spectra)
    # No two classes have the same graph, so the task is solvable.
    assert all(abs(found[one][0] - found[other][0]).max() > 0.05 for one, other in combinations(range(10), 2))
    # The orders of the nodes differ, so no net can memorise them.
    orders = {tuple(graph(graphs, number)[1].tolist() + graph(graphs, number)[2].tolist()) for number in range(15)}
    assert len(orders) == 15


@pytest.mark.slow
def test_pattern():
    graphs = pattern(num_graphs=140, seed=0, num_patterns=7)
    graphs.check()
    assert len(graphs) == 140 and graphs.level == "node" and graphs.class_names == ["background", "pattern"]
    assert {name: len(part) for name, part in graphs.splits.items()} == {"train": 100, "val": 20, "test": 20}
    assert 45 <= graphs.num_nodes.min() and graphs.num_nodes.max() <= 195
    assert abs(graphs.num_nodes.float().mean() - 120) < 5
    sizes = graphs.num_nodes.tolist()
    assert [int(labels.sum()) for labels in graphs.labels.split(sizes)] == [20] * 140
    assert graphs.num_node_types == 3 and graphs.node_types.bincount().min() > len(graphs.node_types) * 0.3
    inside, first = [], torch.zeros(140, dtype=torch.int64)
    torch.cumsum(graphs.num_nodes[:-1], 0, out=first[1:])
    for number in range(140):
        n, src, dst = graph(graphs, number)
        check_undirected(src, dst)
        hidden = graphs.labels[first[number] : first[number] + n].numpy() == 1
        kept = hidden[src] & hidden[dst]
        types = graphs.node_types[first[number] : first[number] + n].numpy()
        ends = sorted(zip(types[src[kept]].tolist(), types[dst[kept]].tolist(), strict=True))
        inside.append((ends, sorted(types[hidden].tolist())))
    # The same pattern returns after seven graphs, with other patterns between.
    assert all(inside[number] == inside[number % 7] for number in range(140))
    assert len({str(one) for one in inside[:7]}) == 7
    places = torch.cat([labels.nonzero().squeeze(1).double() / len(labels) for labels in graphs.labels.split(sizes)])
    assert abs(places.mean() - 0.5) < 0.03  # the positions are uniform over the nodes


@pytest.mark.slow
def test_pattern_has_three_splits():
    for number in range(4, 30):
        splits = pattern(number, 0).splits
        assert all(len(part) for part in splits.values()) and sum(map(len, splits.values())) == number
    with pytest.raises(UserError, match="data.num_graphs=3: too few for three splits; allowed: at least 4"):
        pattern(3, 0)


def test_the_densities_of_pattern():
    arguments = {
        "num_communities": 3,
        "min_nodes": 20,
        "max_nodes": 20,
        "p": 0.8,
        "q": 0.1,
        "pattern_p": 0.3,
        "pattern_q": 0.6,
    }
    graphs = pattern(num_graphs=50, seed=3, **arguments)
    assert graphs.num_nodes.tolist() == [80] * 50
    node = torch.arange(50).repeat_interleave(graphs.num_edges) * 80
    hidden = graphs.labels.bool()
    one, other = hidden[node + graphs.src], hidden[node + graphs.dst]
    pairs = {"background": 50 * 60 * 59, "pattern": 50 * 20 * 19, "between": 50 * 2 * 60 * 20}
    found = {"background": (~one & ~other).sum(), "pattern": (one & other).sum(), "between": (one ^ other).sum()}
    # 19 of a background node's 59 other nodes are in its community.
    wanted = {"background": (19 * 0.8 + 40 * 0.1) / 59, "pattern": 0.3, "between": 0.6}
    for kind in pairs:
        assert abs(float(found[kind]) / pairs[kind] - wanted[kind]) < 0.015, kind


GENERATORS = {
    "block_model": lambda seed: stochastic_block_model(**BLOCKS | {"seed": seed}),
    "mini_gc": lambda seed: mini_gc(16, 6, 12, seed),
    "csl": csl,
    "pattern": lambda seed: pattern(14, seed),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_seed_says_everything(name):
    torch.manual_seed(1)
    np.random.seed(1)
    before = GENERATORS[name](0).digest()
    torch.manual_seed(2)
    np.random.seed(2)
    assert GENERATORS[name](0).digest() == before != GENERATORS[name](1).digest()


@pytest.mark.parametrize("name", GENERATORS)
def test_numbers_of_nodes_classes_and_types_are_int64(name):
    found = GENERATORS[name](0)
    tensors = {field.name: getattr(found, field.name) for field in fields(found)}
    for name, tensor in tensors.items():
        if isinstance(tensor, torch.Tensor):
            assert tensor.dtype == (torch.float32 if name == "features" else torch.int64), name
    assert all(part.dtype == torch.int64 for part in (found.splits or {}).values())
