"""Test tasks of the user's own: their defaults, their way through a run, and what is refused of them."""

from types import ModuleType

import numpy as np
import pytest
import torch

from lightning_dl2 import SequenceDataModule, SequenceTask
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.generators import DecimalPalindrome, draw_batch, holds_out
from lightning_dl2.inference.evaluate import evaluate
from lightning_dl2.training.start import train
from tests.small import CURRICULUM


class Parity(SequenceTask):
    """The label tells whether the number of ones is odd."""

    def vocabulary_size(self, length):
        return 2

    def num_classes(self, length):
        return 2

    def draw(self, rng, n, length):
        bits = rng.integers(2, size=(n, length))
        return bits, bits.sum(1) % 2


class Reverse(SequenceTask):
    """The answer is the string of bits backwards, at as many empty places."""

    marked = True

    def vocabulary_size(self, length):
        return 3

    def num_classes(self, length):
        return 2

    def num_tokens(self, length):
        return 2 * length

    def draw(self, rng, n, length):
        bits = rng.integers(2, size=(n, length))
        return self.append_answers(bits, bits[:, ::-1], empty=2)


class Copied(DecimalPalindrome):
    """A built-in task under another name."""


copied = Copied()


@pytest.fixture
def mine(monkeypatch):
    """Return a module `mine` of the user's own, with both tasks."""
    module = ModuleType("mine")
    for kind in (Parity, Reverse, Copied):
        monkeypatch.setattr(kind, "__module__", "mine")
        setattr(module, kind.__name__, kind)
    module.copied = copied
    monkeypatch.setitem(__import__("sys").modules, "mine", module)
    return module


def small(name, **options):
    sizes = {"batches_per_epoch": 7, "validation_size": 32, "test_size": 32}
    return SequenceDataModule(name, 8, 8, **sizes | options)


def test_three_methods_are_enough():
    task = Parity()
    assert task.num_tokens(12) == 12 and task.minimum_length == 1
    assert task.num_sequences(3) == 8 and not task.holds_out(5) and task.holds_out(6)
    assert task.num_sequences(40) > 2**50 and holds_out(task, 40)
    assert task.majority_baseline(9) == pytest.approx(0.5, abs=0.03)


def test_splits_share_no_sequence_and_batches_follow_from_seed_and_step(mine):
    data = small("mine.Parity", curriculum=CURRICULUM)
    data.setup()
    data.curriculum.length = 8
    seen = {tuple(row) for step in range(60) for row in data.train_batch(step)[0].tolist()}
    sets = [{tuple(row) for row in data.sets[split][0].tolist()} for split in ("val", "test")]
    assert not seen & sets[0] and not seen & sets[1] and not sets[0] & sets[1] and len(seen) > 100
    assert torch.equal(data.train_batch(3)[0], small(mine.Parity()).train_batch(3)[0])
    assert data.baselines()["majority_baseline"] == data.sets["test"][1].bincount().max().item() / 32
    assert data.spec["digest"] == small("mine.Parity").spec["digest"] and data.note is None


def test_a_copied_task_gives_the_same_batches(mine):
    for name in ("mine.Copied", "mine.copied"):
        for split in ("train", "test"):
            arguments = {"seed": 1, "split": split, "step": 4}
            pairs = zip(
                draw_batch("decimal_palindrome", 9, 16, **arguments),
                draw_batch(SequenceDataModule(name, 9, 4).task, 9, 16, **arguments),
                strict=True,
            )
            assert all(torch.equal(one, other) for one, other in pairs)


class Global(Parity):
    def draw(self, rng, n, length):
        return super().draw(np.random.default_rng(), n, length)


class Constant(Parity):
    """Has one sequence, but says that there are many."""

    def num_sequences(self, length):
        return 1000

    def draw(self, rng, n, length):
        return np.zeros((n, length), int), np.zeros(n, int)


def returning(tokens, labels):
    return type("Wrong", (Parity,), {"draw": lambda self, rng, n, length: (tokens(n, length), labels(n))})()


def zeros(*shape):
    return np.zeros(shape, int)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (returning(lambda n, t: zeros(n, t + 1), zeros), r"gives tokens \[64, 9\]; allowed: \[64, 8\]"),
        (returning(zeros, lambda n: zeros(n, 1)), r"gives labels \[64, 1\]; allowed: \[64\]"),
        (returning(lambda n, t: zeros(n, t) + 2, zeros), "gives tokens 2 to 2; allowed: 0 to 1"),
        (returning(zeros, lambda n: zeros(n) - 1), "gives labels -1 to -1; allowed: 0 to 1"),
        (returning(lambda n, t: zeros(n, t) + 0.0, zeros), "gives tokens of float64; allowed: integers"),
        (returning(lambda n, t: 1 / 0, zeros), r"fails \(.*test_sequence_task.py, line \d+\): ZeroDivisionError"),
        (Global(), "draw gives other samples for the same rng; fix: draw every random number from rng"),
    ],
)
def test_samples_that_do_not_fit_are_one_line(task, says):
    with pytest.raises(UserError, match=f"^data.name=.*{says}") as error:
        small(task)
    assert "\n" not in str(error.value)


