"""Metrics of a whole split, where torchmetrics' own would say something else.

Shapes: M answers, C classes.
"""

import torch
from torch import Tensor
from torchmetrics import Metric


class Mean(Metric):
    """A weighted mean which one NaN makes NaN: by default torchmetrics leaves it out, and the rest is the result.

    The states' dtype decides in which precision it is taken. torchmetrics' MeanMetric goes by `Metric.dtype`, which
    follows torch's default at the last move to a device: with precision=64 the first means of a process would be
    rounded to float32, and the later ones would not.
    """

    full_state_update = False
    total: Tensor  # 0-dimensional, like the weight
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: int | Tensor) -> None:
        """Adds a batch's mean, 0-dimensional, which counts as often as `weight` says."""
        value, weight = (torch.as_tensor(x, dtype=self.total.dtype, device=self.total.device) for x in (value, weight))
        self.total += value * weight
        self.weight += weight

    def compute(self) -> Tensor:
        return self.total / self.weight


class MacroAccuracy(Metric):
    """The share of right answers class by class, and its mean over the classes that the split has.

    torchmetrics' macro average counts a class as 0 that only an answer has named, and with deterministic algorithms
    takes memory for M x C^2 numbers.
    """

    full_state_update = False
    right: Tensor  # [C]
    count: Tensor  # [C]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        for name in ("right", "count"):
            self.add_state(name, torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Logits [M, C] and the classes [M]."""
        is_right = outputs.argmax(-1) == targets
        self.right += torch.bincount(targets[is_right], minlength=len(self.right))
        self.count += torch.bincount(targets, minlength=len(self.count))

    def compute(self) -> Tensor:
        has = self.count > 0
        return (self.right[has] / self.count[has]).mean()
