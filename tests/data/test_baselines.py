"""Test the compressors' baselines of a text against the programs themselves."""

import bz2
import gzip
import lzma

import numpy as np
import pytest

from lightning_dl2.data import baselines
from lightning_dl2.data.baselines import compressed_sizes, count_tokens, majority_share
from lightning_dl2.decoding.vocabulary import Vocabulary

TEXT = "Eén coöperatie 😀, zei ze. " * 300


@pytest.mark.slow
@pytest.mark.parametrize("tokens", ["characters", "bytes"])
@pytest.mark.parametrize("chunk", [7, 1000, 1 << 20])
def test_bits_a_token(tokens, chunk, monkeypatch):
    monkeypatch.setattr(baselines, "CHUNK", chunk)
    vocabulary = Vocabulary(tokens, TEXT)
    ids = np.array(vocabulary.encode(TEXT), np.uint8)
    utf8 = TEXT.encode()
    before = np.array(vocabulary.encode(TEXT[7:] + TEXT[:7]), np.uint8)
    known = vocabulary.decode(before.tolist()).encode()
    whole = {
        "gzip": len(gzip.compress(utf8, 9)),
        "bz2": len(bz2.compress(utf8, 9)),
        "xz": len(lzma.compress(utf8, preset=9)),
        "xz_primed": len(lzma.compress(known + utf8, preset=9)) - len(lzma.compress(known, preset=9)),
    }
    sizes = compressed_sizes(before, ids, vocabulary)
    assert sizes == {name: 8 * size / len(ids) for name, size in whole.items()}
    assert sizes["xz_primed"] < sizes["xz"] / 2


@pytest.mark.slow
def test_no_more_of_training_is_read_than_has_room(monkeypatch):
    vocabulary, ids = Vocabulary("bytes"), np.frombuffer(b"abcdefgh" * 9, np.uint8)
    monkeypatch.setattr(baselines, "PRIMED", 30)
    whole, tail = (compressed_sizes(train, ids, vocabulary)["xz_primed"] for train in (ids, ids[-30:]))
    assert whole == tail


def test_the_guess_is_made_on_training_and_counted_on_test(monkeypatch):
    monkeypatch.setattr(baselines, "CHUNK", 2)
    train, test = np.array([0, 2, 2, 1, 2], np.uint8), np.array([1, 1, 1, 2], np.uint8)
    assert count_tokens(train, 4).tolist() == [1, 1, 3, 0]
    assert majority_share(train, test, 4) == 0.25
