"""Test the reading of published folds of a set of graphs."""

import json
import shutil

import pytest

from lightning_dl2 import GraphSetDataModule, UserError
from tests.graph_files import write_ten_fold


def fold(test, train, validation):
    return {"test": test, "model_selection": [{"train": train, "validation": validation}]}


FOLDS = [fold([0, 1], [3, 2], [4, 5]), fold([2, 3], [4, 5, 0], [1]), fold([4, 5], [0, 1, 2], [3])]


def module(tmp_path, folds, number=0):
    path = tmp_path / "set"
    if not path.exists():
        shutil.rmtree(write_ten_fold(path, num_graphs=6) / "10fold_idx")
    file = tmp_path / "own_splits.json"
    file.write_text(folds if isinstance(folds, str) else json.dumps(folds), "utf-8")
    return GraphSetDataModule("ten_fold", str(path), splits_file=str(file), fold=number)


def test_a_fold_has_its_own_graphs_for_training_validation_and_test(tmp_path):
    for number, test, val in ((0, [0, 1], [4, 5]), (1, [2, 3], [1])):
        data = module(tmp_path, FOLDS, number)
        assert data.splits["test"].tolist() == test and data.splits["val"].tolist() == val
        assert f"fold {number} of 3 is that of own_splits.json" in data.note
    assert data.splits["train"].tolist() == [0, 4, 5]


@pytest.mark.parametrize(
    ("folds", "says"),
    [
        ("{", "is no JSON (Expecting property name"),
        ({"test": [0]}, "holds no list of folds; allowed: a list, each with test and model_selection"),
        (FOLDS[:2], "its folds test 4 graphs, 4 different ones; allowed: each of the 6 graphs once"),
        ([fold([0, 9], [1], [2])] * 3, "test of fold 0: is no list of graphs; allowed: numbers from 0 to 5"),
        ([fold([0, 1], [2, 3], [3, 4])] + FOLDS[1:], "fold 0: graph 3 is in it twice; allowed: once"),
        ([fold([0, 1], [2, 3], [4])] + FOLDS[1:], "fold 0: has 5 graphs; allowed: each of 6, once"),
        ([{"test": [0, 1]}] + FOLDS[1:], "fold 0: train: is no list of graphs"),
        ([fold([0, 1], ["2"], [3])] + FOLDS[1:], "fold 0: train: is no list of graphs"),
    ],
)
def test_folds_that_are_wrong_are_told(folds, says, tmp_path):
    with pytest.raises(UserError) as caught:
        module(tmp_path, folds)
    assert says in str(caught.value) and str(caught.value).startswith(f"data.splits_file={tmp_path}/own_splits.json")


def test_a_fold_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(UserError, match=r"data.fold=3: .*own_splits.json has 3 folds; allowed: 0 to 2"):
        module(tmp_path, FOLDS, 3)
