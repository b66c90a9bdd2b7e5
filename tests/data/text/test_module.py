"""Test that batches of a text depend on (seed, step, rank) only, that streams read on, and that errors come early."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data import downloads
from lightning_dl2.data.text.module import TextDataModule
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

SMALL = {"sequence_length": 5, "batch_size": 4, "evaluation_batch_size": 3, "evaluation_warmup": 4, "cold_window": 8}


@pytest.fixture
def text_data(tmp_path):
    """Return `text_data(text, ...)`; by default all characters of the text differ, so ids are positions."""

    def built(text: str | bytes = "".join(map(chr, range(0x4E00, 0x4E00 + 1000))), **options) -> TextDataModule:
        path = tmp_path / "book.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return TextDataModule("text", str(path), **SMALL | {"cache_dir": str(tmp_path / "cache")} | options)

    return built


def on_rank(data: TextDataModule, rank: int, world: int, done: int = 0, overfit: float = 0.0) -> TextDataModule:
    progress = SimpleNamespace(total=SimpleNamespace(processed=done))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world, fit_loop=loop, overfit_batches=overfit)
    return data


def equal(one, other) -> bool:
    return torch.equal(one.tokens, other.tokens) and torch.equal(one.targets, other.targets) and one[2:] == other[2:]


def test_the_text_is_cut_by_position(text_data):
    data = text_data()
    assert {split: (tokens[0], tokens[-1], len(tokens)) for split, tokens in data.splits.items()} == {
        "train": (0, 899, 900),
        "val": (900, 999, 100),
        "test": (900, 999, 100),
    }
    data = text_data(validation_fraction=0.05, test_fraction=0.05)
    assert [(tokens[0], len(tokens)) for tokens in data.splits.values()] == [(0, 900), (900, 50), (950, 50)]


@pytest.mark.parametrize("size", [999, 1001, 1015, 87654])
def test_a_tenth_is_held_out_as_others_do(text_data, size):
    data = text_data("ab\n" * (size // 3) + "c" * (size % 3))
    assert data.spec["num_tokens"]["train"] == int(0.9 * size)
    assert data.spec["num_tokens"]["val"] == size - int(0.9 * size)


def test_spec_is_plain(text_data):
    text = "Eén coöperatie.\n" * 40
    data = text_data(text)
    train, test = text[:576], text[576:]
    common = max(sorted(set(text)), key=train.count)
    assert data.spec == {
        "vocabulary_size": len(set(text)),
        "vocabulary": {"tokens": "characters", "characters": "".join(sorted(set(text)))},
        "sequence_length": 5,
        "majority_baseline": test.count(common) / len(test),
        "num_tokens": {"train": 576, "val": 64, "test": 64},
        "digest": data.digest,
    }
    assert list(map(type, data.spec.values())) == [int, dict, int, float, dict, str]
    assert data.vocabulary.decode(data.splits["val"].tolist()) == test
    assert data.state_dict() == {}


@pytest.mark.slow
def test_baselines(text_data):
    data = text_data("Eén coöperatie.\n" * 400)
    found = data.baselines()
    assert set(found) == {"majority_baseline", "bpc_gzip", "bpc_bz2", "bpc_xz", "bpc_xz_primed"}
    assert found["bpc_xz_primed"] < found["bpc_xz"]
    of_bytes = text_data("Eén coöperatie.\n" * 400, tokens="bytes").baselines()
    assert {name for name in of_bytes if "bpc" in name} == set()
    assert of_bytes["bits_per_byte_xz"] == pytest.approx(found["bpc_xz"] * 16 / 18, rel=0.1)
    assert found["majority_baseline"] == data.spec["majority_baseline"] and 0 < found["bpc_gzip"] < 3


def test_a_batch_is_a_pure_function_of_seed_and_step(text_data):
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    data = text_data(seed=3)
    third = data.train_batch(3)
    data.train_batch(0), data.train_batch(70)
    assert equal(data.train_batch(3), third) and equal(text_data(seed=3).train_batch(3), third)
    assert not equal(text_data(seed=4).train_batch(3), third) and not equal(data.train_batch(4), third)
    list(data.train_dataloader()), list(data.val_dataloader()), list(data.test_dataloader())
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


def test_streams_read_on_and_an_epoch_reads_nothing_twice(text_data):
    data = text_data(sequence_length=7)
    num_batches = data.batches_per_epoch
    assert num_batches == len(data.train_dataloader()) == 900 // 28
    for epoch in range(3):
        epoch_batches = [data.train_batch(epoch * num_batches + number) for number in range(num_batches)]
        assert [batch.fresh for batch in epoch_batches] == [True] + [False] * (num_batches - 1)
        assert not any(batch.cold for batch in epoch_batches)
        tokens = torch.cat([batch.tokens for batch in epoch_batches], 1)
        targets = torch.cat([batch.targets for batch in epoch_batches], 1)
        assert torch.equal(tokens, (tokens[:, :1] + torch.arange(num_batches * 7)) % 900)
        assert torch.equal(tokens[1:, 0], (tokens[:-1, -1] + 1) % 900)  # a stream starts where the one before ends
        assert len(tokens.unique()) == tokens.numel()
        assert torch.equal(targets, torch.where(tokens == 899, NOT_COUNTED, tokens + 1))


def test_epochs_begin_elsewhere(text_data):
    data = text_data()
    starts = {data.train_batch(epoch * data.batches_per_epoch).tokens[0, 0].item() for epoch in range(30)}
    assert len(starts) > 25 and min(starts) < 200 and max(starts) > 700


@pytest.mark.parametrize("world", [2, 3])
def test_processes_see_what_one_would_see(text_data, world):
    for step in (0, 7, 60):
        whole = text_data(batch_size=4 * world).train_batch(step)
        parts = [on_rank(text_data(), rank, world).train_batch(step) for rank in range(world)]
        assert torch.equal(torch.cat([part.tokens for part in parts]), whole.tokens)
        assert torch.equal(torch.cat([part.targets for part in parts]), whole.targets)
        assert {part[2:] for part in parts} == {whole[2:]}
        assert len(whole.tokens.unique()) == whole.tokens.numel()
    assert on_rank(text_data(), 0, world).batches_per_epoch == text_data(batch_size=4 * world).batches_per_epoch


def test_an_epoch_goes_on_where_training_stands(text_data):
    data = text_data()
    found = list(on_rank(data, 0, 1, done=50).train_dataloader())
    assert len(found) == data.batches_per_epoch == 45
    assert all(equal(batch, data.train_batch(50 + index)) for index, batch in enumerate(found))


def test_overfit_batches_repeats_the_first_ones(text_data):
    data = on_rank(text_data(), 0, 1, done=3, overfit=2)
    found = list(data.train_dataloader())
    assert len(found) == len(data.train_dataloader()) == 2
    assert equal(found[0], data.train_batch(1)) and equal(found[1], data.train_batch(0))
    assert [batch.fresh for batch in found] == [False, True]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_out_the_evaluation(text_data, world):
    counted, lengths = [], set()
    for rank in range(world):
        data = on_rank(text_data(test_fraction=0.2), rank, world)
        lengths.add(len(data.test_dataloader()))
        counted += [batch.targets[batch.targets >= 0] for batch in data.test_dataloader() if not batch.cold]
        assert [batch.cold for batch in data.val_dataloader()][:2] == [False, True]
    assert torch.equal(torch.cat(counted).sort().values, torch.arange(801, 1000)) and len(lengths) == 1


def test_a_text_too_short_to_train_on(text_data):
    message = (
        "data.sequence_length=5: the training split has 18 characters for 4 streams of 5; "
        "fix: use data.sequence_length=4 or less, a data.batch_size below 4, or a longer text"
    )
    with pytest.raises(UserError) as caught:
        text_data("ab" * 10)
    assert str(caught.value) == message
    data = on_rank(text_data("ab" * 15), 0, 2)
    with pytest.raises(
        UserError, match="has 27 characters for 8 streams of 5; fix: use data.sequence_length=3 or less, "
    ):
        data.train_dataloader()
    with pytest.raises(UserError, match="has 27 characters for 8 streams of 5"):
        data.check_processes(2)
    with pytest.raises(UserError, match="has 1 bytes for 4 streams of 5; fix: use a data.batch_size below 4, or"):
        text_data("ab", tokens="bytes")
    with pytest.raises(UserError, match="the training split has 0 characters"):
        text_data(validation_fraction=0.6, test_fraction=0.6)


def test_a_text_too_short_to_evaluate_on(text_data):
    with pytest.raises(
        UserError, match="data.validation_fraction: the validation split has 1 characters for 1 process"
    ):
        text_data("ab" * 30, validation_fraction=0.01)
    with pytest.raises(UserError, match="data.test_fraction: the test split has 1 characters for 1 process"):
        text_data("ab" * 30, test_fraction=0.01)
    data = on_rank(text_data("ab" * 15), 0, 3)
    with pytest.raises(UserError, match="validation split has 3 characters for 3 process.* so that it has 4 or more"):
        data.val_dataloader()


def test_a_vocabulary_of_one_character(text_data):
    data = text_data("a" * 100)
    assert data.spec["vocabulary_size"] == 1 and data.spec["majority_baseline"] == 1.0
    assert not data.train_batch(0).tokens.any()


def test_a_text_of_ones_own_needs_a_path():
    with pytest.raises(
        UserError, match="data.path=null: data.name=text cannot be downloaded; fix: set data.path to a text file"
    ):
        TextDataModule("text")


def test_a_path_wins_over_the_name(text_data, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "urlopen", None)
    (tmp_path / "mine.txt").write_text("abc" * 100)
    data = TextDataModule("tiny_shakespeare", str(tmp_path / "mine.txt"), cache_dir=str(tmp_path / "cache"), **SMALL)
    assert data.vocabulary.characters == "abc"


def test_python_docs_are_there_offline(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "urlopen", None)
    data = TextDataModule("python_docs", cache_dir=str(tmp_path))
    assert data.spec["num_tokens"]["train"] > 300_000 and data.train_batch(0).tokens.shape == (64, 128)
    assert {path.parent for path in tmp_path.rglob("*")} == {tmp_path}
