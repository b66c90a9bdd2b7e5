"""Divides labelled items so that every part has about the same share of each class.

Shapes: G items, M of them chosen.
"""

import numpy as np
import torch
from torch import Tensor


def stratified_folds(labels: Tensor, num_folds: int, seed: int) -> list[Tensor]:
    """int64 [G] -> the numbers of the items of each fold, in ascending order; every item is in exactly one.

    Of each class, as of all items, two folds' numbers differ by at most one.
    """
    # Dealt out like cards, one class after the other: each begins with the fold after which the last one ended.
    order = _by_class(labels.numpy(), seed)
    return [torch.from_numpy(np.sort(order[fold::num_folds])) for fold in range(num_folds)]


def stratified_split(index: Tensor, labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Divides the items `index`, int64 [M], in two: the rest, and the held out, `fraction` of each class.

    Args:
        index: numbers of items, each once.
        labels: int64 [G], of all items.
        fraction: of M items, round(fraction * M) are held out; of each class its share, up to one item.
        seed: another one, another division.

    Returns:
        Two int64 tensors, in ascending order.
    """
    items = index.numpy()
    order = _by_class(labels.numpy()[items], seed)
    wanted = round(fraction * len(index))
    # As even steps over the items sorted by class as whole numbers can make.
    marks = np.arange(len(index) + 1) * wanted // max(len(index), 1)
    held = np.zeros(len(index), bool)
    held[order] = np.diff(marks) > 0
    return torch.from_numpy(np.sort(index[~held])), torch.from_numpy(np.sort(index[held]))


def _by_class(labels: np.ndarray, seed: int) -> np.ndarray:
    """The items' numbers, class after class, shuffled within each. int64."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return shuffled[np.argsort(labels[shuffled], kind="stable")]
