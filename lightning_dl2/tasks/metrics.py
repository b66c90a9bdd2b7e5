"""Metrics of a whole split that differ from torchmetrics' own.

Shapes: M predictions, C classes, T targets of each item, K columns: C or T.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.utilities import dim_zero_cat


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


class ColumnMetric(Metric):
    """Base of the metrics that are a mean over classes or targets, of which each has a value.

    Attributes:
        by_column: whether `compute` returns the value of each, NaN where the split has none, instead of the mean.
    """

    full_state_update = False
    by_column = False

    def columns(self) -> tuple[Tensor, Tensor]:
        """Return the values [K], and whether the split has one, bool [K]."""
        raise NotImplementedError

    def compute(self) -> Tensor:
        values, has = self.columns()
        return torch.where(has, values, torch.nan) if self.by_column else values[has].mean()


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


def binary_columns(targets: Tensor, num_columns: int) -> tuple[Tensor, Tensor]:
    """Return which entries are positive, and which are known, each bool [M, K].

    Args:
        targets: classes int64 [M], or labels of 0 and 1 [M, T], NaN where unknown.
        num_columns: K.
    """
    if targets.ndim == 1:
        positive = F.one_hot(targets, num_columns).bool()
        return positive, torch.ones_like(positive)
    return targets > 0.5, ~targets.isnan()


class LabelAccuracy(ColumnMetric):
    """Share of the known labels, of all items and targets, that the sign of the logit tells."""

    right: Tensor  # [T], like the count
    count: Tensor

    def __init__(self, num_targets: int) -> None:
        super().__init__()
        for name in ("right", "count"):
            self.add_state(name, torch.zeros(num_targets, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Count by logits and labels [M, T]."""
        positive, known = binary_columns(targets, targets.shape[-1])
        self.right += (((outputs > 0) == positive) & known).sum(0)
        self.count += known.sum(0)

    def columns(self) -> tuple[Tensor, Tensor]:
        return self.right / self.count, self.count > 0

    def compute(self) -> Tensor:
        return super().compute() if self.by_column else self.right.sum() / self.count.sum()


