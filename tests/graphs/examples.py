"""Build graphs with difficult parts: parallel edges, self-loops, isolated nodes, empty graphs in a batch."""

import pytest
import torch

from lightning_dl2.graphs import Graph, dgl_available

needs_dgl = pytest.mark.skipif(not dgl_available(), reason="there is no DGL for this Python")
ENGINES = ["torch", pytest.param("dgl", marks=needs_dgl)]


def batch_of_four() -> Graph:
    """Return graphs of 5, 0, 3 and 1 nodes; the last two have no edges. Node 4 is isolated, 0 -> 1 is there twice."""
    src = torch.tensor([0, 3, 0, 1, 2, 2, 3, 1])
    dst = torch.tensor([1, 1, 1, 0, 2, 3, 2, 3])
    return Graph(src, dst, 9, batch_num_nodes=torch.tensor([5, 0, 3, 1]))


def undirected() -> Graph:
    """Return 6 nodes, A to F, with the edges AB AE AF BD CD DF in both directions."""
    a, b = torch.tensor([0, 0, 0, 1, 2, 3]), torch.tensor([1, 4, 5, 3, 3, 5])
    return Graph(torch.cat([a, b]), torch.cat([b, a]), 6)


def block() -> Graph:
    """Return 3 destinations out of 6 sources; destination 1 has no in-edge. Degrees of the whole graph are larger."""
    src, dst = torch.tensor([3, 4, 5, 0, 5]), torch.tensor([0, 0, 0, 2, 2])
    return Graph(src, dst, 3, num_src=6, full_degrees=(torch.tensor([4, 2, 1, 3, 9, 2]), torch.tensor([6, 2, 2])))


def random_graph(num_nodes: int = 40, num_edges: int = 120, seed: int = 0, **arguments) -> Graph:
    """Return a random graph in which the last quarter of the nodes is isolated."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, num_nodes * 3 // 4, (2, num_edges), generator=generator)
    return Graph(*ends, num_nodes, **arguments)


def without_edges(num_nodes: int = 4) -> Graph:
    return Graph(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64), num_nodes)


def dense_adjacency(graph: Graph) -> torch.Tensor:
    """Count the edges from each source (column) to each destination (row), one by one: float64 [N, S]."""
    counts = torch.zeros(graph.num_nodes, graph.num_src, dtype=torch.float64)
    for src, dst in zip(graph.src.tolist(), graph.dst.tolist(), strict=True):
        counts[dst, src] += 1
    return counts


ALL = [batch_of_four, undirected, block, random_graph, without_edges]
