"""Test that both paths of the benchmark's PyG peers compute the same, if PyG is installed."""

import pytest
import torch

from lightning_dl2.data.graphs.generators import stochastic_block_model

pytest.importorskip("torch_geometric", reason="PyG is not installed: pip install torch-geometric==2.7.0")


def test_both_paths_of_pyg_are_the_same_net():
    from scripts.benchmarks.graph_steps import build_node_steps, select_node_peers
    from scripts.benchmarks.pyg_steps import GCN, SparseGCN

    nodes = stochastic_block_model(60, 3, 4.0, num_feats=5, homophily=0.8, signal=0.5, seed=0)
    one_way = nodes.src < nodes.dst  # finds a path that takes edges backwards
    nodes.src, nodes.dst = nodes.src[one_way], nodes.dst[one_way]
    slow, fast = GCN(nodes, 8, 0.5).eval(), SparseGCN(nodes, 8, 0.5).eval()
    fast.load_state_dict(slow.state_dict())
    torch.testing.assert_close(fast(), slow())
    from scripts.benchmarks import pyg_steps

    peers = select_node_peers({"PyG": pyg_steps})
    assert list(peers) == ["PyG", "PyG CSR"]
    for step in build_node_steps(nodes, 8, 0.5, peers):
        step()
