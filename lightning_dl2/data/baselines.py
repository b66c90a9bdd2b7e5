"""What must be beaten: always the same guess, and programs that compress.

Shapes: N tokens.
"""

import bz2
import lzma
import zlib

import numpy as np

from lightning_dl2.data.vocabulary import Vocabulary

CHUNK = 1 << 20  # tokens at once: a text of any size is gone through in constant memory


def count_tokens(tokens: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """How often each token occurs: [N] -> int64 [vocabulary_size]."""
    counts = np.zeros(vocabulary_size, np.int64)
    for start in range(0, len(tokens), CHUNK):
        counts += np.bincount(tokens[start : start + CHUNK], minlength=vocabulary_size)
    return counts


def majority_share(train: np.ndarray, test: np.ndarray, vocabulary_size: int) -> float:
    """The share that training's commonest token has of `test`: the accuracy of always guessing it."""
    commonest = count_tokens(train, vocabulary_size).argmax()
    return float(count_tokens(test, vocabulary_size)[commonest] / len(test))


def compressed_sizes(tokens: np.ndarray, vocabulary: Vocabulary) -> dict[str, float]:
    """Bits a token of the text in UTF-8, compressed as hard as each program can."""
    programs = {
        "gzip": zlib.compressobj(9, wbits=31),  # 31: with gzip's header
        "bz2": bz2.BZ2Compressor(9),
        "xz": lzma.LZMACompressor(preset=9),
    }
    sizes = dict.fromkeys(programs, 0)
    codes = np.array([ord(character) for character in vocabulary.characters], "<u4")
    for start in range(0, len(tokens), CHUNK):
        chunk = tokens[start : start + CHUNK]
        if vocabulary.tokens == "bytes":
            text = chunk.tobytes()
        else:
            text = codes[chunk].tobytes().decode("utf-32-le", "surrogatepass").encode("utf-8", "surrogatepass")
        for name, program in programs.items():
            sizes[name] += len(program.compress(text))
    for name, program in programs.items():
        sizes[name] += len(program.flush())
    return {name: 8 * size / len(tokens) for name, size in sizes.items()}
