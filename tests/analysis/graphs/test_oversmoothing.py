"""Test that deep graph convolutions make all nodes alike, and that nets which keep their input do not."""

import pytest
import torch

from lightning_dl2.analysis.graphs.oversmoothing import cosine_similarity, dirichlet_energy, load, measure
from lightning_dl2.analysis.graphs.spreading import build_six_nodes, normalized_adjacency


def test_the_energy_is_the_sum_over_the_edges():
    graph, x = build_six_nodes(), torch.randn(6, 3, dtype=torch.float64)
    scaled = x / (graph.in_degrees + 1).double().sqrt()[:, None]
    expected = (scaled[graph.src] - scaled[graph.dst]).square().sum() / 2 / x.square().sum()
    torch.testing.assert_close(dirichlet_energy(graph, x), expected.item())
    torch.testing.assert_close(dirichlet_energy(graph, 1e-6 * x), expected.item())


def test_the_similarity_is_the_mean_over_the_pairs():
    x = torch.randn(5, 3, dtype=torch.float64)
    pairs = [torch.cosine_similarity(x[i], x[j], dim=0) for i in range(5) for j in range(5) if i != j]
    torch.testing.assert_close(cosine_similarity(x), torch.stack(pairs).mean().item())


def test_propagation_alone_takes_all_energy_as_fast_as_the_spectrum_says():
    graph = build_six_nodes()
    adjacency = normalized_adjacency(graph)
    eigenvalues = torch.linalg.eigvalsh(adjacency)
    assert abs(eigenvalues[-1] - 1) < 1e-12  # the only direction that survives
    slowest = max(eigenvalues[-2].abs(), eigenvalues[0].abs()).item()
    assert slowest < 1
    torch.manual_seed(0)
    x = torch.rand(6, 4, dtype=torch.float64)  # positive, as after a relu
    energy = [dirichlet_energy(graph, x) * x.square().sum().item()]
    for _ in range(60):
        x = adjacency @ x
        energy.append(dirichlet_energy(graph, x) * x.square().sum().item())
        assert energy[-1] <= slowest**2 * energy[-2] + 1e-15
    assert dirichlet_energy(graph, x) < 1e-6 and cosine_similarity(x) > 1 - 1e-6


def test_it_is_tested_on_the_test_nodes_and_a_seed_is_one_of_weights_and_split(monkeypatch):
    data, asked = load(None, 0), []
    batches = data.evaluation_batches
    monkeypatch.setattr(data, "evaluation_batches", lambda split: asked.append(split) or batches(split))
    found = [measure(data, "GCN", 1, seed=seed, steps=1)["dirichlet_energy"] for seed in (0, 0, 1)]
    assert asked == ["test"] * 3 and found[0] == found[1] != found[2]
    assert not torch.equal(data.splits["test"], load(None, 1).splits["test"])


@pytest.mark.slow
def test_at_depth_gcn_fails_with_its_nodes_alike_and_residuals_and_gcnii_do_not():
    data = load(None, 0)
    shallow = measure(data, "GCN", 2, steps=40)
    deep = {net: measure(data, net, 16, steps=40) for net in ("GCN", "residual GCN", "GCNII")}
    assert shallow["accuracy"] > 0.8
    assert deep["GCN"]["accuracy"] < data.spec["majority_baseline"] + 0.15
    assert deep["GCN"]["cosine_similarity"] > 0.95
    for net in ("residual GCN", "GCNII"):
        assert deep[net]["accuracy"] > 0.6
        assert deep[net]["cosine_similarity"] < 0.9
        assert deep[net]["dirichlet_energy"] > 3 * deep["GCN"]["dirichlet_energy"]
