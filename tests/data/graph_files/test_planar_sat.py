"""Test the reading of EXP and CEXP, and their folds of whole pairs."""

import pytest
import torch

from lightning_dl2 import GraphSetDataModule, UserError
from tests.graph_files import write_planar_sat


def test_folds_are_consecutive_and_keep_pairs_together(tmp_path):
    path = str(write_planar_sat(tmp_path / "exp"))
    for fold in (0, 9):
        data = GraphSetDataModule("exp", path, fold=fold)
        assert data.splits["test"].tolist() == [4 * fold + n for n in range(4)]
        assert torch.equal(torch.cat(list(data.splits.values())).sort().values, torch.arange(40))
        for graphs in data.splits.values():
            assert graphs[0::2].remainder(2).sum() == 0 and torch.equal(graphs[0::2] + 1, graphs[1::2])
    assert (data.splits["val"].tolist(), data.splits["train"].tolist()[-1]) == ([34, 35], 33)
    assert data.class_names == ["0", "1"] and data.labels[:4].tolist() == [1, 0, 1, 0]
    assert data.set.num_node_types == 2


@pytest.mark.parametrize(("pairs", "says"), [(9, "has 18 graphs; allowed: pairs of graphs, 10 pairs or more")])
def test_too_few_graphs_are_told(pairs, says, tmp_path):
    with pytest.raises(UserError, match=says):
        GraphSetDataModule("exp", str(write_planar_sat(tmp_path / "exp", pairs)))


def test_other_numbers_of_folds_are_told(tmp_path):
    with pytest.raises(UserError, match="data.num_folds=5: allowed: 10, as the files have"):
        GraphSetDataModule("exp", str(write_planar_sat(tmp_path / "exp")), num_folds=5)


def test_validation_graphs_are_of_the_training_part(tmp_path):
    data = GraphSetDataModule("exp", str(write_planar_sat(tmp_path / "exp")))
    data.set.validation[2] = data.set.folds[2][1]
    with pytest.raises(UserError, match="fold 3: graph 8 validates; allowed: graphs of its training part"):
        data.set.check()
