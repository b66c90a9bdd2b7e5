"""Test sampled blocks: their structure, their draws beside DGL's and by theory, self-loops, edges left out."""

from itertools import combinations, product

import numpy as np
import pytest
import torch

from lightning_dl2.graphs import Graph, NeighborBlocks, SparseMatrix, load_dgl, reverse_edges, spmm
from lightning_dl2.graphs.sampling import draw_edges
from tests.small import NEEDS_DGL

NODES, EDGES, ISOLATED = 60, 400, 55
LEFT_OUT = torch.arange(0, EDGES, 3)
MODES = {
    "uniform": {},
    "replace": {"replace": True},
    "weights": {"weights": torch.arange(EDGES) % 4.0},  # a quarter of the edges has weight 0
    "weights, replace": {"weights": torch.arange(EDGES) % 4.0, "replace": True},
}


def graph(**data) -> Graph:
    """Return random directed edges among the first 50 of 60 nodes, with self-loops, without parallel edges.

    A node's feature is its number. An edge's feature is its number.
    """
    keys = torch.randperm(2500, generator=torch.Generator().manual_seed(0))[:EDGES]
    numbers = {"id": torch.arange(NODES), **data}
    return Graph(keys // 50, keys % 50, NODES, ndata=numbers, edata={"id": torch.arange(EDGES)})


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


def stars(copies: int, leaves: int) -> Graph:
    """Return nodes 0 to copies - 1 with an edge from each of `leaves` further nodes: edge i is of leaf i % leaves."""
    src, dst = copies + torch.arange(leaves).repeat(copies), torch.arange(copies).repeat_interleave(leaves)
    return Graph(src, dst, copies + leaves, edata={"leaf": torch.arange(leaves).repeat(copies)})


# Structure.


@pytest.mark.parametrize("leave_out", [None, LEFT_OUT])
@pytest.mark.parametrize("options", MODES.values(), ids=MODES)
@pytest.mark.parametrize("fanouts", [[3], [2, 5], [4, 1, 3], [2, -1], [70, 80]])
def test_every_edge_is_one_of_the_graph_and_as_many_as_asked_for(fanouts, options, leave_out):
    whole, nodes = graph(), torch.tensor([40, 3, ISOLATED, 17])
    allowed = torch.ones(EDGES, dtype=torch.bool) if "weights" not in options else options["weights"] > 0
    if leave_out is not None:
        allowed[leave_out] = False
    blocks = NeighborBlocks(whole, fanouts, **options).sample(nodes, seed=1, leave_out=leave_out)
    assert len(blocks) == len(fanouts)
    for block, numbers, fanout in zip(blocks, sources(blocks), fanouts, strict=True):
        edges = block.edata["id"]
        assert torch.equal(numbers[block.src], whole.src[edges]) and torch.equal(numbers[block.dst], whole.dst[edges])
        assert len(numbers.unique()) == len(numbers) == block.num_src and bool(allowed[edges].all())
        degrees = torch.bincount(whole.dst[allowed], minlength=NODES)[numbers[: block.num_nodes]]
        if fanout == -1:
            expected = degrees
        elif options.get("replace"):
            expected = (degrees > 0) * fanout
        else:
            expected = degrees.clamp(max=fanout)
        assert torch.equal(block.in_degrees, expected) and bool((block.dst.diff() >= 0).all())
        assert options.get("replace") or len(edges.unique()) == len(edges)
        assert set(block.src.tolist()) | set(range(block.num_nodes)) == set(range(block.num_src))
    assert sources(blocks)[-1][: blocks[-1].num_nodes].tolist() == nodes.tolist()
    assert all(not block.ndata for block in blocks[1:])  # only the first block has features


@NEEDS_DGL
@pytest.mark.parametrize("fanout", [-1, 60])
def test_blocks_of_all_in_edges_are_those_of_dgl(fanout):
    """Nodes and edges of each block are DGL's, up to the order of a node's in-edges."""
    dgl, whole, nodes = load_dgl(), graph(), torch.tensor([7, 3, ISOLATED, 20])
    ours = NeighborBlocks(whole, [fanout] * 3).sample(nodes, seed=0)
    _, _, theirs = dgl.dataloading.NeighborSampler([fanout] * 3).sample(whole.to_dgl(), nodes)
    for block, numbers, reference in zip(ours, sources(ours), theirs, strict=True):
        assert torch.equal(numbers.sort().values, reference.srcdata[dgl.NID].sort().values)
        assert torch.equal(block.edata["id"].sort().values, reference.edata[dgl.EID].sort().values)
        targets = reference.dstdata[dgl.NID]
        assert torch.equal(numbers[: block.num_nodes].sort().values, targets.sort().values)
    assert torch.equal(numbers[: block.num_nodes], targets)


def test_a_block_knows_the_degrees_in_the_whole_graph():
    """A block keeps the degrees of the whole graph, by which GCN divides, without the edges that are left out."""
    whole, kept = graph(), torch.ones(EDGES, dtype=torch.bool)
    kept[LEFT_OUT] = False
    for leave_out, rest in ((None, whole), (LEFT_OUT.repeat(2), Graph(whole.src[kept], whole.dst[kept], NODES))):
        blocks = NeighborBlocks(whole, [2, 2]).sample(torch.arange(9), seed=0, leave_out=leave_out)
        for block, numbers in zip(blocks, sources(blocks), strict=True):
            out_degrees, in_degrees = block.full_degrees
            assert torch.equal(out_degrees, rest.out_degrees[numbers])
            assert torch.equal(in_degrees, rest.in_degrees[numbers[: block.num_nodes]])
            assert torch.equal(block.full_self_loops, rest.num_self_loops[numbers])


def test_all_in_edges_but_some_are_those_of_the_graph_without_them():
    whole, kept = graph(), torch.ones(EDGES, dtype=torch.bool)
    kept[LEFT_OUT] = False
    data = {"ndata": whole.ndata, "edata": {"id": whole.edata["id"][kept]}}
    rest = Graph(whole.src[kept], whole.dst[kept], NODES, **data)
    nodes = torch.tensor([40, 3, ISOLATED, 17])
    expected = NeighborBlocks(rest, [-1, 30]).sample(nodes, 0)
    assert same(NeighborBlocks(whole, [-1, 30]).sample(nodes, 0, leave_out=LEFT_OUT), expected)


def test_sparse_features_are_those_of_the_sources():
    x = torch.randn(NODES, 3, generator=torch.Generator().manual_seed(1)).clamp(min=0)
    blocks = NeighborBlocks(graph(x=SparseMatrix.from_dense(x)), [2, 2]).sample(torch.arange(7), seed=0)
    assert torch.equal(blocks[0].ndata["x"].to_dense(), x[blocks[0].ndata["id"]])


def test_odd_graphs():
    none = torch.zeros(0, dtype=torch.int64)
    empty = Graph(none, none, 3, ndata={"id": torch.arange(3)}, edata={"id": none})
    for options in ({}, {"replace": True}, {"weights": torch.zeros(0)}):
        blocks = NeighborBlocks(empty, [2, 2], **options).sample(torch.tensor([2, 0]), 0)
        assert [block.num_edges for block in blocks] == [0, 0] and blocks[0].ndata["id"].tolist() == [2, 0]
    (block,) = NeighborBlocks(graph(), [2]).sample(none, 0)
    assert (block.num_nodes, block.num_src, block.num_edges) == (0, 0, 0)


# Seeds.


@pytest.mark.parametrize("options", MODES.values(), ids=MODES)
def test_the_seed_alone_decides(options):
    sampler = NeighborBlocks(graph(), [3, 3], **options)
    nodes = torch.arange(0, 50, 3)
    first = sampler.sample(nodes, seed=5)
    assert not same(first, sampler.sample(nodes, seed=6))
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]
    assert same(first, sampler.sample(nodes, seed=5))
    assert same(first, NeighborBlocks(graph(), [3, 3], **options).sample(nodes, 5))
    assert torch.equal(torch_state, torch.get_rng_state()) and np.array_equal(numpy_state, np.random.get_state()[1])


