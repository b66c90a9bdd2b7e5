"""Test the colour refinements on pairs whose answers are known."""

import networkx as nx
import pytest

from lightning_dl2.analysis.brec.color_refinement import tells_apart
from tests.graph_pairs import graph_of, hexagon_and_triangles, rook_and_shrikhande

PAIRS = {
    "hexagon": (hexagon_and_triangles(), {"3-wl"}),
    "strongly regular": (rook_and_shrikhande(), set()),
    "path and star": ((nx.path_graph(5), nx.star_graph(4)), {"1-wl", "3-wl"}),
    "another size": ((nx.path_graph(5), nx.path_graph(6)), {"1-wl", "3-wl"}),
    "a node alone": ((nx.disjoint_union(nx.path_graph(3), nx.empty_graph(1)), nx.path_graph(4)), {"1-wl", "3-wl"}),
}


@pytest.mark.parametrize("method", ["1-wl", "3-wl"])
@pytest.mark.parametrize("name", PAIRS)
def test_known_pairs(name, method):
    (first, second), apart = PAIRS[name]
    assert tells_apart(method, graph_of(first), graph_of(second)) == (method in apart)


@pytest.mark.parametrize("method", ["1-wl", "3-wl"])
def test_another_numbering_is_the_same_graph(method):
    found = nx.gnp_random_graph(12, 0.3, seed=0)
    other = nx.relabel_nodes(found, dict(zip(found, reversed(list(found)), strict=True)))
    ordered = nx.Graph()
    ordered.add_nodes_from(range(12))
    ordered.add_edges_from(other.edges())
    assert not tells_apart(method, graph_of(found), graph_of(ordered))
    assert method == "3-wl" or tells_apart(method, graph_of(found), graph_of(nx.complement(found)))


@pytest.mark.filterwarnings("ignore:The hashes produced")
def test_1_wl_is_that_of_networkx():
    graphs = [nx.gnp_random_graph(7, 0.3, seed=seed) for seed in range(8)]
    hashes = [nx.weisfeiler_lehman_graph_hash(graph, iterations=7) for graph in graphs]
    for first, one in zip(graphs, hashes, strict=True):
        for second, other in zip(graphs, hashes, strict=True):
            assert tells_apart("1-wl", graph_of(first), graph_of(second)) == (one != other)
