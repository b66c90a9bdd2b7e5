"""Assign every sequence to one split, so that no test sequence is trained on.

The split follows from a hash of the tokens alone: the held-out sequences are the same for every seed. The hash is part
of the tasks' definition; results with another hash cannot be compared.

Shapes: B sequences, T tokens.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from lightning_dl2.common.errors import UserError

SHARES = {"train": 14 / 16, "val": 1 / 16, "test": 1 / 16}

Samples = tuple[np.ndarray, np.ndarray]  # tokens [B, T] and labels [B]


FRUITLESS = 50  # calls in a row without a sample of the split: there are none


def draw_from_split(draw: Callable[[int], Samples], n: int, split: str) -> Samples:
    """Call `draw`, which takes the number of samples, until `n` of the split are found; drop the others.

    Raises:
        UserError: the split has no samples, as may be where a user's task has few sequences.
    """
    parts, missing, fruitless = [], n, 0
    while missing > 0:
        # A little more than needed on average, so that one call mostly suffices; at most 8192 rows, to save memory.
        tokens, labels = draw(min(int(1.1 * missing / SHARES[split]) + 16, 8192))
        kept = np.flatnonzero(in_split(tokens, split))[:missing]
        fruitless = 0 if len(kept) else fruitless + 1
        if fruitless == FRUITLESS:
            raise UserError(
                f"data.name: no sequence of the task is in the {split} split; fix: have it draw more of them"
            )
        parts.append((tokens[kept], labels[kept]))
        missing -= len(kept)
    return np.concatenate([tokens for tokens, _ in parts]), np.concatenate([labels for _, labels in parts])


def in_split(tokens: np.ndarray, split: str) -> np.ndarray:
    """Tell whether each sequence belongs to the split: int64 [B, T] -> bool [B]."""
    hashes = _mix(np.ascontiguousarray(tokens).view(np.uint64) @ _multipliers(tokens.shape[1]))
    sixteenth = hashes >> np.uint64(60)
    return sixteenth > 1 if split == "train" else sixteenth == ("val", "test").index(split)


@lru_cache
def _multipliers(num_tokens: int) -> np.ndarray:
    """Return an odd pseudorandom factor for each position, [T]."""
    return _mix(np.arange(1, num_tokens + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)


def _mix(x: np.ndarray) -> np.ndarray:
    """Mix the bits of x by the finalizer of SplitMix64 (Steele, Lea & Flood, 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
