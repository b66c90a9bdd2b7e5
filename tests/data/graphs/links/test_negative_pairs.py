"""Test that negatives are no edges, uniform, and a function of the generator alone."""

import numpy as np
import pytest

from lightning_dl2.data.graphs.links.negative_pairs import NegativePairs


def build(nodes: int, edges: int, directed: bool, seed: int = 0) -> tuple[NegativePairs, set[tuple[int, int]]]:
    """Return pairs of a random graph with a self-loop and a repeated edge, and the set of its edges."""
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(nodes, size=(2, edges))
    src, dst = np.append(src, [0, src[0]]), np.append(dst, [0, dst[0]])
    there = set(zip(src.tolist(), dst.tolist(), strict=True))
    if not directed:
        there |= {(other, one) for one, other in there}
    return NegativePairs(src, dst, nodes, directed), there


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("edges", [5, 40, 120], ids=["sparse", "middle", "dense"])
def test_negatives_are_pairs_without_an_edge_and_equally_likely(edges, directed):
    pairs, there = build(12, edges, directed)
    free = [(u, v) for u in range(12) for v in range(12) if u != v and (u, v) not in there and (directed or u < v)]
    assert len(pairs) == len(free) > 0
    drawn = pairs.draw(200 * len(free), np.random.default_rng(1))
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert list(map(tuple, found.tolist())) == free
    assert 120 < counts.min() and counts.max() < 280  # 200 with a deviation of 14
    distinct = pairs.draw_distinct(len(free), np.random.default_rng(2))
    assert sorted(map(tuple, distinct.tolist())) == free
    few = pairs.draw_distinct(len(free) // 3, np.random.default_rng(3))
    assert len(np.unique(few, axis=0)) == len(few) == len(free) // 3
    assert np.array_equal(few, pairs.draw_distinct(len(free) // 3, np.random.default_rng(3)))


def test_forbidden_pairs_are_never_drawn():
    pairs, _ = build(12, 5, directed=False)
    held_out = pairs.draw_distinct(20, np.random.default_rng(0))
    left = pairs.without(*held_out.T[::-1])  # in either order
    assert len(left) == len(pairs) - 20
    drawn = left.draw(2000, np.random.default_rng(0))
    assert {*map(tuple, drawn.tolist())}.isdisjoint(map(tuple, held_out.tolist()))


def test_a_graph_without_free_pairs_is_told():
    src, dst = np.triu_indices(5, 1)
    full = NegativePairs(src, dst, 5, directed=False)
    with pytest.raises(ValueError, match="every pair of nodes has an edge"):
        full.draw(1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="1 pairs of nodes have no edge, 2 are needed"):
        NegativePairs(src[1:], dst[1:], 5, directed=False).draw_distinct(2, np.random.default_rng(0))
