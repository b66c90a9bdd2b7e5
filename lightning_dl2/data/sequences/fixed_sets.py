"""Parts of a sequence data module: batches of fixed sets, the check of lengths, constant answers of a regression.

Shapes: B sequences, T tokens or steps, N sequences of a set.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.mixed_lengths import Sequences
from lightning_dl2.data.sequences.sequence_set import SequenceBatch
from lightning_dl2.data.sequences.sequence_task import SequenceTask, sizes_of

Batch = tuple[Tensor, Tensor] | SequenceBatch


class FixedBatches:
    """Batches of a fixed set, in order, whose sizes differ by one at most."""

    def __init__(self, tokens: Tensor, labels: Tensor, num_batches: int) -> None:
        self.tokens, self.labels = tokens.tensor_split(num_batches), labels.tensor_split(num_batches)

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Batch]:
        for tokens, labels in zip(self.tokens, self.labels, strict=True):
            yield tokens if tokens.is_floating_point() else tokens.long(), labels


class FixedTrainingSet:
    """Batches of a fixed training set, whose sequences each epoch takes in a new order.

    Args:
        sequences: all of them.
        seed: of the orders.
        by_sequence: the loss is a mean over the sequences, however many targets each has.
    """

    def __init__(self, sequences: Sequences, seed: int, *, by_sequence: bool) -> None:
        self.sequences, self.seed, self.by_sequence = sequences, seed, by_sequence
        self._split: tuple[tuple[int, int], tuple[Tensor, ...]] | None = None  # of the last epoch, into its batches

    def batch(self, step: int, per_epoch: int, rank: int, world: int) -> SequenceBatch:
        """Build the share of rank `rank` of training batch number `step`, where an epoch has `per_epoch` batches."""
        epoch, number = divmod(step, per_epoch)
        if self._split is None or self._split[0] != (epoch, per_epoch):
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.sequences.labels))
            self._split = (epoch, per_epoch), torch.from_numpy(order).tensor_split(per_epoch)
        items = self._split[1][number]
        mine = items[rank::world]
        return self.sequences.batch(mine, self.sequences.weight(mine, world, items, by_sequence=self.by_sequence))


def check_lengths(task: SequenceTask, longest: int, shortest: int | None, test_lengths: Sequence[int]) -> list[int]:
    """Return the test lengths as a list; raise an error unless the task has all lengths, with the same vocabulary."""
    if shortest is not None and shortest > longest:
        raise ValueError(f"shortest_length={shortest}: at most sequence_length={longest}")
    for at in (*test_lengths, *([] if shortest is None else [shortest])):
        task.check(at)
        for name in sizes_of(task):
            if (size := getattr(task, name)(at)) > (known := getattr(task, name)(longest)):
                raise UserError(
                    f"data.test_lengths={list(test_lengths)}: {name}({at}) is {size}, but {name}({longest}) is {known};"
                    f" allowed: lengths up to data.sequence_length={longest}"
                )
    return [int(at) for at in test_lengths]


class Constants:
    """Constant answers to a regression: the mean and the median of training's targets, and their errors.

    They have six digits, so that they are the same on every machine.

    Args:
        targets: of training, [N].

    Attributes:
        mean, scale, median: of the targets; scale is their standard deviation, or 1 if they are all equal.
    """

    def __init__(self, targets: Tensor) -> None:
        values = targets.double()
        self.mean, self.scale, self.median = (
            float(f"{x.item():.6g}") for x in (values.mean(), values.std(unbiased=False), values.quantile(0.5))
        )
        self.scale = self.scale or 1.0

    def spec(self) -> dict[str, float]:
        """Return what a task needs to know of the targets."""
        return {"target_mean": self.mean, "target_scale": self.scale}

    def baselines(self, targets: Tensor) -> dict[str, float]:
        """Return the mean squared error of the mean and the mean absolute error of the median, on `targets` [N]."""
        values = targets.double()
        squared, absolute = (values - self.mean).square().mean(), (values - self.median).abs().mean()
        return {"mean_baseline": squared.item(), "median_baseline": absolute.item()}