class F1Score(ColumnMetric):
    """F1 of classes or labels: 2 hits / (predicted + present).

    Like scikit-learn's, the macro average leaves out a column that is neither predicted nor present. torchmetrics' own
    takes memory for M x C^2 numbers with deterministic algorithms, and knows no unknown labels that are NaN.

    Args:
        num_columns: K.
        average: "macro": the mean over the columns; "micro": of the sums over all columns.
    """

    hits: Tensor  # [K], like the others
    predicted: Tensor
    present: Tensor

    def __init__(self, num_columns: int, average: str) -> None:
        super().__init__()
        self.average = average
        for name in ("hits", "predicted", "present"):
            self.add_state(name, torch.zeros(num_columns, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Count by logits [M, K], and classes [M] or labels [M, T]."""
        num_columns = len(self.hits)
        positive, known = binary_columns(targets, num_columns)
        decided = F.one_hot(outputs.argmax(-1), num_columns).bool() if targets.ndim == 1 else outputs > 0
        self.hits += (decided & positive & known).sum(0)
        self.predicted += (decided & known).sum(0)
        self.present += (positive & known).sum(0)

    def columns(self) -> tuple[Tensor, Tensor]:
        hits, both = self.hits, self.predicted + self.present
        if self.average == "micro":
            hits, both = hits.sum(0, keepdim=True), both.sum(0, keepdim=True)
        return 2 * hits / both, both > 0


SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "auc": binary_auroc,
    "average_precision": binary_average_precision,
}


def ranking_score(name: str, scores: Tensor, positive: Tensor) -> Tensor:
    """Return the area under the ROC curve, or average precision, of scores of any size: float64.

    Args:
        name: one of SCORES.
        scores: [M].
        positive: bool [M], of which some are true and some false.
    """
    # Ranks from 0 to 1: torchmetrics would make probabilities of logits, and equal ones of great logits.
    ranks = scores.unique(return_inverse=True)[1].double()
    return SCORES[name](ranks / ranks.max().clamp(min=1), positive.long()).double()


class RankingScore(ColumnMetric):
    """Area under the ROC curve, or average precision, by all scores of a split: exact, by torchmetrics' functions.

    Of two classes the score is that of the second. Of more classes, each against the others, and of several labels, it
    is the mean over the columns that have both kinds of items in the split.

    Args:
        score: one of SCORES.
    """

    outputs: list[Tensor]
    targets: list[Tensor]

    def __init__(self, score: str) -> None:
        super().__init__()
        self.score = score
        for name in ("outputs", "targets"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Add logits [M, K], and classes [M] or labels [M, T]."""
        self.outputs.append(outputs.detach())
        self.targets.append(targets)

    def columns(self) -> tuple[Tensor, Tensor]:
        # On the CPU, as a GPU's cumulative sum is not deterministic.
        outputs, targets = dim_zero_cat(self.outputs).cpu(), dim_zero_cat(self.targets).cpu()
        if outputs.isnan().any():
            unknown = torch.full((outputs.shape[1],), torch.nan, device=self.device)
            return unknown, torch.ones_like(unknown, dtype=torch.bool)
        positive, known = binary_columns(targets, outputs.shape[1])
        scores = outputs.double().log_softmax(-1) if targets.ndim == 1 else outputs
        columns = range(1, 2) if targets.ndim == 1 and outputs.shape[1] == 2 else range(outputs.shape[1])
        found = torch.full((len(columns),), torch.nan, dtype=torch.float64)
        has = torch.zeros(len(columns), dtype=torch.bool)
        for place, column in enumerate(columns):
            there = known[:, column]
            ones = positive[there, column]
            if 0 < int(ones.sum()) < len(ones):
                found[place], has[place] = ranking_score(self.score, scores[there, column], ones), True
        return found.to(self.device), has.to(self.device)


class ErrorOfTargets(ColumnMetric):
    """Error of T numbers by sums in float64: the mean over the targets that have a known number.

    Args:
        error: "mean_absolute_error", "root_mean_squared_error", or "r2", the share of the variance that is explained.
        num_targets: T.
        offset: T numbers near the targets, for the digits of the variance of targets far from 0.
    """

    count: Tensor  # [T], like the others
    absolute: Tensor  # sums of the errors, and of their squares
    squared: Tensor
    total: Tensor  # of the targets less the offset, and of their squares
    total_squared: Tensor
    offset: Tensor

    def __init__(self, error: str, num_targets: int, offset: Sequence[float] | None = None) -> None:
        super().__init__()
        self.error = error
        numbers = torch.zeros(num_targets, dtype=torch.float64)
        for name in ("count", "absolute", "squared", "total", "total_squared"):
            self.add_state(name, numbers.clone(), dist_reduce_fx="sum")
        self.register_buffer("offset", numbers if offset is None else numbers + numbers.new_tensor(offset), False)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Add numbers [M] or [M, T]; a target that is NaN is unknown."""
        shape = len(targets), len(self.count)
        outputs, targets = outputs.double().reshape(shape), targets.double().reshape(shape)
        known = ~targets.isnan()
        missed = torch.where(known, outputs - targets, 0.0)
        value = torch.where(known, targets - self.offset, 0.0)
        self.count += known.sum(0)
        self.absolute += missed.abs().sum(0)
        self.squared += missed.square().sum(0)
        self.total += value.sum(0)
        self.total_squared += value.square().sum(0)

    def columns(self) -> tuple[Tensor, Tensor]:
        if self.error == "r2":
            spread = self.total_squared - self.total.square() / self.count.clamp(min=1)
            # A target that is constant in this split has no R2.
            return 1 - self.squared / spread, spread > 1e-12 * self.total_squared
        mean = (self.absolute if self.error == "mean_absolute_error" else self.squared) / self.count
        return mean if self.error == "mean_absolute_error" else mean.sqrt(), self.count > 0


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
