"""Test the data module of given sequences: its batches, splits, vocabulary, and its way through a run."""

import numpy as np
import pytest
import torch

from lightning_dl2 import LabelledSequenceDataModule, SequenceClassifier
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.compose import compose
from lightning_dl2.inference.evaluate import evaluate
from lightning_dl2.nets.recurrent.gradient_flow import fixed_batch, gradient_flow
from lightning_dl2.training.start import train
from tests.small import small_trainer


def words(count=90, symbols="ABCD", seed=0):
    """Return random words of 3 to 9 letters, and whether they have an even number of A."""
    rng = np.random.default_rng(seed)
    found = ["".join(rng.choice(list(symbols), size=rng.integers(3, 10))) for _ in range(count)]
    return found, ["even" if word.count("A") % 2 == 0 else "odd" for word in found]


def small(*given, **options):
    return LabelledSequenceDataModule(*(given or words()), **{"batch_size": 8, "evaluation_batch_size": 5} | options)


def placed(data, rank, world):
    data.placed_at = rank, world
    return data


def ids(batches):
    return [number for batch in batches for number in batch.ids.tolist()]


def test_a_batch_holds_its_sequences_padded_behind_their_ends():
    data, (texts, labels) = small(), words()
    batch = data.train_batch(4)
    for row, label, length, number in zip(batch.tokens, batch.labels, batch.lengths, batch.ids.tolist(), strict=True):
        assert "".join(data.spec["vocabulary"][token] for token in row[:length]) == texts[number]
        assert data.spec["class_names"][label] == labels[number] and not row[length:].any()
    assert batch.tokens.dtype == torch.int64 and batch.weight == 1.0


@pytest.mark.parametrize("bucket_batches", [1, 3])
def test_an_epoch_has_every_training_sequence_once_and_follows_from_the_seed(bucket_batches):
    data = small(bucket_batches=bucket_batches, seed=3)
    steps = data.batches_per_epoch
    epochs = [ids(data.train_batch(step) for step in range(first, first + steps)) for first in (0, steps)]
    train = data.set.splits["train"].tolist()
    assert sorted(epochs[0]) == sorted(epochs[1]) == train and epochs[0] != epochs[1]
    again = small(bucket_batches=bucket_batches, seed=3)
    assert ids([again.train_batch(steps + 2)]) == ids([data.train_batch(steps + 2)])
    assert ids([small(bucket_batches=bucket_batches, seed=4).train_batch(0)]) != ids([data.train_batch(0)])


def test_buckets_spare_padding():
    def padded(data):
        batches = [data.train_batch(step) for step in range(data.batches_per_epoch)]
        return sum(batch.tokens.numel() for batch in batches)

    assert padded(small(bucket_batches=9)) < 0.85 * padded(small())


def test_ranks_share_batches_and_meet_in_each():
    whole = small(batch_size=16)
    parts = [placed(small(), rank, 2) for rank in range(2)]
    assert parts[0].batches_per_epoch == whole.batches_per_epoch
    mine, other = (part.train_batch(5) for part in parts)
    assert sorted(ids([mine, other])) == sorted(ids([whole.train_batch(5)]))
    assert mine.weight + other.weight == 2
    for split in ("val", "test"):
        shares = [part.evaluation_batches(split) for part in parts]
        assert len(shares[0]) == len(shares[1])
        assert sorted(ids(shares[0] + shares[1])) == parts[0].set.splits[split].tolist()
    with pytest.raises(UserError, match="processes share the"):
        parts[0].check_processes(50)


def test_shares_are_the_same_for_every_seed_and_of_each_class():
    texts, labels = words(200)
    first, second = (small(texts, labels, seed=seed, test_fraction=0.2) for seed in (0, 1))
    assert all(torch.equal(first.set.splits[split], second.set.splits[split]) for split in first.set.splits)
    for number in (0, 1):
        count = (first.set.labels == number).sum()
        assert (first.set.labels[first.set.splits["test"]] == number).sum() == pytest.approx(0.2 * count, abs=1)
    assert not torch.equal(first.set.splits["test"], small(texts, labels, split_seed=1).set.splits["test"])


