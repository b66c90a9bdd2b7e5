"""Test that batches depend on (seed, step, rank, length) only, and that evaluation sets are complete and held out."""

import random
from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data import SequenceDataModule
from lightning_dl2.data.build import build_data
from lightning_dl2.data.sequences.generators import SEQUENCE_TASKS
from tests.small import CURRICULUM, small_data, small_task, small_trainer

LENGTHS = {"decimal_palindrome": 6, "binary_palindrome": 4, "baum_sweet": 3, "random_combinations": 5}


def on_rank(data: SequenceDataModule, rank: int, world: int, done: int = 0) -> SequenceDataModule:
    """Set the Trainer that `data` finds in process `rank` of `world`, after `done` batches."""
    progress = SimpleNamespace(total=SimpleNamespace(processed=done))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world, fit_loop=loop, overfit_batches=0.0)
    return data


def equal(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def rows(loader) -> list[tuple[int, ...]]:
    return [(*tokens.tolist(), label.item()) for batch in loader for tokens, label in zip(*batch, strict=True)]


@pytest.mark.parametrize("name", SEQUENCE_TASKS)
def test_spec_tells_the_model_what_is_in_the_batches(name):
    data = small_data(name, LENGTHS[name], batch_size=4096)
    tokens, labels = data.train_batch(0)
    spec = data.spec
    assert {key: type(value) for key, value in spec.items()} == {
        "vocabulary_size": int,
        "num_classes": int,
        "sequence_length": int,
        "majority_baseline": float,
    }
    assert tokens.shape == (4096, spec["sequence_length"]) and labels.shape == (4096,)
    assert tokens.dtype == labels.dtype == torch.int64
    assert (tokens.min().item(), tokens.max().item()) == (0, spec["vocabulary_size"] - 1)
    counts = labels.bincount(minlength=spec["num_classes"])
    assert len(counts) == spec["num_classes"] and counts.all()
    assert counts.max().item() / 4096 == pytest.approx(spec["majority_baseline"], abs=0.06)


@pytest.mark.parametrize(("length", "share"), [(5, 0.359), (30, 1 / 30)])
def test_the_baseline_is_that_of_the_test_set(length, share):
    """The baseline counts the test set, in which the five labels of 11 permutations are not equally common."""
    data = small_data("random_combinations", length, test_size=4096)
    data.setup("test")
    labels = data.sets["test"][1].tolist()
    commonest = max(map(labels.count, set(labels))) / 4096
    assert data.baselines()["majority_baseline"] == pytest.approx(share, abs=5e-4)
    assert data.baselines()["majority_baseline"] == (commonest if length == 5 else data.spec["majority_baseline"])


@pytest.mark.parametrize(
    ("name", "length", "number"),
    [
        ("decimal_palindrome", 2, 10),
        ("decimal_palindrome", 3, None),
        ("random_combinations", 4, 24),
        ("baum_sweet", 2, None),
    ],
)
def test_splits_that_share_their_sequences_say_so(name, length, number):
    note = small_data(name, length).note
    assert note is None if number is None else f"only {number} sequences; training, validation and test share" in note


@pytest.mark.parametrize("name", SEQUENCE_TASKS)
def test_a_batch_is_a_pure_function_of_seed_and_step(name):
    data = small_data(name, LENGTHS[name], seed=3)
    third = data.train_batch(3)
    for step in (0, 7):
        data.train_batch(step)
    assert equal(data.train_batch(3), third)
    assert equal(small_data(name, LENGTHS[name], seed=3).train_batch(3), third)
    assert not equal(small_data(name, LENGTHS[name], seed=4).train_batch(3), third)
    assert not equal(data.train_batch(4), third)


def test_nothing_is_drawn_from_a_global_generator():
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    data = small_data(curriculum=CURRICULUM | {"shortest": 0.5})
    data.setup()
    next(iter(data.train_dataloader()))
    list(data.val_dataloader()), list(data.test_dataloader())
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_out_one_global_batch(world):
    whole = small_data(batch_size=8 * world).train_batch(5)
    parts = [on_rank(small_data(batch_size=8), rank, world).train_batch(5) for rank in range(world)]
    assert sorted(rows([whole])) == sorted(rows(parts))
    assert all(len(labels) == 8 for _, labels in parts)
    assert equal((whole[0][1::world], whole[1][1::world]), parts[1])


@pytest.mark.parametrize(("size", "world", "batch_size"), [(17, 2, 8), (16, 2, 8), (3, 2, 1), (33, 1, 16), (5, 5, 8)])
def test_every_sequence_is_evaluated_once_and_ranks_meet_in_every_batch(size, world, batch_size):
    whole = small_data(validation_size=size, evaluation_batch_size=size)
    whole.setup("fit")
    parts, num_batches = [], set()
    for rank in range(world):
        data = on_rank(small_data(validation_size=size, evaluation_batch_size=batch_size), rank, world)
        data.setup("fit")
        batches = list(data.val_dataloader())
        assert len(batches) == len(data.val_dataloader())
        assert all(1 <= len(labels) <= max(2, batch_size) for _, labels in batches)
        num_batches.add(len(batches))
        parts += rows(batches)
    assert sorted(parts) == sorted(rows(whole.val_dataloader())) and len(parts) == size
    assert len(num_batches) == 1


def test_a_rank_without_anything_to_evaluate_is_refused():
    data = on_rank(small_data(validation_size=1), 0, 2)
    data.setup("fit")
    message = "trainer.devices: 2 processes share the 1 sequences of the val split; allowed: at most 1"
    with pytest.raises(UserError, match=message):
        data.val_dataloader()
    with pytest.raises(UserError, match=message):
        data.check_processes(2)
    data.check_processes(1)


@pytest.mark.parametrize("name", SEQUENCE_TASKS)
def test_evaluation_sets_are_the_same_for_every_seed_and_apart_from_training(name):
    sets = []
    for seed in (0, 1):
        data = small_data(name, LENGTHS[name], seed=seed, validation_size=200, test_size=200)
        data.setup()
        sets.append([rows(loader) for loader in (data.val_dataloader(), data.test_dataloader())])
    assert sets[0] == sets[1]
    val, test = map(set, sets[0])
    trained = set(rows([data.train_batch(step) for step in range(300)]))
    assert len(trained) > 50
    assert not (val & test or val & trained or test & trained)


SETS = {
    "decimal_palindrome": ("528b44e1", "8228ddd4"),
    "binary_palindrome": ("d700dc5d", "daf9d208"),
    "baum_sweet": ("e41e92b8", "72d3b06a"),
    "random_combinations": ("1916f0b3", "b14e2647"),
}


@pytest.mark.parametrize("name", SETS)
def test_evaluation_sets_are_those_that_figures_have_been_measured_on(name):
    data = small_data(name, LENGTHS[name])
    data.setup()
    parts = ([part.long().numpy().tobytes() for part in data.sets[split]] for split in ("val", "test"))
    assert tuple(sha256(b"".join(each)).hexdigest()[:8] for each in parts) == SETS[name]


def test_setup_draws_only_what_the_stage_needs():
    data = small_data()
    data.setup("fit")
    assert set(data.sets) == {"val"}
    data.setup("test")
    assert set(data.sets) == {"val", "test"}


def test_an_epoch_goes_on_where_training_stands():
    data = small_data()
    steps = list(on_rank(data, 0, 1, done=10).train_dataloader())
    assert len(steps) == len(data.train_dataloader()) == 7
    assert all(equal(batch, data.train_batch(10 + index)) for index, batch in enumerate(steps))


def test_works_outside_a_trainer():
    data = small_data()
    data.setup()
    batches = list(data.train_dataloader())
    assert len(batches) == 7 and equal(batches[4], data.train_batch(4))
    assert sum(len(labels) for _, labels in data.val_dataloader()) == 32


def test_batches_follow_the_curriculum_without_delay():
    data = small_data(length=10, batch_size=16, curriculum=CURRICULUM | {"tokens_per_batch": 45})
    batches = iter(data.train_dataloader())
    assert next(batches)[0].shape == (16, 1)
    data.curriculum.length = 10
    assert next(batches)[0].shape == (5, 9)
    state = data.state_dict()
    other = small_data(length=10, batch_size=16, curriculum=CURRICULUM | {"tokens_per_batch": 45})
    other.load_state_dict(state)
    assert equal(other.train_batch(3), data.train_batch(3))
    assert small_data().state_dict() == {}


def test_overfit_batches_repeats_the_first_ones():
    data, seen = small_data(), []
    task = small_task(data)
    step = task.training_step
    task.training_step = lambda batch, batch_idx: seen.append(batch) or step(batch, batch_idx)
    small_trainer(overfit_batches=2, max_steps=5).fit(task, data)
    assert [[equal(batch, data.train_batch(k)) for k in (0, 1)] for batch in seen] == [
        [True, False],
        [False, True],
    ] * 2 + [[True, False]]


def test_a_length_that_the_task_does_not_have():
    with pytest.raises(ValueError, match="BaumSweet has no sequences of length 1: at least 2"):
        small_data("baum_sweet", 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "palindrome"}, "unknown sequence task 'palindrome': choose from decimal_palindrome, binary_palin"),
        ({"batch_size": 0}, "batch_size=0: at least 1"),
        ({"batches_per_epoch": 0}, "batches_per_epoch=0: at least 1"),
        ({"validation_size": 0}, "validation_size=0: at least 1"),
        ({"test_size": -1}, "test_size=-1: at least 1"),
        ({"evaluation_batch_size": 0}, "evaluation_batch_size=0: at least 1"),
        ({"curriculum": {"start": 2}}, "curriculum={'start': 2}: needs `enabled`, True or False"),
        ({"curriculum": CURRICULUM, "num_workers": 1}, "num_workers=1: the curriculum decides a batch when"),
    ],
)
def test_arguments_that_cannot_be_are_named(options, says):
    with pytest.raises(ValueError, match=says):
        small_data(**options)


