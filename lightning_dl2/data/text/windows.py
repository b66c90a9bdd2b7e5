"""Cut windows out of a long text, and mark the tokens that count as predictions.

A prediction is a pair of neighbours in the text: the token read and the next one, the target.
Shapes: N tokens in a split, B or E rows a process, T tokens a window.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.decoding.vocabulary import NOT_COUNTED


class TextBatch(NamedTuple):
    """Windows of a text."""

    tokens: Tensor  # int64 [B, T]
    targets: Tensor  # int64 [B, T]: the next token, or NOT_COUNTED
    fresh: bool  # begins from a zero state
    cold: bool  # its loss, the one from a zero state, is averaged apart


def read_ring(ring: np.ndarray, starts: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
    """Read windows of `length` tokens from each of `starts`, [B], of a text that begins anew after its end.

    Only the windows are copied out of `ring`. Its first token does not follow its last one: that target is NOT_COUNTED.
    """
    positions = (starts[:, None] + np.arange(length + 1)) % len(ring)
    read = ring[positions].astype(np.int64)
    targets = np.where(positions[:, 1:] == 0, NOT_COUNTED, read[:, 1:])
    return torch.from_numpy(read[:, :-1].copy()), torch.from_numpy(targets)


def read_rows(
    split: np.ndarray, starts: np.ndarray, counted: np.ndarray, ends: np.ndarray, length: int
) -> tuple[Tensor, Tensor]:
    """Read windows of `length` tokens from each of `starts`, [E], whose predictions from `counted` to `ends` count.

    A prediction's position is that of the token read. Tokens at or beyond their row's end are 0.
    """
    positions = starts[:, None] + np.arange(length)
    inside = positions < ends[:, None]
    clipped = np.where(inside, positions, 0)
    tokens = np.where(inside, split[clipped], 0)
    # In a row without predictions, position 0 may be the split's last token.
    following = split[np.minimum(clipped + 1, len(split) - 1)].astype(np.int64)  # the split is unsigned
    targets = np.where(inside & (positions >= counted[:, None]), following, NOT_COUNTED)
    return torch.from_numpy(tokens.astype(np.int64)), torch.from_numpy(targets.astype(np.int64))


class EvaluationBatches:
    """Evaluate every prediction of a split once with a carried state, and windows of it from a zero state.

    For the first, the N - 1 predictions are divided into segments, a row each, which are read side by side in windows
    of `width` tokens. A segment begins `warmup` tokens early, which do not count, so that its state is almost that
    carried from the split's start; with one row and one process it is exactly that. For the second, the split is cut
    into windows of `width` tokens; a remainder that fills no window is left out.

    All ranks have equally many batches, since all take part in each; some rows may have no prediction that counts.

    Args:
        split: [N]; at least one prediction a process.
        rows: E, at most; fewer for a short split.
        warmup: tokens read before a segment.
        width: T.
    """

    def __init__(self, split: np.ndarray, rank: int, world: int, rows: int, warmup: int, width: int) -> None:
        self.split, self.width = split, width
        predictions = len(split) - 1

        segment_rows = min(rows, predictions // world)
        bounds = np.arange(world * segment_rows + 1) * predictions // (world * segment_rows)
        starts = np.maximum(bounds[:-1] - warmup, 0)
        self.num_stateful = _ceil((bounds[1:] - starts).max(), width)  # of all ranks
        mine = slice(rank * segment_rows, (rank + 1) * segment_rows)
        self.starts, self.counted, self.ends = starts[mine], bounds[:-1][mine], bounds[1:][mine]

        self.cold_width = min(width, predictions)
        self.num_windows = predictions // self.cold_width
        self.cold_rows = min(rows, _ceil(self.num_windows, world))
        self.num_cold = _ceil(self.num_windows, self.cold_rows * world)
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return self.num_stateful + self.num_cold

    def __iter__(self) -> Iterator[TextBatch]:
        """Yield both kinds in turns, so that the first two batches give every metric."""
        for stateful, cold in zip_longest(self._stateful(), self._cold()):
            yield from (batch for batch in (stateful, cold) if batch)

    def _stateful(self) -> Iterator[TextBatch]:
        for number in range(self.num_stateful):
            starts = self.starts + number * self.width
            yield TextBatch(
                *read_rows(self.split, starts, self.counted, self.ends, self.width), fresh=number == 0, cold=False
            )

    def _cold(self) -> Iterator[TextBatch]:
        for number in range(self.num_cold):
            first = (number * self.world + self.rank) * self.cold_rows
            starts = np.arange(first, first + self.cold_rows) * self.cold_width
            ends = np.minimum(starts + self.cold_width, self.num_windows * self.cold_width)
            yield TextBatch(*read_rows(self.split, starts, starts, ends, self.cold_width), fresh=True, cold=True)


def _ceil(a: int, b: int) -> int:
    return -(-int(a) // b)
