"""Test Laplacian and random-walk encodings against their definitions."""

import pytest
import torch
from scipy.sparse import linalg

from lightning_dl2.graphs import (
    Graph,
    PackedGraphs,
    laplacian_encoding,
    load_dgl,
    positional_encodings,
    random_walk_encoding,
)
from tests.graphs.examples import block, dense_adjacency, needs_dgl, undirected


def connected(num_nodes: int = 12, seed: int = 0, both_ways: bool = True) -> Graph:
    """Return a random tree with a few more edges, whose eigenvalues all differ."""
    generator = torch.Generator().manual_seed(seed)
    parents = [int(torch.randint(0, node, (1,), generator=generator)) for node in range(1, num_nodes)]
    more = torch.randint(0, num_nodes, (2, num_nodes // 2), generator=generator)
    src, dst = torch.cat([torch.tensor(parents), more[0]]), torch.cat([torch.arange(1, num_nodes), more[1]])
    return Graph(torch.cat([src, dst]), torch.cat([dst, src]), num_nodes) if both_ways else Graph(src, dst, num_nodes)


def dense_laplacian(graph: Graph) -> torch.Tensor:
    linked = (dense_adjacency(graph) + dense_adjacency(graph).T > 0).double().fill_diagonal_(0)
    degrees = linked.sum(1).clamp(min=1)
    return torch.eye(graph.num_nodes, dtype=torch.float64) - linked / (degrees.unsqueeze(1) * degrees).sqrt()


def permuted(graph: Graph, order: torch.Tensor) -> Graph:
    """Renumber the nodes: node order[i] becomes node i."""
    new = torch.empty_like(order)
    new[order] = torch.arange(len(order))
    return Graph(new[graph.src], new[graph.dst], graph.num_nodes)


def several() -> list[Graph]:
    """Return graphs of repeated, unordered sizes, with an empty graph and one without edges."""
    none = torch.empty(0, dtype=torch.int64)
    sizes = [9, 5, 9, 7, 5, 9]
    graphs = [connected(size, seed, both_ways=seed % 2 == 0) for seed, size in enumerate(sizes)]
    return [*graphs[:2], Graph(none, none, 0), *graphs[2:], Graph(none, none, 3)]


@pytest.mark.parametrize("both_ways", [True, False])
def test_laplacian_encodings_are_eigenvectors_from_the_second_on(both_ways):
    graph = connected(both_ways=both_ways)
    vectors = laplacian_encoding(graph, 5)
    assert vectors.dtype == torch.float32 and vectors.shape == (12, 5)
    laplacian, vectors = dense_laplacian(graph), vectors.double()
    values = torch.linalg.eigvalsh(laplacian)
    assert values[0].abs() < 1e-12 and values[1] > 1e-3
    torch.testing.assert_close(laplacian @ vectors, vectors * values[1:6], atol=1e-6, rtol=0)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(5, dtype=torch.float64), atol=1e-6, rtol=0)
    largest = vectors.abs().argmax(0)
    assert (vectors[largest, torch.arange(5)] > 0).all()


def test_signs_do_not_hang_on_rounding():
    """The sign is fixed for entries of equal magnitude: the second eigenvector of a path of 2 is (1, -1)."""
    path = Graph(torch.tensor([0, 1]), torch.tensor([1, 0]), 2)
    torch.testing.assert_close(laplacian_encoding(path, 1), torch.tensor([[0.5**0.5], [-(0.5**0.5)]]))
    rounded = torch.tensor([[[-0.5], [0.5 + 1e-12]]], dtype=torch.float64)
    assert (positional_encodings._orient(rounded) * torch.tensor([[1], [-1]]) > 0).all()


def test_laplacian_encodings_know_no_self_loops_and_parallel_edges():
    graph = connected()
    twice = Graph(*(torch.cat([ends, ends[:5]]) for ends in (graph.src, graph.dst)), 12)
    for other in (graph.with_self_loops(), twice):
        torch.testing.assert_close(laplacian_encoding(other, 4), laplacian_encoding(graph, 4))


@pytest.mark.parametrize("encode", [laplacian_encoding, random_walk_encoding])
def test_encodings_follow_a_renumbering_of_the_nodes(encode):
    graph, order = connected(), torch.randperm(12, generator=torch.Generator().manual_seed(1))
    expected = encode(graph, 4)[order]
    torch.testing.assert_close(encode(permuted(graph, order), 4), expected, atol=1e-5, rtol=0)
    assert not torch.allclose(expected, encode(graph, 4), atol=1e-2)


def test_small_graphs_have_zeros_in_place_of_eigenvectors():
    encoding = laplacian_encoding(undirected(), 8)
    assert encoding[:, :5].any(0).all() and not encoding[:, 5:].any()


@pytest.mark.parametrize("dense_limit", [128, 6, 1])
def test_random_walks_are_powers_of_the_transition_matrix(dense_limit, monkeypatch):
    monkeypatch.setattr(positional_encodings, "MAX_DENSE_WALK_NODES", dense_limit)
    monkeypatch.setattr(positional_encodings, "ENTRIES", 60)  # forces several chunks
    for graph in (connected(both_ways=False), connected(), undirected()):
        step = dense_adjacency(graph).T
        step = step / step.sum(1, keepdim=True).clamp(min=1)
        powers = [torch.linalg.matrix_power(step, i).diagonal() for i in range(1, 6)]
        encoding = random_walk_encoding(graph, 5)
        assert encoding.dtype == torch.float32
        torch.testing.assert_close(encoding, torch.stack(powers, 1).float())


@needs_dgl
def test_random_walks_are_those_of_dgl():
    graph = connected()
    torch.testing.assert_close(random_walk_encoding(graph, 6), load_dgl().random_walk_pe(graph.to_dgl(), 6))


@pytest.mark.parametrize("encode", [laplacian_encoding, random_walk_encoding])
@pytest.mark.parametrize("entries", [2**21, 90])
@pytest.mark.parametrize("dense_limit", [128, 6])
def test_batches_and_packed_graphs_are_encoded_graph_by_graph(encode, entries, dense_limit, monkeypatch):
    monkeypatch.setattr(positional_encodings, "ENTRIES", entries)
    monkeypatch.setattr(positional_encodings, "MAX_DENSE_WALK_NODES", dense_limit)
    graphs = several()
    expected = torch.cat([encode(graph, 6) for graph in graphs])
    packed = PackedGraphs.from_graphs(graphs)
    torch.testing.assert_close(encode(packed, 6), expected)
    torch.testing.assert_close(encode(packed.batch(torch.arange(len(graphs))), 6), expected)


def test_what_cannot_be_encoded_is_said(monkeypatch):
    with pytest.raises(ValueError, match="a sampled block has no positional encodings"):
        random_walk_encoding(block(), 2)
    monkeypatch.setattr(positional_encodings, "MAX_DENSE_EIGENVECTOR_NODES", 5)
    with pytest.raises(ValueError, match="3 Laplacian encodings of 6 nodes; the limit is half of the nodes"):
        laplacian_encoding(undirected(), 3)


def path_graph(size: int) -> Graph:
    return Graph(torch.arange(size - 1), torch.arange(1, size), size)


@pytest.mark.parametrize(("graph", "inverse"), [(connected(300), 0), (path_graph(400), 2)])
def test_large_graphs_have_the_encodings_of_the_dense_method(graph, inverse, monkeypatch):
    """The sparse method repeats its bits; Lanczos' method alone does not converge for the long path."""
    dense = laplacian_encoding(graph, 6)
    monkeypatch.setattr(positional_encodings, "MAX_DENSE_EIGENVECTOR_NODES", 100)
    monkeypatch.setattr(positional_encodings, "RESTARTS", 4)
    factorized, splu = [], linalg.splu
    monkeypatch.setattr(linalg, "splu", lambda matrix: factorized.append(matrix) or splu(matrix))
    sparse = laplacian_encoding(graph, 6)
    torch.testing.assert_close(sparse, dense, atol=1e-5, rtol=0)
    assert torch.equal(laplacian_encoding(graph, 6), sparse) and len(factorized) == inverse


def test_large_graphs_in_parts(monkeypatch):
    """The first eigenvectors, of eigenvalue 0, tell the components apart; an isolated node is in none."""
    monkeypatch.setattr(positional_encodings, "MAX_DENSE_EIGENVECTOR_NODES", 100)
    parts, nodes, src, dst = [connected(120), connected(90), connected(60)], 0, [], []
    for part in parts:
        src, dst = [*src, part.src + nodes], [*dst, part.dst + nodes]
        nodes += part.num_nodes
    whole = Graph(torch.cat(src), torch.cat(dst), nodes + 1)
    vectors, laplacian = laplacian_encoding(whole, 5).double(), dense_laplacian(whole)
    values = torch.linalg.eigvalsh(laplacian)[1:6]
    assert (values[:2].abs() < 1e-12).all() and values[2] > 1e-3
    torch.testing.assert_close(laplacian @ vectors, vectors * values, atol=1e-6, rtol=0)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(5, dtype=torch.float64), atol=1e-6, rtol=0)
    scaled = vectors[:270, :2] / laplacian[:270, :270].count_nonzero(1).sub(1)[:, None].sqrt()
    assert len(scaled.mul(1e5).round().unique(dim=0)) == 3 and (vectors[270].abs() < 1e-12).all()
    none = torch.empty(0, dtype=torch.int64)
    assert torch.equal(laplacian_encoding(Graph(none, none, 200), 3), torch.eye(200)[:, 1:4])