def test_splits_of_ones_own_and_what_is_told_of_them():
    splits = ["train"] * 4 + ["val", "test"]
    data = small(["AB", "BA", "A", "B", "AB", "ABX"], [0, 1, 0, 1, 0, 2], splits=splits, test_fraction=0.3)
    assert data.set.splits["val"].tolist() == [4] and data.spec["vocabulary"] == ["A", "B"]
    assert data.evaluation_batches("test")[0].tokens.tolist() == [[0, 1, data.spec["unknown_token"]]]
    assert data.note == (
        "data: sequences that training has, too: 1 in validation, 0 in test; symbols that training has not, read as"
        " unknown in 1 steps: 'X'; labels that no training sequence has: 2; keys without effect on these sequences:"
        " test_fraction"
    )
    only_test = small(*words(40), splits=["train"] * 30 + ["test"] * 10)
    assert {split: len(items) for split, items in only_test.set.splits.items()} == {"train": 27, "val": 3, "test": 10}


def test_real_features_are_normalised_by_training():
    rng = np.random.default_rng(0)
    sequences = [rng.normal(3, 2, (length, 2)) for length in rng.integers(2, 6, 50)]
    labels = [int(x.sum() > 20) for x in sequences]
    data = small(sequences, labels)
    steps = torch.cat([batch.tokens[0, : batch.lengths[0]] for batch in one_by_one(data)])
    torch.testing.assert_close(steps.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(steps.std(0, correction=0), torch.ones(2), atol=1e-4, rtol=0)
    assert data.spec["features"] == 2 and "vocabulary_size" not in data.spec
    plain = small(sequences, labels, normalize=False)
    batch = plain.train_batch(0)
    expected = torch.from_numpy(sequences[batch.ids[0]]).float()
    assert torch.equal(batch.tokens[0, : len(expected)], expected)


def one_by_one(data):
    for item in data.set.splits["train"]:
        batch = data.set.batch(item[None], 1.0)
        yield batch._replace(lengths=torch.tensor([batch.tokens.shape[1]]))


def test_equal_sequences_have_one_digest_whatever_holds_them():
    texts, labels = words()
    lists = small([list(text) for text in texts], labels)
    assert small().spec["digest"] == lists.spec["digest"] != small(*words(seed=1)).spec["digest"]
    padded = np.zeros((90, 9), int)
    for row, text in zip(padded, texts, strict=True):
        row[: len(text)] = [ord(letter) for letter in text]
    lengths = [len(text) for text in texts]
    arrays = small(padded, labels, lengths=lengths)
    ragged = small([row[:length] for row, length in zip(padded, lengths, strict=True)], labels)
    assert arrays.spec == ragged.spec and arrays.spec["vocabulary"] == ["65", "66", "67", "68"]
    assert torch.equal(arrays.train_batch(1).tokens, lists.train_batch(1).tokens)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((["AB", ""], [0, 1]), "sequence 1 is empty; allowed: one step or more"),
        ((["AB", "B"], [0]), "has 2 sequences, but 1 labels; allowed: one for each"),
        ((["AB", "B"], [1, 1]), "all sequences have the label '1'; allowed: two labels or more"),
        ((["AB", "B"], [0.5, 1.5]), "labels are float64 .*; allowed: whole numbers or texts"),
        ((["AB", "B"], [0, 1], ["train", "dev"]), "the split 'dev'; allowed: train, val, test"),
        ((["AB", "B"], [0, 1]), "the val split has no sequences; allowed: larger shares, or more sequences"),
        (([np.zeros((2, 3)), np.zeros((2, 4))], [0, 1]), "allowed: all integers .*, or all numbers"),
        (
            (np.array([[[0.0], [np.nan]]] * 9), [0, 1] * 4 + [0]),
            "sequence 0, step 1, feature 0 is nan; allowed: finite",
        ),
        ((np.zeros((2, 3), int), [0, 1], None, [1, 4]), "lengths are .*, 1 to 4; allowed: one for each of 2 sequences"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(given, says):
    sequences, labels, *more = given
    options = dict(zip(("splits", "lengths"), more, strict=False))
    with pytest.raises(UserError, match=says):
        LabelledSequenceDataModule(sequences, labels, **options)


@pytest.mark.slow
def test_evaluation_does_not_depend_on_the_batch():
    data, found = small(), []
    task = SequenceClassifier(data.spec, cell="gru", hidden_size=6, bidirectional=True, encoding="one_hot").double()
    for size in (1, 4, 50):
        found += small_trainer(precision=64).test(task, small(evaluation_batch_size=size), verbose=False)
    assert found[0] == pytest.approx(found[1], rel=1e-12) and found[1] == pytest.approx(found[2], rel=1e-12)
    assert set(found[0]) == {"test/loss", "test/accuracy", "test/majority_baseline"}


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_flow_from_the_ends_of_shorter_sequences_too(bidirectional):
    data = small()
    task = SequenceClassifier(data.spec, cell="rnn", hidden_size=4, bidirectional=bidirectional).double()
    tokens, labels, lengths = fixed_batch(data.val_dataloader(), 3)
    flow = gradient_flow(task.net, tokens, labels, lengths)["h"]
    alone = [
        gradient_flow(task.net, tokens[i : i + 1, :length], labels[i : i + 1])["h"]
        for i, length in enumerate(lengths.tolist())
    ]
    assert len(set(lengths.tolist())) > 1 and flow.shape[-1] == lengths.max()
    last = torch.stack([each[0, 0, -1] for each in alone]).mean()
    torch.testing.assert_close(flow[0, 0, -1], last)
    if bidirectional:
        torch.testing.assert_close(flow[0, 1, 0], torch.stack([each[0, 1, 0] for each in alone]).mean())


@pytest.fixture
def file(tmp_path):
    """Write words with their labels."""
    path = tmp_path / "words.txt"
    path.write_text("".join(f"{label}\t{word}\n" for word, label in zip(*words(), strict=True)))
    return path


def composed(tmp_path, file, *more):
    small = ("data.batch_size=8", "task.hidden_size=8", "trainer.max_steps=14", "trainer.val_check_interval=4")
    quiet = ("trainer.num_threads=1", "callbacks.progress_bar=false", "callbacks.curves=false")
    path = (f"data.path={file}", f"root={tmp_path / 'runs'}")
    return compose("experiment=sequence_file", *path, *small, *quiet, "callbacks.checkpoint.every_n_steps=4", *more)


@pytest.mark.slow
def test_a_run_resumes_to_the_same_bits_and_other_content_is_refused(tmp_path, file):
    whole, objects = train(composed(tmp_path, file))
    assert whole["data_digest"] == objects["datamodule"].spec["digest"]
    assert evaluate(objects["run"].path)["test/loss"] == whole["metrics"]["test/loss"]
    begun = composed(tmp_path, file, f"root={tmp_path / 'other'}", "data.num_workers=1", "trainer.max_steps=6")
    train(begun)
    resumed = begun.model_copy(update={"trainer": begun.trainer.model_copy(update={"max_steps": 14})})
    result, again = train(resumed)
    assert {k: v for k, v in result["metrics"].items() if k.startswith("test/")} == {
        k: v for k, v in whole["metrics"].items() if k.startswith("test/")
    }
    pairs = zip(objects["task"].state_dict().values(), again["task"].state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    file.write_text(file.read_text().replace("A", "B", 1))
    with pytest.raises(UserError, match="the content is not what it was"):
        train(composed(tmp_path, file))


@pytest.mark.slow
def test_an_encoding_that_does_not_fit_ends_before_a_directory_is_made(tmp_path, file):
    with pytest.raises(UserError, match="with tokens it must be one of one_hot, embedding, scalar"):
        train(composed(tmp_path, file, "task.encoding=linear"))
    assert not (tmp_path / "runs").exists()
