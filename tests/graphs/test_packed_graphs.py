"""Test many graphs in one piece of memory: single graphs, batches and subsets."""

import pickle

import pytest
import torch

from lightning_dl2.graphs import Graph, PackedGraphs, SparseMatrix, load_dgl
from tests.graphs.examples import needs_dgl


def small_graphs() -> list[Graph]:
    """Return graphs of 4, 1, 0, 6 and 3 nodes, the second and third without edges. Features name the row's origin."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for number, (nodes, edges) in enumerate([(4, 7), (1, 0), (0, 0), (6, 9), (3, 1)]):
        ends = torch.randint(0, max(nodes, 1), (2, edges), generator=generator)
        ndata = {"x": 100.0 * number + torch.arange(nodes * 2.0).view(nodes, 2)}
        edata = {"kind": 100 * number + torch.arange(edges), "w": torch.randn(edges, 3, generator=generator)}
        graphs.append(Graph(*ends, nodes, ndata=ndata, edata=edata))
    return graphs


def same(a: Graph, b: Graph) -> None:
    assert a.num_nodes == b.num_nodes and torch.equal(a.batch_num_nodes, b.batch_num_nodes)
    assert torch.equal(a.src, b.src) and torch.equal(a.dst, b.dst) and a.src.dtype == b.src.dtype == torch.int64
    for mine, other in ((a.ndata, b.ndata), (a.edata, b.edata)):
        assert mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


def concatenated(graphs: list[Graph]) -> Graph:
    """Build a batch graph by graph."""
    src, dst, before = [], [], 0
    for graph in graphs:
        src.append(graph.src + before)
        dst.append(graph.dst + before)
        before += graph.num_nodes
    ndata = {name: torch.cat([graph.ndata[name] for graph in graphs]) for name in graphs[0].ndata}
    edata = {name: torch.cat([graph.edata[name] for graph in graphs]) for name in graphs[0].edata}
    counts = torch.tensor([graph.num_nodes for graph in graphs])
    return Graph(torch.cat(src), torch.cat(dst), before, batch_num_nodes=counts, ndata=ndata, edata=edata)


def test_each_graph_comes_back_on_the_memory_of_all():
    graphs = small_graphs()
    packed = PackedGraphs.from_graphs(graphs)
    assert len(packed) == 5 and packed.src.dtype == torch.int32
    for number, graph in enumerate(graphs):
        same(packed[number], graph)
    same(packed[-1], graphs[-1])
    assert packed[3].ndata["x"].data_ptr() == packed.ndata["x"][5:].data_ptr()
    with pytest.raises(IndexError):
        packed[5]


@pytest.mark.parametrize("numbers", [[0, 1, 2, 3, 4], [3, 0, 3, 2], [4], [2], [1, 2]])
def test_a_batch_is_its_graphs_one_after_the_other(numbers):
    graphs = small_graphs()
    batch = PackedGraphs.from_graphs(graphs).batch(torch.tensor(numbers))
    same(batch, concatenated([graphs[number] for number in numbers]))


@needs_dgl
def test_a_batch_is_that_of_dgl():
    graphs = small_graphs()
    index = [3, 0, 1, 4, 3]
    batch = PackedGraphs.from_graphs(graphs).batch(torch.tensor(index))
    handle = load_dgl().batch([graphs[number].to_dgl(features=True) for number in index])
    same(batch, Graph.from_dgl(handle))
    assert torch.equal(batch.to_dgl().batch_num_edges(), handle.batch_num_edges())


def test_an_empty_batch_has_no_graphs():
    batch = PackedGraphs.from_graphs(small_graphs()).batch(torch.empty(0, dtype=torch.int64))
    assert (batch.batch_size, batch.num_nodes, batch.num_edges) == (0, 0, 0)


def test_a_subset_is_packed_again():
    graphs = small_graphs()
    subset = PackedGraphs.from_graphs(graphs).subset(torch.tensor([3, 2, 0]))
    assert len(subset) == 3 and subset.src.dtype == torch.int32 and len(subset.ndata["x"]) == 10
    for mine, number in zip(range(3), [3, 2, 0], strict=True):
        same(subset[mine], graphs[number])


def test_pickling_keeps_everything():
    packed = PackedGraphs.from_graphs(small_graphs())
    same(pickle.loads(pickle.dumps(packed)).batch(torch.tensor([3, 0])), packed.batch(torch.tensor([3, 0])))


def test_pieces_that_do_not_fit_are_said():
    one, ends = torch.tensor([1]), torch.tensor([0])
    PackedGraphs(ends, ends, one, one)
    with pytest.raises(ValueError, match="dst has nodes outside of their graphs; they are numbered from 0"):
        PackedGraphs(ends, ends + 1, one, one)
    with pytest.raises(ValueError, match="src has 1 edges; num_edges add up to 2"):
        PackedGraphs(ends, ends, one, one * 2)
    with pytest.raises(ValueError, match="num_nodes is of 2 graphs, num_edges of 1"):
        PackedGraphs(ends, ends, torch.tensor([1, 1]), one)
    with pytest.raises(ValueError, match=r"edata\['w'\] is Tensor of 2 rows; expected 1, dense"):
        PackedGraphs(ends, ends, one, one, edata={"w": torch.ones(2)})
    with pytest.raises(ValueError, match=r"ndata\['x'\] is SparseMatrix of 1 rows; expected 1, dense"):
        PackedGraphs(ends, ends, one, one, ndata={"x": SparseMatrix.from_dense(torch.ones(1, 1))})
    with pytest.raises(ValueError, match="there are no graphs to pack"):
        PackedGraphs.from_graphs([])
