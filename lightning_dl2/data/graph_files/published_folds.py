"""Read published folds of a set of graphs: the numbers of the graphs that train, validate and test.

Errica et al. (2020), A Fair Comparison of Graph Neural Networks for Graph Classification: for each of ten folds, the
test graphs, and a split of the others for model selection. https://github.com/diningphil/gnn-comparison, data_splits/.
"""

import json
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.paths import describe_path, user_path
from lightning_dl2.data.splits import SPLITS

NAMES = {"train": "train", "val": "validation", "test": "test"}  # of the splits there


def read_folds(key: str, file: str, fold: int, num_graphs: int) -> tuple[dict[str, Tensor], str]:
    """Read one fold of a JSON file: the graphs of each split, in ascending order, and a note.

    Args:
        key: of the configuration that names the file.
        fold: its number, from 0.
        num_graphs: of the set; graphs are numbered from 0, in the order of its files.

    Raises:
        UserError: the file is missing or damaged, has no such fold, or folds of another set.
    """
    path = user_path(key, file)
    if not path.is_file():
        raise UserError(f"{key}={path}: {describe_path(path)}; allowed: a JSON file of folds")
    try:
        folds = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{key}={path}: cannot be read ({error.strerror}); allowed: a JSON file of folds") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{key}={path}: is no JSON ({error}); allowed: a JSON file of folds") from error
    if not isinstance(folds, list) or not folds or not all(isinstance(one, dict) for one in folds):
        raise UserError(f"{key}={path}: holds no list of folds; allowed: a list, each with test and model_selection")
    if fold >= len(folds):
        raise UserError(f"data.fold={fold}: {path} has {len(folds)} folds; allowed: 0 to {len(folds) - 1}")
    tests = [_numbers(one.get("test"), f"{key}={path}: test of fold {n}", num_graphs) for n, one in enumerate(folds)]
    tested = torch.cat(tests)
    if len(tested) != num_graphs or len(tested.unique()) != num_graphs:
        raise UserError(
            f"{key}={path}: its folds test {len(tested)} graphs, {len(tested.unique())} different ones;"
            f" allowed: each of the {num_graphs} graphs once"
        )
    splits = {"test": tests[fold], **_selection(folds[fold], f"{key}={path}: fold {fold}", num_graphs)}
    _check_once(splits, f"{key}={path}: fold {fold}", num_graphs)
    note = f"fold {fold} of {len(folds)} is that of {path.name}, with its own validation graphs"
    return {name: splits[name].sort().values for name in SPLITS}, note


def _selection(fold: dict[str, Any], source: str, num_graphs: int) -> dict[str, Tensor]:
    """Return the training and validation graphs of the first split for model selection."""
    given = fold.get("model_selection")
    chosen = given[0] if isinstance(given, list) and given else fold
    if not isinstance(chosen, dict):
        raise UserError(f"{source}: has no model_selection; allowed: train and validation graphs")
    found = {name: chosen.get(NAMES[name], chosen.get(name)) for name in ("train", "val")}
    return {name: _numbers(value, f"{source}: {NAMES[name]}", num_graphs) for name, value in found.items()}


def _numbers(value: Any, source: str, num_graphs: int) -> Tensor:
    is_list = isinstance(value, list) and value and all(type(number) is int for number in value)
    if not is_list or not 0 <= min(value) <= max(value) < num_graphs:
        raise UserError(f"{source}: is no list of graphs; allowed: numbers from 0 to {num_graphs - 1}, at least one")
    return torch.tensor(value)


def _check_once(splits: dict[str, Tensor], source: str, num_graphs: int) -> None:
    every = torch.cat(list(splits.values()))
    numbers, times = every.unique(return_counts=True)
    if len(twice := numbers[times > 1]):
        raise UserError(f"{source}: graph {int(twice[0])} is in it twice; allowed: once")
    if len(numbers) < num_graphs:
        raise UserError(f"{source}: has {len(numbers)} graphs; allowed: each of {num_graphs}, once")