def test_draws_stay_what_they_were():
    """Golden draws: a resumed run draws what the run drew that began with another version."""
    found = {}
    for name, options in MODES.items():
        (block,) = NeighborBlocks(graph(), [3], **options).sample(torch.tensor([40, 3]), seed=7)
        found[name] = block.edata["id"].tolist()
    assert found == GOLDEN


GOLDEN = {
    "uniform": [185, 137, 199, 270, 77, 287],
    "replace": [137, 16, 101, 77, 225, 287],
    "weights": [14, 199, 101, 3, 270, 377],
    "weights, replace": [14, 50, 101, 270, 287, 287],
}


# Draws.


def draw_stars(fanout: int, leaves: int, copies: int = 4000, **options) -> torch.Tensor:
    """Return the leaves drawn for each of many equal stars, ascending, [copies, fanout]."""
    whole = stars(copies, leaves)
    if "weights" in options:
        options["weights"] = torch.tensor(options["weights"]).repeat(copies)
    (block,) = NeighborBlocks(whole, [fanout], **options).sample(torch.arange(copies), seed=3)
    return block.edata["leaf"].view(copies, fanout).sort(1).values


def draw_stars_by_dgl(fanout: int, leaves: int, copies: int = 4000, **options) -> torch.Tensor:
    dgl, whole = load_dgl(), stars(copies, leaves)
    handle = whole.to_dgl(features=True)
    if "weights" in options:
        handle.edata["p"] = torch.tensor(options.pop("weights")).repeat(copies)
        options["prob"] = "p"
    dgl.seed(3)
    _, _, (block,) = dgl.dataloading.NeighborSampler([fanout], **options).sample(handle, torch.arange(copies))
    _, dst = block.edges()
    leaf = whole.edata["leaf"][block.edata[dgl.EID]][torch.argsort(dst, stable=True)]
    return leaf.view(copies, fanout).sort(1).values


