"""Test that sampled blocks hold edges of the graph, in the requested number, with equal chances for all neighbours."""

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graphs import neighbor_sampling
from lightning_dl2.data.graphs.neighbor_sampling import NeighborBlocks
from lightning_dl2.graphs import Graph, SparseMatrix
from tests.small import NEEDS_DGL

pytestmark = NEEDS_DGL

NODES, EDGES = 60, 400


def graph(**data) -> Graph:
    """Return random directed edges among the first 50 of 60 nodes, without self-loops or parallel edges.

    A node's feature is its number. An edge's feature is 100 times its source's number plus its destination's.
    """
    keys = torch.randperm(2500, generator=torch.Generator().manual_seed(0))
    src, dst = keys // 50, keys % 50
    src, dst = src[src != dst][:EDGES], dst[src != dst][:EDGES]
    numbers = torch.arange(NODES)
    return Graph(src, dst, NODES, ndata={"id": numbers, **data}, edata={"id": 100 * src + dst})


def sources(blocks: list[Graph]) -> list[torch.Tensor]:
    """Return the node numbers of each block's sources, which are the destinations of the block before."""
    found = [blocks[0].ndata["id"]]
    for block in blocks[:-1]:
        found.append(found[-1][: block.num_nodes])
    return found


def same(one: list[Graph], other: list[Graph]) -> bool:
    return all(
        torch.equal(a.src, b.src) and torch.equal(a.dst, b.dst) and torch.equal(a.edata["id"], b.edata["id"])
        for a, b in zip(one, other, strict=True)
    ) and torch.equal(one[0].ndata["id"], other[0].ndata["id"])


@pytest.mark.parametrize("fanouts", [[3], [2, 5], [4, 1, 3]])
def test_every_edge_is_one_of_the_graph_and_as_many_as_asked_for(fanouts):
    whole = graph()
    edges = set(whole.edata["id"].tolist())
    nodes = torch.tensor([40, 3, 55, 17])  # 55 has no edge
    blocks = NeighborBlocks(whole, fanouts).sample(nodes, seed=1)
    assert len(blocks) == len(fanouts)
    for block, numbers, fanout in zip(blocks, sources(blocks), fanouts, strict=True):
        found = 100 * numbers[block.src] + numbers[block.dst]
        assert torch.equal(found, block.edata["id"])
        assert set(found.tolist()) <= edges and len(found.unique()) == len(found)
        expected = whole.in_degrees[numbers[: block.num_nodes]].clamp(max=fanout)
        assert torch.equal(block.in_degrees, expected)
    assert sources(blocks)[-1][: blocks[-1].num_nodes].tolist() == nodes.tolist()
    assert all(not block.ndata for block in blocks[1:])  # only the first block has features


def test_nothing_is_left_out_where_there_is_room_for_all():
    whole = graph()
    (block,) = NeighborBlocks(whole, [NODES]).sample(torch.arange(NODES), seed=0)
    assert sorted(block.edata["id"].tolist()) == sorted(whole.edata["id"].tolist())


def test_a_block_knows_the_degrees_in_the_whole_graph():
    """A block keeps the degrees of the whole graph, by which GCN divides."""
    whole = graph()
    blocks = NeighborBlocks(whole, [2, 2]).sample(torch.arange(9), seed=0)
    for block, numbers in zip(blocks, sources(blocks), strict=True):
        out_degrees, in_degrees = block.full_degrees
        assert torch.equal(out_degrees, whole.out_degrees[numbers])
        assert torch.equal(in_degrees, whole.in_degrees[numbers[: block.num_nodes]])


def test_the_seed_alone_decides():
    sampler = NeighborBlocks(graph(), [3, 3])
    nodes = torch.arange(0, 50, 3)
    first = sampler.sample(nodes, seed=5)
    assert not same(first, sampler.sample(nodes, seed=6))
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert same(first, sampler.sample(nodes, seed=5)) and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    sampler.dgl.seed(1)
    assert same(first, sampler.sample(nodes, seed=5)) and same(first, NeighborBlocks(graph(), [3, 3]).sample(nodes, 5))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.slow
def test_every_neighbour_is_as_likely():
    """Two of node 0's eight in-neighbours are drawn, each in a quarter of 800 draws: 200 +- 12."""
    star = Graph(torch.arange(1, 9), torch.zeros(8, dtype=torch.int64), 9, ndata={"id": torch.arange(9)})
    sampler, counts = NeighborBlocks(star, [2]), torch.zeros(9, dtype=torch.int64)
    for seed in range(800):
        (block,) = sampler.sample(torch.tensor([0]), seed)
        counts[block.ndata["id"]] += 1
    assert counts[0] == 800 and counts.sum() == 2400
    assert (counts[1:] - 200).abs().max() < 5 * 12.3


def test_sparse_features_are_those_of_the_sources():
    x = torch.randn(NODES, 3, generator=torch.Generator().manual_seed(1)).clamp(min=0)
    blocks = NeighborBlocks(graph(x=SparseMatrix.from_dense(x)), [2, 2]).sample(torch.arange(7), seed=0)
    assert torch.equal(blocks[0].ndata["x"].to_dense(), x[blocks[0].ndata["id"]])


def test_without_dgl(monkeypatch):
    monkeypatch.setattr(neighbor_sampling, "load_dgl", lambda: None)
    with pytest.raises(UserError, match=r"data.fanouts=\[3, 3\]: needs dgl, which is not installed; allowed: null"):
        NeighborBlocks(graph(), [3, 3])
