"""Test that a set of the heterophilous benchmark is read by its name, from its file or the directory of it."""

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data import NodeDataModule
from tests.graph_files import write_heterophilous


@pytest.mark.parametrize("path", ["tolokers.npz", ""])
def test_it_is_read_with_the_split_that_is_asked_for(tmp_path, path):
    write_heterophilous(tmp_path, "tolokers")
    data = NodeDataModule("tolokers", str(tmp_path / path), split_index=4)
    assert data.splits["train"].tolist() == [2, 5, 8, 11]  # (4 + node) % 3 == 0
    assert "split 4 of 10" in data.note and "12 edges have no reverse" in data.note
    assert data.graph.num_edges == 24 and data.graph.ndata["features"].shape == (12, 7)
    torch.testing.assert_close(data.labels, torch.arange(12) // 2 % 2)


def test_a_directory_without_the_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"tolokers\.npz"):
        NodeDataModule("tolokers", str(tmp_path))
