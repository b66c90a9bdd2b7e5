"""Test the conversion of graphs to DGL and back, without a copy of the edges."""

import pytest
import torch

from lightning_dl2.graphs import Graph, SparseMatrix, load_dgl
from tests.graphs.examples import ALL, batch_of_four, block, needs_dgl, undirected

pytestmark = needs_dgl


@pytest.mark.parametrize("make", ALL)
def test_there_and_back(make):
    graph = make()
    x, w = torch.randn(graph.num_src, 2), torch.randn(graph.num_edges, 3)
    graph = graph.replace(ndata={"x": x}, edata={"w": w})
    again = Graph.from_dgl(graph.to_dgl(features=True))
    for name in ("src", "dst", "batch_num_nodes"):
        assert torch.equal(getattr(again, name), getattr(graph, name))
    assert (again.num_nodes, again.num_src, again.is_block) == (graph.num_nodes, graph.num_src, graph.is_block)
    for there, back in ((graph.src, again.src), (x, again.ndata["x"]), (w, again.edata["w"])):
        assert there.data_ptr() == back.data_ptr()


def test_batches_keep_their_edges_apart():
    handle = batch_of_four().to_dgl()
    assert handle.batch_num_nodes().tolist() == [5, 0, 3, 1] and handle.batch_num_edges().tolist() == [8, 0, 0, 0]


def test_the_handle_is_made_once_and_has_no_features():
    graph = undirected().replace(ndata={"x": torch.ones(6, 1)})
    handle = graph.to_dgl()
    assert graph.using("dgl").to_dgl() is handle
    graph.to_dgl(features=True)
    assert not handle.ndata and not handle.edata


def test_blocks_have_dgl_s_numbering():
    handle = block().to_dgl()
    assert handle.is_block and handle.num_src_nodes() == 6 and handle.num_dst_nodes() == 3
    assert handle.in_degrees().tolist() == [3, 0, 2]


def test_sparse_features_stay_behind():
    graph = undirected().replace(ndata={"x": torch.ones(6, 1), "s": SparseMatrix.from_dense(torch.eye(6))})
    assert list(graph.to_dgl(features=True).ndata) == ["x"]


def test_several_types_of_edges_are_refused():
    ends = (torch.tensor([0]), torch.tensor([0]))
    handle = load_dgl().heterograph({("a", "r", "b"): ends, ("b", "s", "a"): ends})
    with pytest.raises(ValueError, match=r"edge types \['r', 's'\]; a Graph holds one type"):
        Graph.from_dgl(handle)


def test_int32_graphs_are_widened():
    handle = load_dgl().graph((torch.tensor([0, 1]).int(), torch.tensor([1, 0]).int()), num_nodes=2)
    assert Graph.from_dgl(handle).src.dtype == torch.int64