def probabilities(fanout: int, leaves: int, replace: bool = False, weights=None) -> dict[tuple[int, ...], float]:
    """Return the probability of each multiset of leaves, by the sum over all orders of successive draws."""
    weights = torch.ones(leaves).tolist() if weights is None else weights
    found: dict[tuple[int, ...], float] = {}
    for drawn in product(range(leaves), repeat=fanout):
        if not replace and len(set(drawn)) < fanout:
            continue
        left, p = sum(weights), 1.0
        for leaf in drawn:
            p *= weights[leaf] / left
            left -= 0 if replace else weights[leaf]
        key = tuple(sorted(drawn))
        found[key] = found.get(key, 0.0) + p
    return found


SKEWED = [1.0, 2.0, 0.0, 4.0, 0.5]
CASES = [
    (2, 5, {}),
    (3, 5, {"replace": True}),
    (2, 5, {"weights": SKEWED}),
    (2, 5, {"weights": SKEWED, "replace": True}),
]


@pytest.mark.parametrize("many", [64, 1])
@pytest.mark.parametrize(("fanout", "leaves", "options"), CASES)
@pytest.mark.parametrize("draw", [draw_stars, pytest.param(draw_stars_by_dgl, marks=NEEDS_DGL)])
def test_draws_have_the_probabilities_of_theory(draw, fanout, leaves, options, many, monkeypatch):
    """Each set is drawn as often as its probability says, within 5 standard deviations; DGL's by the same measure."""
    monkeypatch.setattr(draw_edges, "MANY", many)  # 1: uniform draws by random keys, too
    drawn = draw(fanout, leaves, **options)
    expected = probabilities(fanout, leaves, **options)
    sets, counts = drawn.unique(dim=0, return_counts=True)
    found = dict(zip(map(tuple, sets.tolist()), counts.tolist(), strict=True))
    assert found.keys() <= {key for key, p in expected.items() if p > 0}
    for key, p in expected.items():
        assert abs(found.get(key, 0) - len(drawn) * p) <= 5 * (len(drawn) * p * (1 - p)) ** 0.5, key


def test_draws_of_different_nodes_are_independent():
    """The pairs of two neighbouring stars are as likely as the product of their probabilities."""
    drawn = draw_stars(1, 3, copies=9000).view(-1, 2)
    counts = torch.bincount(drawn[:, 0] * 3 + drawn[:, 1], minlength=9)
    assert (counts - 500).abs().max() < 5 * (4500 * 8 / 81) ** 0.5


def test_draws_among_the_rest_are_as_likely():
    copies, leaves = 4000, 6
    whole = stars(copies, leaves)
    leave_out = torch.arange(0, copies * leaves, leaves) + 2  # the edge of leaf 2 of each star
    (block,) = NeighborBlocks(whole, [2]).sample(torch.arange(copies), 0, leave_out=leave_out)
    counts = torch.bincount(block.edata["leaf"], minlength=leaves)
    assert counts[2] == 0 and (counts[[0, 1, 3, 4, 5]] - 1600).abs().max() < 5 * (copies * 0.4 * 0.6) ** 0.5


