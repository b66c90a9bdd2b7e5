"""Test the number of updates between two nodes by hand, by powers of the adjacency and by gradients."""

import pytest
import torch

from lightning_dl2.analysis.graphs.spreading import (
    NAMES,
    build_six_nodes,
    count_updates,
    find_arrivals,
    impulse,
    normalized_adjacency,
)
from lightning_dl2.graphs import Graph
from lightning_dl2.nets import GCNConv
from tests.graphs.examples import dense_adjacency, random_graph


def test_c_reaches_e_in_four_updates():
    graph = build_six_nodes()
    assert count_updates(graph, NAMES.index("C"), NAMES.index("E")) == 4
    assert count_updates(graph, NAMES.index("E"), NAMES.index("C")) == 4
    assert find_arrivals(graph, NAMES.index("C")).tolist() == [3, 2, 0, 1, 4, 2]


def test_the_normalised_adjacency_of_the_six_nodes_by_hand():
    degrees = {"A": 4, "B": 3, "C": 2, "D": 4, "E": 2, "F": 3}  # with the self-loop
    edges = {"AB", "AE", "AF", "BD", "CD", "DF"}
    expected = [
        [(degrees[u] * degrees[v]) ** -0.5 if u == v or u + v in edges or v + u in edges else 0 for u in NAMES]
        for v in NAMES
    ]
    torch.testing.assert_close(normalized_adjacency(build_six_nodes()), torch.tensor(expected, dtype=torch.float64))


def test_an_impulse_arrives_with_the_first_power_that_is_not_zero():
    graph = random_graph(20, 30)  # directed, with unreachable nodes
    powers, matrix = [torch.eye(20, dtype=torch.float64)], dense_adjacency(graph)
    for _ in range(20):
        powers.append(matrix @ powers[-1])
    for source in range(20):
        reached = torch.stack([power[:, source] > 0 for power in powers])
        first = torch.where(reached.any(0), reached.int().argmax(0), -1)
        assert torch.equal(find_arrivals(graph, source), first)
        arrived = (impulse(graph, source, 20) > 0).int()
        assert torch.equal(torch.where(arrived.any(0), arrived.argmax(0), -1), first)


def test_so_many_gcn_layers_pass_a_gradient_and_fewer_do_not():
    torch.manual_seed(0)
    graph = build_six_nodes().with_self_loops()
    for num_layers in range(1, 7):
        x = inputs = torch.randn(6, 3, requires_grad=True)
        for _ in range(num_layers):
            x = torch.tanh(GCNConv(3, 3)(graph, x))
        x[NAMES.index("E")].sum().backward()
        assert bool(inputs.grad[NAMES.index("C")].any()) == (num_layers >= 4)


def test_where_no_path_is_there_is_no_number():
    graph = Graph(torch.tensor([0]), torch.tensor([1]), 3)
    assert find_arrivals(graph, 0).tolist() == [0, 1, -1]
    with pytest.raises(ValueError, match="no path leads from node 1 to node 0"):
        count_updates(graph, 1, 0)
