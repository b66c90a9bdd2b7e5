"""Test batches of sequences of different lengths: what they depend on, their padding, shares of ranks, and tests."""

import numpy as np
import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.mixed_lengths import draw_sequences
from lightning_dl2.data.sequences.splits import in_split
from lightning_dl2.decoding.vocabulary import NOT_COUNTED
from tests.data.sequences.test_module import on_rank
from tests.small import CURRICULUM, small_data


def reverse(**options):
    return small_data("reverse_string", 9, **{"shortest_length": 2} | options)


def equal(one, other) -> bool:
    parts = zip(one, other, strict=True)
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in parts)


def rows(batch):
    """Return each sequence with its answers and without its padding."""
    lengths = batch.lengths if batch.lengths is not None else torch.full((len(batch.ids),), batch.tokens.shape[1])
    found = []
    for tokens, labels, length in zip(batch.tokens, batch.labels, lengths.tolist(), strict=True):
        assert not tokens[length:].any() and (labels.dim() == 0 or (labels[length:] == NOT_COUNTED).all())
        found.append((tuple(tokens[:length].tolist()), tuple(np.atleast_1d(labels)[:length].tolist())))
    return found


def test_a_batch_is_a_pure_function_of_seed_and_step():
    data = reverse(seed=3)
    third = data.train_batch(3)
    data.train_batch(0)
    assert equal(data.train_batch(3), third) and equal(reverse(seed=3).train_batch(3), third)
    assert not equal(reverse(seed=4).train_batch(3), third) and not equal(data.train_batch(4), third)
    lengths = {len(tokens) // 2 for step in range(20) for tokens, _ in rows(data.train_batch(step))}
    assert lengths == set(range(2, 10))  # uniform, and the answer is as long as the string


def test_lengths_are_uniform_and_splits_are_apart_at_each():
    task = reverse().task
    found = draw_sequences(task, 6, 9, 4000, seed=0, split="train", step=0)
    counts = torch.bincount(found.lengths // 2)[6:]
    assert ((counts - 1000).abs() < 100).all()
    for split in ("train", "val"):
        batch = draw_sequences(task, 6, 9, 60, seed=0, split=split, step=0)
        for tokens, length in zip(batch.tokens, batch.lengths.tolist(), strict=True):
            assert in_split(tokens[None, :length].numpy(), split).all()


@pytest.mark.parametrize("name", ["reverse_string", "decimal_palindrome"])
def test_ranks_share_out_one_batch_and_their_weighted_losses_are_its_loss(name):
    options = {"shortest_length": 2}
    whole = small_data(name, 9, batch_size=8, **options).train_batch(5)
    parts = [on_rank(small_data(name, 9, batch_size=4, **options), rank, 2).train_batch(5) for rank in range(2)]
    assert sorted(rows(whole)) == sorted(sum(map(rows, parts), [])) and whole.weight == 1
    share = [int((part.labels != NOT_COUNTED).sum()) for part in parts]
    assert [part.weight for part in parts] == pytest.approx([2 * count / sum(share) for count in share])


def test_a_task_of_one_length_has_no_lengths():
    batch = small_data("reverse_string", 5).train_batch(0)
    assert batch.lengths is None and batch.tokens.shape == batch.labels.shape == (8, 10) and batch.measured_at is None


@pytest.mark.parametrize("world", [1, 3])
def test_a_test_has_its_own_lengths_and_then_the_others(world):
    batches = []
    for rank in range(world):
        options = {"test_lengths": [12, 4], "length_test_size": 7, "evaluation_batch_size": 4, "test_size": 10}
        data = on_rank(reverse(**options), rank, world)
        data.setup("test")
        batches.append(list(data.test_dataloader()))
        data.setup("fit")
        assert {batch.measured_at for batch in data.val_dataloader()} == {None}
    assert len({len(each) for each in batches}) == 1  # all ranks meet in each batch
    for length, number in ((None, 10), (12, 7), (4, 7)):
        found = sum((rows(b) for each in batches for b in each if b.measured_at == length), [])
        assert len(found) == number and (length is None or {len(tokens) for tokens, _ in found} == {2 * length})
    assert [batch.measured_at for batch in batches[0]] == sorted(
        (batch.measured_at for batch in batches[0]), key=(None, 12, 4).index
    )


def test_evaluation_sets_are_the_same_for_every_seed():
    sets = [[rows(batch) for batch in data.evaluation_batches("val")] for data in (reverse(seed=0), reverse(seed=1))]
    assert sets[0] == sets[1] and sum(map(len, sets[0])) == 32
    data = reverse()
    answers = [answer for b in data.evaluation_batches("test") for answer in b.labels.flatten().tolist() if answer >= 0]
    assert data.baselines()["majority_baseline"] == max(answers.count(0), answers.count(1)) / len(answers)
    assert data.note.startswith("data.shortest_length=2: up to length 5 there are fewer than 64 sequences; ")
    assert reverse(shortest_length=6).note is None


def test_the_spec_says_more_only_where_there_is_more():
    assert set(small_data().spec) == {"vocabulary_size", "num_classes", "sequence_length", "majority_baseline"}
    spec = reverse(test_lengths=(20,)).spec
    assert (spec["shortest_length"], spec["longest_length"], spec["test_lengths"]) == (2, 9, [20])
    assert spec["vocabulary_size"] == 3 and spec["sequence_length"] == 18


def test_a_curriculum_sets_the_longest():
    data = reverse(curriculum=CURRICULUM | {"start": 3})
    assert max(len(tokens) for step in range(9) for tokens, _ in rows(data.train_batch(step))) == 6
    data.curriculum.length = 9
    assert max(len(tokens) for step in range(9) for tokens, _ in rows(data.train_batch(step))) == 18


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"shortest_length": 10}, ValueError, "shortest_length=10: at most sequence_length=9"),
        ({"shortest_length": 0}, ValueError, "ReverseString has no sequences of length 0: at least 1"),
        ({"length_test_size": 0}, ValueError, "length_test_size=0: at least 1"),
    ],
)
def test_arguments_that_cannot_be_are_named(options, error, says):
    with pytest.raises(error, match=says):
        reverse(**options)


