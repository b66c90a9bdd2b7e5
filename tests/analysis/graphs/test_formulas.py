"""Test graph layers against their formulas, with a control that a wrong formula is noticed."""

import pytest
import torch

from lightning_dl2.analysis.graphs import formulas
from lightning_dl2.analysis.graphs.formulas import gat_difference, gcn_difference
from lightning_dl2.analysis.graphs.spreading import build_six_nodes
from lightning_dl2.nets import GATConv, GCNConv, SAGEConv
from tests.nets.graph.graph_cases import random_graph


@pytest.mark.parametrize("seed", range(5))
def test_gcn_is_the_dense_formula_and_gat_of_equal_scores_the_mean(seed):
    for graph in (build_six_nodes(), random_graph(30, 60, symmetric=True)):
        assert gcn_difference(graph, seed=seed) < 1e-12
        assert gat_difference(graph, seed=seed) < 1e-12


def test_another_layer_is_not(monkeypatch):
    monkeypatch.setattr(formulas, "GCNConv", lambda *sizes: _Other(*sizes))
    assert gcn_difference(build_six_nodes()) > 0.01
    monkeypatch.setattr(formulas, "GATConv", lambda *sizes: _Prefers(*sizes))
    assert gat_difference(build_six_nodes()) > 0.01


class _Other(GCNConv):
    def forward(self, graph, x, e=None):
        mean = SAGEConv(x.shape[1], self.fc.out_features).double()
        mean.fc_self.weight.data.zero_(), mean.fc_self.bias.data.zero_()
        mean.fc_neigh.weight = self.fc.weight
        return mean(graph, x) + self.bias


class _Prefers(GATConv):
    def forward(self, graph, x, e=None):
        torch.nn.init.ones_(self.attn_l)
        return super().forward(graph, x)
