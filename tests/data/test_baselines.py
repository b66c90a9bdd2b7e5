"""What the programs themselves make of the text."""

import bz2
import gzip
import lzma

import numpy as np
import pytest

from lightning_dl2.data import baselines
from lightning_dl2.data.baselines import compressed_sizes, count_tokens, majority_share
from lightning_dl2.data.vocabulary import Vocabulary

TEXT = "Eén coöperatie 😀, zei ze. " * 300


@pytest.mark.parametrize("tokens", ["characters", "bytes"])
@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
def test_bits_a_token(tokens, chunk, monkeypatch):
    monkeypatch.setattr(baselines, "CHUNK", chunk)
    vocabulary = Vocabulary(tokens, TEXT)
    ids = np.array(vocabulary.encode(TEXT), np.uint8)
    utf8 = TEXT.encode()
    whole = {"gzip": gzip.compress(utf8, 9), "bz2": bz2.compress(utf8, 9), "xz": lzma.compress(utf8, preset=9)}
    assert compressed_sizes(ids, vocabulary) == {name: 8 * len(found) / len(ids) for name, found in whole.items()}


def test_the_guess_is_made_on_training_and_counted_on_test(monkeypatch):
    monkeypatch.setattr(baselines, "CHUNK", 2)
    train, test = np.array([0, 2, 2, 1, 2], np.uint8), np.array([1, 1, 1, 2], np.uint8)
    assert count_tokens(train, 4).tolist() == [1, 1, 3, 0]
    assert majority_share(train, test, 4) == 0.25
