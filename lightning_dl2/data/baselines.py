"""Baselines of sequences and texts: the commonest answer, and programs that compress.

Shapes: N tokens.
"""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from lightning_dl2.decoding.vocabulary import Vocabulary

CHUNK = 1 << 20  # tokens at once: a text of any size takes constant memory
PRIMED = 1 << 24  # tokens; the window of xz is 64 MiB, but more would take minutes


def count_tokens(tokens: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """Count each token: [N] -> int64 [vocabulary_size]."""
    counts = np.zeros(vocabulary_size, np.int64)
    for start in range(0, len(tokens), CHUNK):
        counts += np.bincount(tokens[start : start + CHUNK], minlength=vocabulary_size)
    return counts


def majority_share(train: np.ndarray, test: np.ndarray, vocabulary_size: int) -> float:
    """Return the accuracy on `test` of always guessing training's commonest token."""
    commonest = count_tokens(train, vocabulary_size).argmax()
    return float(count_tokens(test, vocabulary_size)[commonest] / len(test))


def compressed_sizes(train: np.ndarray, test: np.ndarray, vocabulary: Vocabulary) -> dict[str, float]:
    """Compress `test`, in UTF-8, as hard as each program can; return bits a token by program.

    A net has read the training split before its test. So `xz_primed` first reads the last PRIMED tokens of training,
    and its size is what `test` adds. The window of xz holds both; those of gzip and bz2 are too short to gain by it.

    Args:
        train: [N], tokens.
        test: [M], tokens that follow these in the text.
    """
    known = train[-PRIMED:]
    sizes = {
        "gzip": _size(zlib.compressobj(9, wbits=31), vocabulary, test),  # 31: with gzip's header
        "bz2": _size(bz2.BZ2Compressor(9), vocabulary, test),
        "xz": _size(_xz(), vocabulary, test),
        "xz_primed": _size(_xz(), vocabulary, known, test) - _size(_xz(), vocabulary, known),
    }
    return {name: 8 * size / len(test) for name, size in sizes.items()}


def _xz() -> lzma.LZMACompressor:
    return lzma.LZMACompressor(preset=9)


def _size(program: Any, vocabulary: Vocabulary, *parts: np.ndarray) -> int:
    """Count the bytes that `program` makes of the tokens of `parts`, one after the other."""
    size = sum(len(program.compress(text)) for part in parts for text in _utf8(part, vocabulary))
    return size + len(program.flush())


def _utf8(tokens: np.ndarray, vocabulary: Vocabulary) -> Iterator[bytes]:
    codes = np.array([ord(character) for character in vocabulary.characters], "<u4")  # empty unless of characters
    for start in range(0, len(tokens), CHUNK):
        chunk = tokens[start : start + CHUNK]
        if vocabulary.tokens == "bytes":
            yield chunk.tobytes()
        elif vocabulary.tokens != "characters":  # of the user's own
            yield vocabulary.decode(chunk.tolist()).encode("utf-8", "surrogatepass")
        else:
            yield codes[chunk].tobytes().decode("utf-32-le", "surrogatepass").encode("utf-8", "surrogatepass")
