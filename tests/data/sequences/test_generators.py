"""Test the generators against oracles in plain Python, written item by item from the definitions of the tasks."""

from collections import Counter
from fractions import Fraction
from itertools import groupby, permutations, product

import numpy as np
import pytest
import torch

from lightning_dl2.builtin.sequence_data import MINIMUM_HELD_OUT
from lightning_dl2.data.sequences.generators import SEQUENCE_TASKS, draw_batch, get_task, holds_out
from lightning_dl2.data.sequences.splits import in_split
from lightning_dl2.data.splits import SPLITS


def decimal_palindromes(length):
    samples = {}
    for half in product(range(10), repeat=(length + 1) // 2):
        digits = half + half[::-1][length % 2 :]
        samples[digits[:-1], digits[-1]] = Fraction(1)
    return samples


def binary_palindromes(length):
    numbers = (length + 1) // 2
    samples = Counter()
    for values in product(range(9), repeat=numbers):
        half = "".join(f"{value:b}" for value in values)
        for palindrome in (half + half[::-1], half[::-1] + half):
            tokens = [0 if bit == " " else int(bit) + 1 for bit in palindrome.rjust(8 * numbers + 2)]
            samples[tuple(tokens[:-1]), tokens[-1] - 1] += Fraction(1)
    return samples


def baum_sweet_term(number):
    return int(all(len(list(block)) % 2 == 0 for bit, block in groupby(f"{number:b}") if bit == "0"))


def baum_sweet_numbers(length):
    samples = {}
    for number in range(10, 10**length + 1):
        tokens = tuple(0 if bit == " " else int(bit) + 1 for bit in f"{number:{4 * length}b}")
        label = baum_sweet_term(number)
        samples[tokens, label] = Fraction(1) if label else Fraction("0.016724")
    return samples


def random_combinations(length):
    return {(order[:-1], order[-1]): Fraction(1) for order in permutations(range(length))}


# All samples of a task and their relative probabilities: {(tokens, label): probability}.
ORACLES = {
    "decimal_palindrome": decimal_palindromes,
    "binary_palindrome": binary_palindromes,
    "baum_sweet": baum_sweet_numbers,
    "random_combinations": random_combinations,
}
SMALL = [
    *(("decimal_palindrome", length) for length in (2, 3, 4, 5, 6)),
    *(("binary_palindrome", length) for length in (1, 2, 3, 4, 5)),
    *(("baum_sweet", length) for length in (2, 3, 4)),
    *(("random_combinations", length) for length in (2, 3, 4, 5, 6)),
]
small_tasks = pytest.mark.parametrize(("name", "length"), SMALL)
all_tasks = pytest.mark.parametrize("name", SEQUENCE_TASKS)


def samples_of(tokens, labels):
    return list(zip(map(tuple, tokens.tolist()), labels.tolist(), strict=True))


def sequences_of(tokens):
    return set(map(tuple, tokens.tolist()))


def label_of(name, tokens):
    """Return the label as a person would read it off the tokens."""
    if name == "decimal_palindrome":
        return tokens[0]
    if name == "binary_palindrome":
        return next(token for token in tokens if token > 0) - 1
    if name == "baum_sweet":
        return baum_sweet_term(int("".join(str(token - 1) for token in tokens if token > 0), base=2))
    return (set(range(len(tokens) + 1)) - set(tokens)).pop()


def assert_well_formed(name, length, tokens, labels):
    task = SEQUENCE_TASKS[name]
    assert tokens.dtype == labels.dtype == torch.int64
    assert tokens.shape == (len(labels), task.num_tokens(length))
    assert tokens.is_contiguous() and labels.is_contiguous()
    assert tokens.min() >= 0 and tokens.max() < task.vocabulary_size(length)
    assert labels.min() >= 0 and labels.max() < task.num_classes(length)
    assert labels.tolist() == [label_of(name, row) for row in tokens.tolist()]


@pytest.mark.slow
@small_tasks
def test_distribution_is_exact(name, length):
    expected = ORACLES[name](length)
    n = 50_000
    drawn = Counter(samples_of(*draw_batch(name, length, n, seed=1, split="train", step=0, holdout=False)))
    assert drawn.keys() <= expected.keys()
    total = sum(expected.values())
    # Pearson's chi-square over all samples; those expected less than five times share one cell.
    cells, rare_expected, rare_drawn = [], 0.0, 0
    for sample, weight in expected.items():
        mean = float(n * weight / total)
        if mean < 5:
            rare_expected, rare_drawn = rare_expected + mean, rare_drawn + drawn[sample]
        else:
            cells.append((mean, drawn[sample]))
    if rare_expected:
        cells.append((rare_expected, rare_drawn))
    chi_square = sum((count - mean) ** 2 / mean for mean, count in cells)
    freedom = len(cells) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5 + 8


@small_tasks
def test_counts_and_majority_baseline_are_exact(name, length):
    expected, task = ORACLES[name](length), SEQUENCE_TASKS[name]
    labels = Counter()
    for (_, label), weight in expected.items():
        labels[label] += weight
    assert task.num_sequences(length) == len({tokens for tokens, _ in expected})
    assert task.num_classes(length) == len(labels)
    assert task.majority_baseline(length) == float(max(labels.values()) / sum(labels.values()))


@pytest.mark.slow
def test_binary_palindromes_are_counted_from_below_when_long():
    task = SEQUENCE_TASKS["binary_palindrome"]
    assert task.num_sequences(9) <= len(binary_palindromes(9))
    assert all(task.num_sequences(n) <= task.num_sequences(n + 1) for n in range(9, 60))


@all_tasks
@pytest.mark.parametrize("length", [*range(2, 41), 101])
def test_every_length(name, length):
    for split in SPLITS:
        assert_well_formed(name, length, *draw_batch(name, length, 16, seed=0, split=split, step=3))


@pytest.mark.parametrize(
    ("name", "length"),
    [
        ("decimal_palindrome", 10_000),
        ("binary_palindrome", 9_999),
        ("baum_sweet", 250),
        ("random_combinations", 10_000),
    ],
)
def test_long_sequences(name, length):
    tokens, labels = draw_batch(name, length, 8, seed=0, split="train", step=0)
    assert_well_formed(name, length, tokens, labels)
    assert 0 < SEQUENCE_TASKS[name].majority_baseline(length) <= 1


@pytest.mark.parametrize("length", [1, 5, 10, 21])
def test_binary_palindromes_are_whole(length):
    tokens, labels = draw_batch("binary_palindrome", length, 500, seed=0, split="test", step=0)
    width = 4 * length + 1 if length % 2 == 0 else 4 * length + 5
    assert tokens.shape[1] == width
    sizes = set()
    for row, label in zip(tokens.tolist(), labels.tolist(), strict=True):
        palindrome = [token for token in row if token] + [label + 1]
        assert row[: width + 1 - len(palindrome)] == [0] * (width + 1 - len(palindrome))
        assert palindrome == palindrome[::-1]
        sizes.add(len(palindrome))
    assert len(sizes) > 3 and all(size % 2 == 0 for size in sizes)


@all_tasks
@pytest.mark.parametrize("length", [6, 70])
def test_batches_are_a_function_of_their_arguments(name, length):
    arguments = {"seed": 1, "split": "train", "step": 7}
    first = draw_batch(name, length, 64, **arguments)
    draw_batch(name, length, 64, seed=5, split="val", step=0)
    again = draw_batch(SEQUENCE_TASKS[name], length, 64, **arguments)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    for change in ({"seed": 2}, {"split": "val"}, {"split": "test"}, {"step": 8}, {"seed": 2**80}):
        assert not torch.equal(first[0], draw_batch(name, length, 64, **arguments | change)[0])


def test_nothing_is_drawn_from_global_generators():
    np.random.seed(0)
    torch.manual_seed(0)
    states = np.random.get_state()[1].tolist(), torch.get_rng_state()
    draw_batch("baum_sweet", 4, 32, seed=0, split="val", step=0)
    assert np.random.get_state()[1].tolist() == states[0] and torch.equal(torch.get_rng_state(), states[1])


@pytest.mark.slow
@small_tasks
def test_splits_are_disjoint_and_complete(name, length):
    everything = np.array(sorted({tokens for tokens, _ in ORACLES[name](length)}))
    member = {split: in_split(everything, split) for split in SPLITS}
    assert (sum(map(np.int64, member.values())) == 1).all()

    task = SEQUENCE_TASKS[name]
    assert holds_out(task, length) == (len(everything) >= 64)
    for split in SPLITS:
        tokens, labels = draw_batch(name, length, 4000, seed=3, split=split, step=0)
        own = everything[member[split]] if holds_out(task, length) else everything
        assert sequences_of(tokens) <= sequences_of(own)
        assert len(tokens) == len(labels) == 4000
        if len(everything) <= 120 and name != "baum_sweet":  # no sample is so rare that it may be missed
            assert sequences_of(tokens) == sequences_of(own)
        if split == "train":
            assert len(labels.unique()) == task.num_classes(length)


@all_tasks
def test_the_configuration_knows_from_where_on_sequences_are_held_out(name):
    lengths = range(SEQUENCE_TASKS[name].minimum_length, 9)
    assert next(length for length in lengths if holds_out(SEQUENCE_TASKS[name], length)) == MINIMUM_HELD_OUT[name]


def test_held_out_sequences_do_not_depend_on_seed_or_step():
    seen = {split: set() for split in SPLITS}
    for split, seed, step in product(SPLITS, range(5), range(5)):
        tokens, _ = draw_batch("random_combinations", 6, 256, seed=seed, split=split, step=step)
        seen[split] |= sequences_of(tokens)
    assert sum(map(len, seen.values())) == len(set.union(*seen.values())) > 700
    assert not seen["train"] & (seen["val"] | seen["test"])


def test_without_holdout_splits_share_all_sequences():
    drawn = [
        sequences_of(draw_batch("random_combinations", 5, 4000, seed=0, split=split, step=0, holdout=False)[0])
        for split in SPLITS
    ]
    assert all(len(sequences) == 120 for sequences in drawn)


@all_tasks
def test_lengths_that_do_not_exist(name):
    minimum = SEQUENCE_TASKS[name].minimum_length
    for call in (
        lambda length: SEQUENCE_TASKS[name].check(length),
        lambda length: holds_out(SEQUENCE_TASKS[name], length),
        lambda length: draw_batch(name, length, 4, seed=0, split="train", step=0),
    ):
        call(minimum)
        for length in (minimum - 1, -3):
            with pytest.raises(ValueError, match=f"length {length}: at least {minimum}$"):
                call(length)


def test_unknown_names():
    with pytest.raises(ValueError, match="'ternary'.*decimal_palindrome, binary_palindrome"):
        get_task("ternary")
    with pytest.raises(ValueError, match="'dev'.*train, val, test"):
        draw_batch("baum_sweet", 4, 4, seed=0, split="dev", step=0)


def test_lengths_have_independent_streams():
    """Sequences of a new length do not begin like those of the old length at the same step."""
    short, long = (draw_batch("decimal_palindrome", n, 1, seed=0, split="train", step=9)[0] for n in (41, 61))
    assert not torch.equal(short[:, :20], long[:, :20])