@pytest.mark.parametrize("loops", [False, True])
def test_a_sampled_sum_is_unbiased_where_a_self_loop_may_be_drawn(loops):
    """The mean over all pairs of 5 in-edges, one of them a self-loop, is the sum over all, with GCN's weights."""
    src = torch.tensor([0, 1, 2, 3, 4, 2, 3, 4, 0, 3])
    whole = Graph(src, torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 3, 3]), 5)
    x = torch.randn(5, 3, dtype=torch.float64)
    total = torch.zeros(1, 3, dtype=torch.float64)
    for kept in combinations(range(5), 2):
        rest = torch.tensor([edge for edge in range(5) if edge not in kept])
        block = _block_of(whole, rest)
        sampled = block.with_self_loops() if loops else block
        total += sampled.normalized_adjacency(torch.float64) @ x[block.ndata["id"]]
    exact = (whole.with_self_loops() if loops else whole).normalized_adjacency(torch.float64) @ x
    torch.testing.assert_close(total / 10, exact[:1])


def _block_of(whole: Graph, leave_out: torch.Tensor) -> Graph:
    """Return the block of node 0 without some edges, and the degrees of the whole graph."""
    with_ids = whole.replace(ndata={"id": torch.arange(whole.num_nodes)})
    (block,) = NeighborBlocks(with_ids, [-1]).sample(torch.tensor([0]), 0, leave_out=leave_out)
    ids = block.ndata["id"]
    block.full_degrees = whole.out_degrees[ids], whole.in_degrees[ids[:1]]
    block.full_self_loops = whole.num_self_loops[ids]
    return block


@pytest.mark.parametrize("replace", [False, True])
def test_estimates_are_unbiased_and_the_weights_where_all_are_kept(replace):
    """The mean over many equal stars of the estimated mean of w * x is that of all leaves, within 5 deviations."""
    weights, x = torch.tensor([1.0, 2.0, 0.3, 4.0, 0.5, 1.5]), torch.tensor([3.0, -1.0, 5.0, 0.5, -2.0, 8.0])
    whole = stars(6000, 6).replace(edata={"leaf": torch.arange(6).repeat(6000), "w": weights.repeat(6000)})
    options = {"weights": whole.edata["w"], "replace": replace, "estimates": "w"}
    (block,) = NeighborBlocks(whole, [3], **options).sample(torch.arange(6000), seed=0)
    means = spmm(block.replace(ndata={}), None, block.edata["w"] * x[block.edata["leaf"]], reduce="mean").double()
    assert abs(means.mean() - (weights * x).mean()) < 5 * means.std() / 6000**0.5
    (block,) = NeighborBlocks(whole, [6], **options | {"replace": False}).sample(torch.arange(9), seed=0)
    assert torch.equal(block.edata["w"], weights[block.edata["leaf"]])


# Errors, and the reverse of edges.


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda g: NeighborBlocks(g, []), r"fanouts=\[\]: allowed: positive numbers"),
        (lambda g: NeighborBlocks(g, [3, 0]), r"fanouts=\[3, 0\]"),
        (lambda g: NeighborBlocks(g, [3], weights=torch.ones(2)), r"weights are \[2\]; expected \[400\]"),
        (lambda g: NeighborBlocks(g, [3], weights=-torch.ones(EDGES)), "weights hold a number below 0"),
        (lambda g: NeighborBlocks(g, [3], weights=torch.full((EDGES,), torch.nan)), "not finite"),
        (lambda g: NeighborBlocks(g, [3], estimates="w"), "estimates='w': needs weights"),
        (lambda g: NeighborBlocks(g, [3]).sample(torch.tensor([1, 2, 1]), 0), "nodes holds a node twice"),
        (lambda g: NeighborBlocks(g, [3]).sample(torch.tensor([60]), 0), "nodes holds 60 to 60 of 60 nodes"),
        (lambda g: NeighborBlocks(g, [3]).sample(torch.tensor([1]), 0, torch.tensor([400])), "edges 400 to 400 of 400"),
    ],
)
def test_what_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call(graph())


def test_a_refused_batch_leaves_nothing_behind():
    sampler, nodes = NeighborBlocks(graph(), [3]), torch.tensor([4, 9])
    expected = sampler.sample(nodes, 0)
    with pytest.raises(ValueError, match="twice"):
        sampler.sample(torch.tensor([9, 9]), 0)
    assert same(sampler.sample(nodes, 0), expected)


def test_the_reverse_of_each_edge():
    src, dst = torch.tensor([0, 1, 1, 0, 2, 1, 2]), torch.tensor([1, 0, 2, 1, 2, 0, 0])
    assert reverse_edges(Graph(src, dst, 3)).tolist() == [1, 0, -1, 5, 4, 3, -1]
    assert reverse_edges(Graph(src[:0], dst[:0], 3)).tolist() == []
