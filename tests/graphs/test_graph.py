"""Test graphs: checks of their parts, degrees, batches, blocks and self-loops."""

import pickle

import pytest
import torch

from lightning_dl2.graphs import Graph, SparseMatrix, spmm
from tests.graphs.examples import ALL, batch_of_four, block, dense_adjacency, random_graph, undirected, without_edges


def ints(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"src": ints(0, 1, 5)}, "src holds node 0 to 5 of 5 nodes"),
        ({"dst": ints(0, -1, 2)}, "dst holds node -1 to 2 of 5 nodes"),
        ({"dst": ints(0, 1)}, "src has 3 edges, dst 2"),
        ({"src": ints(0, 1, 2).int()}, r"src is torch.int32 \[3\]; expected int64 \[E\]"),
        ({"num_src": 4}, "a block of 5 destinations has 4 sources"),
        ({"batch_num_nodes": ints(2, 2)}, "batch_num_nodes add up to 4, not 5 nodes"),
        ({"ndata": {"x": torch.zeros(4, 2)}}, r"ndata\['x'\] has 4 rows; expected 5"),
        ({"ndata": {"x": SparseMatrix.from_dense(torch.eye(4))}}, r"ndata\['x'\] has 4 rows; expected 5"),
        ({"edata": {"w": torch.zeros(5)}}, r"edata\['w'\] has 5 rows; expected 3"),
        ({"num_src": 7, "full_degrees": (ints(1), ints(1))}, r"full_degrees are \(1, 1\) numbers; expected \(7, 5\)"),
    ],
)
def test_pieces_that_do_not_fit_are_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        Graph(**{"src": ints(0, 1, 2), "dst": ints(1, 2, 4), "num_nodes": 5} | arguments)