def test_a_vocabulary_that_grows_has_no_longer_tests():
    says = r"data.test_lengths=\[9\]: vocabulary_size\(9\) is 9, but vocabulary_size\(5\) is 5; allowed: lengths up to"
    with pytest.raises(UserError, match=says):
        small_data("random_combinations", 5, test_lengths=[9])
    assert small_data("random_combinations", 5, shortest_length=2).train_batch(0).labels.shape == (8,)


def test_next_symbols_are_asked_in_training_alone():
    sizes = {"shortest_length": 2, "test_lengths": [10], "test_size": 9}
    data, plain = (small_data("dyck_2", 8, **sizes, next_symbols=asked) for asked in (True, False))
    for split in ("val", "test"):
        assert all(map(equal, data.evaluation_batches(split), plain.evaluation_batches(split)))
    one, other = data.train_batch(3), plain.train_batch(3)
    assert torch.equal(one.tokens, other.tokens)
    assert (one.labels != NOT_COUNTED).sum(1).tolist() == (other.labels != NOT_COUNTED).int().argmax(1).add(1).tolist()
    assert data.spec["num_classes"] == 6 and plain.spec["num_classes"] == data.spec["answer_classes"] == 2
    assert one.weight == 1 and "answer_classes" not in plain.spec
    stored = [small_data("dyck_2", 8, **sizes, next_symbols=asked, training_size=20) for asked in (True, False)]
    assert all(map(equal, *(data.evaluation_batches("train") for data in stored)))
    assert (stored[0].train_batch(0).labels >= 2).any() and stored[0].train_batch(0).weight == 1
    with pytest.raises(UserError, match="ReverseString is no language"):
        reverse(next_symbols=True)


@pytest.mark.parametrize("name", ["marked_reversal", "a_n_b_n"])
def test_symbols_that_the_prefix_leaves_no_choice_of_are_hidden(name):
    """All of them at first, some of them while the share falls, none at last; the targets stay."""
    options = {"shortest_length": 2, "batch_size": 40, "next_symbols": True}
    hides = {"steps": 3, "falling_steps": 4}
    data, plain = (small_data(name, 12, hidden_symbols=hidden, **options) for hidden in (hides, None))
    token = plain.spec["vocabulary_size"]
    assert data.spec["vocabulary_size"] == token + 1
    shares = {}
    for step in (0, 2, 5, 7, 900):
        hidden, shown = data.train_batch(step), plain.train_batch(step)
        assert torch.equal(hidden.labels, shown.labels) and hidden.weight == 1
        could = torch.zeros(hidden.tokens.shape, dtype=torch.bool)
        for row, string, label in zip(could, shown.tokens.tolist(), shown.labels, strict=True):
            end = int(((label >= 0) & (label < 2)).int().argmax())
            for place, allowed in enumerate(data.task.following(string[: end - 1]), 1):
                row[place] = allowed == {string[place]}
        is_hidden = hidden.tokens == token
        assert torch.equal(hidden.tokens[~is_hidden], shown.tokens[~is_hidden]) and not (is_hidden & ~could).any()
        shares[step] = is_hidden.sum() / could.sum()
        assert equal(hidden, data.train_batch(step))
    assert shares[0] == shares[2] == 1 and 0.2 < shares[5] < 0.8 and shares[7] == shares[900] == 0
    at_once = small_data(name, 12, hidden_symbols={"steps": 3, "falling_steps": 0}, **options)
    assert equal(at_once.train_batch(3), plain.train_batch(3)) and equal(at_once.train_batch(2), data.train_batch(2))
    for split in ("val", "test"):
        assert all(map(equal, data.evaluation_batches(split), plain.evaluation_batches(split)))


def test_a_language_that_always_leaves_a_choice_hides_nothing():
    with pytest.raises(UserError, match="Dyck always leaves a choice of the next symbol, so that none can be"):
        small_data("dyck_2", 8, next_symbols=True, hidden_symbols={"steps": 3, "falling_steps": 4})
    with pytest.raises(ValueError, match="needs next_symbols"):
        small_data("a_n_b_n", 8, hidden_symbols={"steps": 3, "falling_steps": 4})


def test_ranks_hide_the_same_symbols_as_one_process():
    options = {"shortest_length": 2, "next_symbols": True, "hidden_symbols": {"steps": 0, "falling_steps": 9}}
    whole = small_data("marked_reversal", 12, batch_size=8, **options).train_batch(5)
    parts = [
        on_rank(small_data("marked_reversal", 12, batch_size=4, **options), rank, 2).train_batch(5) for rank in range(2)
    ]
    assert sorted(rows(whole)) == sorted(sum(map(rows, parts), []))