@pytest.mark.slow
def test_build_data_is_the_configuration(tiny):
    config = tiny("data=random_combinations", "data.curriculum.enabled=true")
    data = build_data(config.data, seed=5)
    assert (data.seed, data.batch_size, data.spec["num_classes"]) == (5, 8, config.data.sequence_length)
    assert data.curriculum.length == config.data.curriculum.start


def test_a_fixed_training_set_is_read_once_in_an_epoch_in_a_new_order():
    def rows_of(step, **options):
        return small_data(training_size=20, **options).train_batch(step).ids.tolist()

    data = small_data(training_size=20)
    assert data.batches_per_epoch == 3 and data.count_items("train") == 20
    epochs = [sum((rows_of(step) for step in range(first, first + 3)), []) for first in (0, 3)]
    assert [sorted(epoch) for epoch in epochs] == [[*range(20)]] * 2 and epochs[0] != epochs[1]
    assert rows_of(4) == data.train_batch(4).ids.tolist() and rows_of(4, seed=1) != rows_of(4)
    (whole,) = small_data(training_size=20, evaluation_batch_size=20).evaluation_batches("train")
    batch = small_data(training_size=20, seed=3).train_batch(1)  # the set is the same for every seed
    assert torch.equal(batch.tokens, whole.tokens[batch.ids]) and torch.equal(batch.labels, whole.labels[batch.ids])
    assert len({*map(tuple, whole.tokens.tolist())} & {*map(tuple, data_rows("test"))}) == 0
    parts = [on_rank(small_data(training_size=20, batch_size=4), rank, 2).train_batch(1) for rank in range(2)]
    assert sorted(sum((part.ids.tolist() for part in parts), [])) == sorted(rows_of(1))
    assert sum(part.weight for part in parts) == 2


def data_rows(split):
    return [row for batch in small_data().evaluation_batches(split) for row in batch.tokens.tolist()]


def test_a_fixed_training_set_has_no_curriculum_and_no_size_of_zero():
    for options, says in (
        ({"training_size": 0}, "training_size=0"),
        ({"curriculum": CURRICULUM}, "training_size=9: a"),
    ):
        with pytest.raises(ValueError, match=says):
            small_data(**{"training_size": 9} | options)