def test_replaced_features_must_fit_too():
    with pytest.raises(ValueError, match=r"edata\['w'\] has 2 rows; expected 12"):
        undirected().replace(edata={"w": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"ndata\['x'\] has 2 rows; expected 6"):
        undirected().replace(ndata={"x": torch.zeros(2)})


@pytest.mark.parametrize("make", ALL)
def test_compressed_rows_and_degrees(make):
    graph = make()
    counts = dense_adjacency(graph)
    assert torch.equal(graph.in_degrees, counts.sum(1).long()) and torch.equal(graph.out_degrees, counts.sum(0).long())
    for csr, rows, cols, degrees in (
        (graph.in_csr(), graph.dst, graph.src, graph.in_degrees),
        (graph.out_csr(), graph.src, graph.dst, graph.out_degrees),
    ):
        indptr, others, edges = csr
        assert torch.equal(indptr.diff(), degrees) and indptr[0] == 0
        assert torch.equal(edges.sort().values, torch.arange(graph.num_edges))
        assert torch.equal(cols[edges], others) and torch.equal(rows[edges], rows.sort().values)


def test_segments_of_a_batch():
    graph = batch_of_four()
    assert graph.segments().tolist() == [0, 5, 5, 8, 9]
    assert graph.graph_of_node.tolist() == [0] * 5 + [2] * 3 + [3]
    assert (graph.batch_size, graph.num_nodes, graph.num_src, graph.num_edges) == (4, 9, 9, 8)


@pytest.mark.parametrize("make", [batch_of_four, undirected, random_graph, without_edges])
def test_normalized_adjacency_is_the_dense_formula(make):
    graph = make()
    counts = dense_adjacency(graph)
    expected = counts / (counts.sum(1, keepdim=True).clamp(min=1) * counts.sum(0).clamp(min=1)).sqrt()
    matrix = graph.normalized_adjacency(torch.float64)
    torch.testing.assert_close(matrix.to_dense(), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(matrix.transpose().to_dense(), expected.T, atol=1e-12, rtol=0)
    assert graph.normalized_adjacency().dtype == torch.float32


def test_symmetry_is_seen():
    assert undirected().normalized_adjacency().symmetric and undirected().with_self_loops().adjacency().symmetric
    assert without_edges().is_symmetric
    cycle = Graph(ints(0, 1, 2), ints(1, 2, 0), 3)  # a directed cycle, whose in- and out-degrees are equal
    weighted = Graph(ints(0, 0, 1, 1, 2, 2), ints(1, 1, 2, 2, 0, 0), 3)
    for graph in (cycle, weighted, batch_of_four(), block()):
        assert not graph.is_symmetric and not graph.adjacency().symmetric


def test_a_block_is_normalized_by_the_degrees_of_the_whole_graph():
    graph = block()
    out_degrees, in_degrees = (degrees.double() for degrees in graph.full_degrees)
    counts = dense_adjacency(graph)
    expected = counts / (in_degrees.unsqueeze(1) * out_degrees).sqrt()
    expected *= (in_degrees / ints(3, 1, 2)).unsqueeze(1)  # in-edges in the graph per in-edge in the block
    torch.testing.assert_close(graph.normalized_adjacency(torch.float64).to_dense(), expected)


@pytest.mark.parametrize("loops", [False, True])
def test_a_sampled_sum_is_unbiased(loops):
    """The mean over all 10 blocks of 2 of node 0's 5 in-neighbours is the sum over all its in-neighbours."""
    neighbours = ints(1, 2, 3, 4, 5)
    rest = ints(2, 3, 4, 5, 0), ints(1, 1, 2, 3, 5)  # gives the neighbours different degrees
    whole = Graph(torch.cat([neighbours, rest[0]]), torch.cat([torch.zeros(5, dtype=torch.int64), rest[1]]), 6)
    x = torch.randn(6, 3, dtype=torch.float64)
    total = torch.zeros(1, 3, dtype=torch.float64)
    for drawn in torch.combinations(neighbours):
        sampled = Graph(ints(1, 2), ints(0, 0), 1, num_src=3, full_degrees=_degrees(whole, [0, *drawn.tolist()]))
        sampled = sampled.with_self_loops() if loops else sampled
        total += sampled.normalized_adjacency(torch.float64) @ x[[0, *drawn.tolist()]]
    exact = (whole.with_self_loops() if loops else whole).normalized_adjacency(torch.float64) @ x
    torch.testing.assert_close(total / 10, exact[:1])


def _degrees(whole: Graph, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    return whole.out_degrees[ids], whole.in_degrees[ids[:1]]


@pytest.mark.parametrize("make", ALL)
def test_self_loops_are_one_for_each_destination(make):
    graph = make()
    looped = graph.with_self_loops()
    counts = dense_adjacency(graph)
    counts[:, : graph.num_nodes].fill_diagonal_(1)
    assert torch.equal(dense_adjacency(looped), counts)
    assert looped.with_self_loops() is looped
    assert torch.equal(looped.batch_num_nodes, graph.batch_num_nodes) and looped.is_block == graph.is_block
    assert graph.with_self_loops().in_csr() is looped.in_csr()  # computed once
    if graph.full_degrees:
        for before, after in zip(graph.full_degrees, looped.full_degrees, strict=True):
            assert torch.equal(before + 1, after)


def test_features_stay_with_their_edges_when_self_loops_come():
    graph = batch_of_four()
    weights = torch.arange(1.0, 9.0)
    graph = graph.replace(edata={"w": weights}, ndata={"x": torch.ones(9, 2)}).using("dgl")
    looped = graph.with_self_loops()
    assert looped.engine == "dgl" and looped.ndata["x"] is graph.ndata["x"]
    assert looped.edata["w"].tolist() == [1, 2, 3, 4, 6, 7, 8] + [0] * 9
    assert torch.equal(looped.src[:7], graph.src[weights != 5]) and torch.equal(looped.dst[:7], graph.dst[weights != 5])
    again = graph.replace(edata={"w": weights * 2}).with_self_loops()
    assert again.edata["w"].tolist() == [2, 4, 6, 8, 12, 14, 16] + [0] * 9


@pytest.mark.parametrize("loops", [False, True])
def test_blocks_of_all_in_edges_give_the_whole_graph_piece_by_piece(loops):
    graph = random_graph(edata={"w": torch.randn(120, 1, dtype=torch.float64)})
    graph = graph.with_self_loops() if loops else graph
    x = torch.randn(40, 3, dtype=torch.float64)
    sums, normalized = [], []
    for start in range(0, 40, 7):
        stop = min(start + 7, 40)
        piece, ids, edges = graph.in_block(start, stop)
        assert piece.is_block and piece.num_nodes == stop - start and piece.num_src == len(ids.unique())
        assert ids[: stop - start].tolist() == list(range(start, stop))
        assert torch.equal(ids[piece.src], graph.src[edges]) and torch.equal(piece.dst + start, graph.dst[edges])
        sums.append(spmm(piece, x[ids], graph.edata["w"][edges]))
        normalized.append(piece.with_self_loops().normalized_adjacency(torch.float64) @ x[ids] if loops else None)
        expected = graph.normalized_adjacency(torch.float64).to_dense()[start:stop][:, ids]
        torch.testing.assert_close(piece.normalized_adjacency(torch.float64).to_dense(), expected)
    torch.testing.assert_close(torch.cat(sums), spmm(graph, x, graph.edata["w"]))
    if loops:
        torch.testing.assert_close(torch.cat(normalized), graph.normalized_adjacency(torch.float64) @ x)


def test_self_loops_on_a_block_of_all_in_edges_are_those_of_the_whole_graph():
    whole = undirected()
    x = torch.randn(6, 2, dtype=torch.float64)
    exact = whole.with_self_loops().normalized_adjacency(torch.float64) @ x
    piece, ids, _ = whole.in_block(1, 4)
    torch.testing.assert_close(piece.with_self_loops().normalized_adjacency(torch.float64) @ x[ids], exact[1:4])


def test_copies_share_what_was_made_and_differ_in_what_was_asked():
    graph = undirected().replace(ndata={"x": torch.ones(6, 1)})
    csr = graph.in_csr()
    for copy in (graph.using("dgl"), graph.replace(ndata={}), graph.replace(edata={"w": torch.ones(12)})):
        assert copy.in_csr() is csr and copy.src is graph.src
    assert (graph.using("dgl").engine, graph.engine) == ("dgl", "torch")
    assert list(graph.replace(ndata={}).ndata) == [] and list(graph.replace(edata={}).ndata) == ["x"]
    later = graph.using("dgl").out_csr()
    assert graph.out_csr() is later


def test_a_graph_takes_an_engine_that_is_chosen():
    with pytest.raises(ValueError, match="engine=auto; a graph takes torch or dgl, and resolve_engine chooses"):
        undirected().using("auto")


@pytest.mark.slow
def test_moves_take_everything_along():
    sparse = SparseMatrix.from_dense(torch.eye(6))
    graph = block().replace(ndata={"x": sparse}, edata={"w": torch.ones(5)}).using("dgl")
    assert graph.to("cpu") is graph
    assert graph.segments().device.type == "cpu" and graph.to("meta").segments().device.type == "meta"
    moved = graph.with_self_loops().to("meta")
    tensors = [moved.src, moved.dst, moved.batch_num_nodes, *moved.full_degrees, *moved.edata.values()]
    assert {tensor.device.type for tensor in [*tensors, moved.ndata["x"]]} == {"meta"}
    assert moved.engine == "dgl" and moved.is_block and moved.with_self_loops() is moved


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinned memory needs CUDA")
def test_pinned_graphs_reach_the_gpu():
    graph = batch_of_four().replace(edata={"w": torch.ones(8)}).pin_memory()
    assert graph.src.is_pinned() and graph.edata["w"].is_pinned()
    assert graph.to("cuda", non_blocking=True).device.type == "cuda"


def test_pickling_drops_caches():
    graph = block().replace(ndata={"x": SparseMatrix.from_dense(torch.eye(6))}).using("dgl").with_self_loops()
    bare = len(pickle.dumps(graph))
    graph.normalized_adjacency().transpose(), graph.is_symmetric
    assert len(pickle.dumps(graph)) == bare
    again = pickle.loads(pickle.dumps(graph))
    assert torch.equal(again.src, graph.src) and again.engine == "dgl" and again.with_self_loops() is again
    assert torch.equal(again.normalized_adjacency().to_dense(), graph.normalized_adjacency().to_dense())
