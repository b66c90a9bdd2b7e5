"""Test that a set of the heterophilous benchmark is read by its name, from its file or the directory of it."""

import numpy as np
import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data import NodeDataModule


def made(directory):
    """Write a small file with the names and shapes of the benchmark's."""
    masks = np.eye(3, dtype=bool)[np.add.outer(np.arange(10), np.arange(12)) % 3]  # [10, 12, 3]
    parts = {f"{split}_masks": masks[..., number] for number, split in enumerate(("train", "val", "test"))}
    edges = np.array([[node, (node + 1) % 12] for node in range(12)])
    labels, features = np.arange(12) % 2, np.eye(12, 7, dtype=np.float32)
    np.savez(directory / "tolokers.npz", node_features=features, node_labels=labels, edges=edges, **parts)


@pytest.mark.parametrize("path", ["tolokers.npz", ""])
def test_it_is_read_with_the_split_that_is_asked_for(tmp_path, path):
    made(tmp_path)
    data = NodeDataModule("tolokers", str(tmp_path / path), split_index=4)
    assert data.splits["train"].tolist() == [2, 5, 8, 11]  # (4 + node) % 3 == 0
    assert "split 4 of 10" in data.note and "12 edges have no reverse" in data.note
    assert data.graph.num_edges == 24 and data.graph.ndata["features"].shape == (12, 7)
    torch.testing.assert_close(data.labels, torch.arange(12) % 2)


def test_a_directory_without_the_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"tolokers\.npz"):
        NodeDataModule("tolokers", str(tmp_path))
