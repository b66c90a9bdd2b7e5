"""Test the hash that splits sequences into training, validation and test."""

from itertools import permutations

import numpy as np
import pytest

from lightning_dl2.data.sequences.splits import SHARES, draw_from_split, in_split
from lightning_dl2.data.splits import SPLITS

PERMUTATIONS = np.array(sorted(permutations(range(5))))


def test_the_hash_is_fixed():
    """The held-out sequences are fixed. If this fails, new results cannot be compared with old ones."""
    tokens = PERMUTATIONS[:, :-1]
    assert np.flatnonzero(in_split(tokens, "val")).tolist() == [37, 57, 63, 65, 108]
    assert np.flatnonzero(in_split(tokens, "test")).tolist() == [6, 7, 21, 52, 58, 62, 66, 75, 76, 111, 115]


@pytest.mark.parametrize("num_tokens", [4, 19, 200])
@pytest.mark.parametrize("vocabulary_size", [3, 10])
def test_splits_are_disjoint_and_have_their_shares(num_tokens, vocabulary_size):
    tokens = np.random.default_rng(0).integers(vocabulary_size, size=(40_000, num_tokens))
    member = {split: in_split(tokens, split) for split in SPLITS}
    assert (sum(map(np.int64, member.values())) == 1).all()
    if vocabulary_size**num_tokens > 1000:
        assert {split: mask.mean() for split, mask in member.items()} == pytest.approx(SHARES, abs=0.01)


def test_order_of_tokens_matters():
    assert in_split(PERMUTATIONS, "val").any() and not in_split(PERMUTATIONS, "val").all()


def test_split_does_not_depend_on_memory_layout():
    tokens = np.random.default_rng(0).integers(10, size=(500, 7))
    assert (in_split(tokens, "val") == in_split(np.asfortranarray(tokens), "val")).all()
    assert (in_split(tokens[:, 1:], "val") == in_split(tokens[:, 1:].copy(), "val")).all()


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("n", [1, 128, 5000])
def test_draw_from_split_keeps_the_first_of_the_split(split, n):
    everything = np.random.default_rng(0).integers(10, size=(200_000, 6))
    start = 0

    def draw(rows):
        nonlocal start
        assert rows <= 8192
        part = everything[start : start + rows]
        start += rows
        return part, part.sum(1)

    tokens, labels = draw_from_split(draw, n, split)
    assert (tokens == everything[in_split(everything, split)][:n]).all()
    assert (labels == tokens.sum(1)).all()