def test_a_split_without_sequences_is_refused_instead_of_sought_forever():
    data = small(Constant())
    with pytest.raises(UserError, match="no sequence of the task is in the (val|test) split"):
        data.setup()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("data.name=mine.Pariti",), 'data.name="mine.Pariti": mine has no Pariti; did you mean Parity?'),
        (("data.name=mine.Copied", "data.sequence_length=1"), "sequence_length=1: mine.Copied allowed: 2 or more"),
        (("data.name=mine.Parity", "task=graph_net"), "task=graph_net: allowed with data=mine.Parity: task=sequence"),
        (("data=sequence_task",), "data.name"),
    ],
)
def test_names_are_checked_with_the_configuration(tiny, mine, words, says):
    with pytest.raises(UserError, match=says):
        tiny(*words)


@pytest.mark.slow
def test_targets_at_marked_positions_of_ones_own(tiny, mine):
    """A marked task goes with the transducer, by either choice of data, and draws what the built-in one draws."""
    for choice in ("data=sequence_task", "data=transduction"):
        config = tiny("experiment=own", choice, "data.name=mine.Reverse", "task=sequence_transducer")
        assert config.data.fitting_task == config.task.name == "sequence_transducer"
    with pytest.raises(
        UserError, match="task=sequence_classifier: allowed with data=mine.Reverse: task=sequence_trans"
    ):
        tiny("data=sequence_task", "data.name=mine.Reverse")
    with pytest.raises(UserError, match="task=sequence_transducer: allowed with data=mine.Parity: task=sequence_class"):
        tiny("data=transduction", "data.name=mine.Parity", "task=sequence_transducer")
    own, built_in = (small(name, shortest_length=3) for name in ("mine.Reverse", "reverse_string"))
    one, other = own.train_batch(2), built_in.train_batch(2)
    assert torch.equal(one.tokens, other.tokens) and torch.equal(one.labels, other.labels)
    assert own.spec["digest"] and "digest" not in built_in.spec


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (lambda n: zeros(n), r"gives targets \[64\]; allowed: \[64, 8\]"),
        (lambda n: zeros(n, 8) - 100, "gives a sequence without a target; allowed: one or more in each"),
        (lambda n: zeros(n, 8) - 1, "gives targets -1 to -1; allowed: 0 to 1"),
    ],
)
def test_targets_that_do_not_fit_are_one_line(targets, says):
    task = returning(zeros, targets)
    type(task).marked = True
    with pytest.raises(UserError, match=says):
        small(task)


@pytest.mark.slow
def test_a_run_on_a_task_of_ones_own(tiny, mine, monkeypatch):
    words = "data=sequence_task", "data.name=mine.Parity", "trainer.max_steps=6"
    result, objects = train(tiny(*words))
    assert result["test_split"] == "held out" and result["data_digest"] == objects["datamodule"].digest
    assert evaluate(objects["run"].path)["test/accuracy"] == result["metrics"]["test/accuracy"]
    monkeypatch.setattr(Parity, "draw", lambda self, rng, n, length: (rng.integers(2, size=(n, length)), zeros(n)))
    with pytest.raises(UserError, match="the content is not what it was"):
        train(tiny(*words, "trainer.max_steps=9"))


class Mean(SequenceTask):
    """The mean of real vectors: neither tokens nor labels."""

    features, regression = 2, True

    def draw(self, rng, n, length):
        values = rng.normal(size=(n, length, 2))
        return values, values.mean((1, 2))


def test_real_vectors_and_a_real_target_of_ones_own():
    data = small(Mean(), shortest_length=2)
    batch = data.train_batch(0)
    assert batch.tokens.shape[2] == 2 and batch.tokens.dtype == batch.labels.dtype == torch.float32
    ends = batch.lengths.tolist()
    means = [vectors[:end].mean().item() for vectors, end in zip(batch.tokens, ends, strict=True)]
    assert batch.labels.tolist() == pytest.approx(means, abs=1e-6) and min(ends) < max(ends)
    keys = {"digest", "features", "sequence_length", "target_mean", "target_scale", "mean_baseline", "median_baseline"}
    assert keys < data.spec.keys() and not {"num_classes", "vocabulary_size"} & data.spec.keys()
    assert data.class_names == [] and data.input_columns(data.evaluation_batches("test")[0]) == {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"features": None}, r"has no vocabulary_size; fix: define vocabulary_size\(self, length\), or set features"),
        ({"regression": False}, "has no num_classes; fix: define num_classes.* or set regression"),
        ({"marked": True}, "has marked and regression; allowed: one of them"),
        ({"features": 0}, "features is 0; allowed: a whole number, 1 or more, or None"),
        ({"features": 3}, r"gives vectors \[64, 8, 2\]; allowed: \[64, 8, 3\]"),
        ({"draw": lambda self, rng, n, length: (zeros(n, length, 2) / 0.0, zeros(n))}, "vectors that are not finite"),
        ({"draw": lambda self, rng, n, length: (zeros(n, length, 2), zeros(n).astype(str))}, "gives targets of <U"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_vectors_and_targets_that_do_not_fit_are_one_line(changes, says):
    task = type("Own", (Mean,), changes)()
    with pytest.raises(UserError, match=says):
        small(task)
