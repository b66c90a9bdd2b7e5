"""Test that every item is in one part of a split, with each class's share in every part."""

import pytest
import torch

from lightning_dl2 import NodeDataModule, UserError
from lightning_dl2.config.compose import compose
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graphs.splits import node_splits, stratified_folds, stratified_split

LABELS = torch.tensor([0] * 63 + [1] * 125 + [2] * 3 + [0] * 4)[
    torch.randperm(195, generator=torch.Generator().manual_seed(0))
]


@pytest.mark.parametrize("num_folds", [2, 7, 10])
def test_folds_have_every_item_once_and_their_share_of_each_class(num_folds):
    folds = stratified_folds(LABELS, num_folds, seed=0)
    assert len(folds) == num_folds and torch.cat(folds).sort().values.tolist() == list(range(195))
    assert all(fold.dtype == torch.int64 and (fold.diff() > 0).all() for fold in folds)
    for label in range(3):
        counts = [int((LABELS[fold] == label).sum()) for fold in folds]
        assert max(counts) - min(counts) <= 1
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.5, 1.0])
def test_a_split_takes_its_share_of_each_class(fraction):
    index = torch.arange(5, 195, 2)
    rest, held = stratified_split(index, LABELS, fraction, seed=0)
    assert torch.cat([rest, held]).sort().values.tolist() == index.tolist()
    assert len(held) == round(fraction * len(index)) and held.dtype == rest.dtype == torch.int64
    for label in range(3):
        share = fraction * int((LABELS[index] == label).sum())
        assert abs(int((LABELS[held] == label).sum()) - share) <= 1
    assert all((part.diff() > 0).all() for part in (rest, held) if len(part) > 1)


def test_the_seed_decides():
    index = torch.arange(195)
    for divide in (
        lambda seed: torch.cat(stratified_folds(LABELS, 10, seed)).tolist(),
        lambda seed: torch.cat(stratified_split(index, LABELS, 0.1, seed)).tolist(),
    ):
        torch.manual_seed(5)
        first = divide(0)
        torch.manual_seed(6)
        assert divide(0) == first != divide(1)


def test_the_order_of_the_items_given_is_no_part_of_the_split():
    """The split depends on the set of items, not on their order or on other items' labels."""
    index = torch.tensor([1, 4, 9, 16, 25, 36, 49, 64])
    other = LABELS.clone()
    other[0] = 2
    assert stratified_split(index, LABELS, 0.5, 3)[1].tolist() == stratified_split(index, other, 0.5, 3)[1].tolist()


def test_nothing_to_divide():
    rest, held = stratified_split(torch.tensor([], dtype=torch.int64), LABELS, 0.5, 0)
    assert len(rest) == len(held) == 0


def test_a_class_smaller_than_the_number_of_folds():
    folds = stratified_folds(torch.tensor([0, 0, 1, 1, 1]), 4, 0)
    assert sorted(len(fold) for fold in folds) == [1, 1, 1, 2]


def test_a_random_split_by_shares_and_by_numbers():
    """Shares and numbers of the labelled nodes, drawn by a seed of their own."""
    none = torch.zeros(0, dtype=torch.int64)
    nodes = NodeSet(none, none, 12, None, torch.tensor([0, 1] * 5 + [-1, -1]), ["a", "b"])
    others = {"train_per_class": 1, "validation_size": 1, "test_size": None}
    for sizes, lengths in (([0.6, 0.2, 0.2], (6, 2, 2)), ([0.5, 0.3, 0.1], (5, 3, 1)), ([4, 3, 2], (4, 3, 2))):
        found = node_splits(nodes, "random", 7, **others, sizes=sizes)
        assert tuple(map(len, found.values())) == lengths and list(found) == ["train", "val", "test"]
        chosen = torch.cat(list(found.values()))
        assert len(chosen.unique()) == len(chosen) and (nodes.labels[chosen] >= 0).all()
    options = {"split": "random", "split_sizes": [0.5, 0.2, 0.3]}
    one, other, fixed, moved = (
        NodeDataModule(nodes, **options, seed=seed, split_seed=split_seed).splits["train"].tolist()
        for seed, split_seed in ((0, None), (1, None), (0, 5), (1, 5))
    )
    assert one != other and fixed == moved
    with pytest.raises(UserError, match=r"split_sizes=\[9, 1, 1\]: of 10 labelled nodes these are 9, 1, 1; allowed"):
        node_splits(nodes, "random", 7, **others, sizes=[9, 1, 1])
    with pytest.raises(UserError, match=r"split_sizes=\[0.9, 0.01, 0.01\]: of 10 .* are 9, 0, 0; allowed: at least"):
        node_splits(nodes, "random", 7, **others, sizes=[0.9, 0.01, 0.01])


@pytest.mark.parametrize("sizes", ["[0.6,0.2]", "[0.6,0.3,0.2]", "[10,0.2,0.2]", "[1.5,2,2]"])
def test_sizes_that_are_neither_shares_nor_numbers(sizes):
    with pytest.raises(UserError, match="split_sizes=.*: allowed: three shares of train, val and test"):
        compose("experiment=graph", "data.split=random", f"data.split_sizes={sizes}")
