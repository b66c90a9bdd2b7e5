"""Draw sequences of different lengths for one batch, padded behind their ends.

Shapes: B sequences, T tokens or steps of the longest, F features.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.data.sequences.generators import draw_batch
from lightning_dl2.data.sequences.sequence_set import SequenceBatch
from lightning_dl2.data.sequences.sequence_task import SequenceTask
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

LENGTHS = 0  # in place of a length in the entropy of a draw: no sequence has it


class Sequences(NamedTuple):
    """Sequences with their answers, padded with token 0 or with zeros.

    Attributes:
        tokens: int64 or, where they are stored, int32 [B, T]; or real vectors, float32 [B, T, F].
        labels: int64 [B]; of a regression float32 [B]; of a marked task targets [B, T], NOT_COUNTED at unmarked
            positions and in padding.
        lengths: tokens of each sequence, int64 [B].
    """

    tokens: Tensor
    labels: Tensor
    lengths: Tensor

    def batch(self, rows: Tensor, weight: float = 1.0, measured_at: int | None = None) -> SequenceBatch:
        """Build the batch of `rows`, int64 [B], padded to the longest of them."""
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        labels, tokens = self.labels[rows], self.tokens[rows, :longest]
        return SequenceBatch(
            tokens if tokens.is_floating_point() else tokens.long(),
            labels[:, :longest] if labels.dim() == 2 else labels,
            None if (lengths == longest).all() else lengths,
            weight,
            rows,
            measured_at,
        )

    def weight(self, rows: Tensor, world: int, items: Tensor | None = None, *, by_sequence: bool = False) -> float:
        """Weigh the mean loss over the targets of `rows` in the mean over `world` ranks.

        Args:
            items: the sequences that the ranks share, int64; None: all.
            by_sequence: the loss is a mean over the sequences, however many targets each has.
        """
        labels = self.labels if items is None else self.labels[items]
        if labels.dim() == 1 or by_sequence:
            return len(rows) * world / len(labels)
        counted = (self.labels[rows] != NOT_COUNTED).sum().item(), (labels != NOT_COUNTED).sum().item()
        return counted[0] * world / counted[1]


def draw_sequences(
    task: SequenceTask, shortest: int, longest: int, n: int, *, seed: int, split: str, step: int
) -> Sequences:
    """Draw sequences whose lengths are uniform between `shortest` and `longest`, as the task counts them.

    A pure function of the arguments, as `draw_batch` is, whose errors it raises.

    Args:
        n: B, the number of sequences, in no order.
        seed, step: not negative; distinct pairs give independent batches.
        split: one of SPLITS, which share no sequence of a length at which the task holds some out.
    """
    sizes = np.full(n, longest)
    if shortest < longest:
        rng = np.random.default_rng((seed, SPLITS.index(split), step, LENGTHS))
        sizes = rng.integers(shortest, longest, n, endpoint=True)
    steps = max(task.num_tokens(int(size)) for size in np.unique(sizes))
    if task.features is None:
        tokens = torch.zeros(n, steps, dtype=torch.int64)
    else:
        tokens = torch.zeros(n, steps, task.features)
    kind = torch.float32 if task.regression else torch.int64
    labels = torch.full((n, steps) if task.marked else (n,), NOT_COUNTED, dtype=kind)
    lengths = torch.zeros(n, dtype=torch.int64)
    for size in np.unique(sizes):
        rows = torch.from_numpy(np.flatnonzero(sizes == size))
        drawn, answers = draw_batch(task, int(size), len(rows), seed=seed, split=split, step=step)
        lengths[rows] = drawn.shape[1]
        tokens[rows, : drawn.shape[1]] = drawn
        if task.marked:
            labels[rows, : drawn.shape[1]] = answers
        else:
            labels[rows] = answers
    return Sequences(tokens, labels, lengths)
