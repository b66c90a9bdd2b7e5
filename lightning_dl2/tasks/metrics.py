"""Metrics of a whole split that differ from torchmetrics' own.

Shapes: M predictions, C classes.
"""

import torch
from torch import Tensor
from torchmetrics import Metric


class Mean(Metric):
    """Weighted mean that one NaN makes NaN; by default torchmetrics would leave the NaN out.

    It is taken in the dtype of its states. torchmetrics' MeanMetric uses `Metric.dtype`, torch's default at the last
    move to a device: with precision=64 the first means of a process would be rounded to float32, later ones not.
    """

    full_state_update = False
    total: Tensor  # 0-dimensional, like the weight
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: int | Tensor) -> None:
        """Add a batch's mean, 0-dimensional, with this weight."""
        value, weight = (torch.as_tensor(x, dtype=self.total.dtype, device=self.total.device) for x in (value, weight))
        self.total += value * weight
        self.weight += weight

    def compute(self) -> Tensor:
        return self.total / self.weight


class MacroAccuracy(Metric):
    """Mean of the classes' accuracies over the classes of the split.

    torchmetrics' macro average adds a 0 for a class that was predicted only, and takes memory for M x C^2 numbers with
    deterministic algorithms.
    """

    full_state_update = False
    right: Tensor  # [C]
    count: Tensor  # [C]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        for name in ("right", "count"):
            self.add_state(name, torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Count right predictions by logits [M, C] and classes [M]."""
        is_right = outputs.argmax(-1) == targets
        self.right += torch.bincount(targets[is_right], minlength=len(self.right))
        self.count += torch.bincount(targets, minlength=len(self.count))

    def compute(self) -> Tensor:
        has = self.count > 0
        return (self.right[has] / self.count[has]).mean()


class ByLength(Metric):
    """Mean of a measure at each of some lengths of a sequence; a subclass says of what.

    Args:
        lengths: different ones, as the task counts them.
    """

    full_state_update = False
    kind: torch.dtype  # of the sum
    total: Tensor  # of each length
    count: Tensor  # of each length

    def __init__(self, lengths: list[int]) -> None:
        super().__init__()
        self.lengths = lengths
        self.add_state("total", torch.zeros(len(lengths), dtype=self.kind), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(len(lengths), dtype=torch.int64), dist_reduce_fx="sum")

    def measure(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the measure of each output, [M]."""
        raise NotImplementedError

    def update(self, outputs: Tensor, targets: Tensor, length: int) -> None:
        """Add the measures of outputs and targets [M], at one of the lengths."""
        place = self.lengths.index(length)
        self.total[place] += self.measure(outputs, targets).sum()
        self.count[place] += len(targets)

    def compute(self) -> dict[int, Tensor]:
        """Return the mean at each length that had a batch."""
        found = zip(self.lengths, self.total, self.count, strict=True)
        return {length: total / count for length, total, count in found if count}


class AccuracyByLength(ByLength):
    """Accuracy at each of some lengths, by logits [M, C] and classes [M]."""

    kind = torch.int64

    def measure(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.argmax(-1) == targets


class SquaredErrorByLength(ByLength):
    """Mean squared error at each of some lengths, by real numbers [M]."""

    kind = torch.float32

    def measure(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square()
