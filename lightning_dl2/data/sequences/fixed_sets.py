"""Parts of a sequence data module: batches of a fixed set, the check of lengths, constant answers of a regression.

Shapes: B sequences, T tokens or steps, N sequences of a set.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor

from lightning_dl2.common.errors import UserError
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
