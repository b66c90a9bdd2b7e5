"""Say what each kind of target means for a graph network: its loss, its metrics, and what is predicted.

Shapes: M nodes or graphs with a target, C classes, T numbers or labels of each, K outputs of the net: C or T.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, Metric
from torchmetrics.classification import MulticlassAccuracy

from lightning_dl2.common.errors import nearest
from lightning_dl2.config.schema.targets import ALWAYS, HITS_AT, METRICS, OF_EACH, SEVERAL
from lightning_dl2.tasks.metrics import (
    ColumnMetric,
    ErrorOfTargets,
    F1Score,
    LabelAccuracy,
    MacroAccuracy,
    RankingScore,
)
from lightning_dl2.tasks.ranking import LinkRank

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "mse": F.mse_loss,
    "huber": F.huber_loss,  # quadratic up to an error of 1, linear beyond
}
BALANCED = ("none", "balanced")


class Targets(nn.Module):
    """Base of the kinds of targets. A kind is a subclass, and stands in KINDS; its metrics stand in METRICS, too.

    The buffers are not in checkpoints: they follow from the spec.

    Args:
        spec: of the data module.
        class_weights: "none", or "balanced": in training each class counts the same.
        loss: of numbers: one of LOSSES.
        standardize: whether the net answers numbers in units of training's deviation, from training's mean; None: as
            the spec says.
    """

    kind: ClassVar[str]
    builders: ClassVar[dict[str, Callable[["Targets"], Metric]]]  # of each metric
    num_outputs: int
    changes_units = False  # whether numbers are not in the unit of the targets
    offset: list[float] | None = None  # T numbers near the targets, if they are numbers

    def __init__(self, spec: dict[str, Any], *, class_weights: str, loss: str, standardize: bool | None) -> None:
        super().__init__()
        self.num_outputs = spec["num_outputs"]

    def metric_names(self, extra: Sequence[str]) -> list[str]:
        """Return the metrics to log beside the loss: those that always are, and the extra ones.

        Raises:
            ValueError: there is no such metric of this kind of target.
        """
        for name in extra:
            if name not in METRICS[self.kind]:
                raise ValueError(f"extra_metrics={name}: {nearest(name, list(METRICS[self.kind]))}")
        return list(dict.fromkeys([*ALWAYS[self.kind], *extra]))

    def build_metrics(self, names: Sequence[str]) -> dict[str, Metric]:
        """Build metrics by name; `update(outputs, targets)` of each takes what `comparable` returns."""
        return {name: self.builders[name](self) for name in names}

    def metrics_by_target(self, names: Sequence[str]) -> dict[str, ColumnMetric]:
        """Build those of the metrics that each of several targets has, by the same names; empty where there is one."""
        if self.kind not in SEVERAL or self.num_outputs == 1:
            return {}
        found = {name: self.builders[name](self) for name in names if name in OF_EACH}
        for metric in found.values():
            metric.by_column = True
        return found  # type: ignore[return-value]  # of several targets all are ColumnMetrics

    def shaped(self, outputs: Tensor) -> Tensor:
        """Give the outputs of the net, [M, K], the shape of the targets or logits."""
        return outputs

    def count(self, targets: Tensor) -> int:
        """Count the known entries, by which the mean loss of a batch weighs."""
        return len(targets)

    def training_losses(self, outputs: Tensor, targets: Tensor, all_known: bool = False) -> dict[str, Tensor]:
        """Return the mean `loss` of a batch, and what is logged of a training step beside it.

        Args:
            all_known: whether no target is unknown. To choose the known ones waits for a GPU.
        """
        raise NotImplementedError

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of an evaluation, without weights of classes."""
        raise NotImplementedError

    def comparable(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return answers and targets as the metrics compare them."""
        return outputs, targets

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return probabilities [M, K], or numbers [M] or [M, T] in the unit of the targets; float64."""
        raise NotImplementedError


class Classes(Targets):
    """One of C classes: int64 [M]. Outputs are logits [M, C]."""

    kind = "classification"
    builders: ClassVar = {
        "accuracy": lambda self: MulticlassAccuracy(self.num_outputs, average="micro"),
        "macro_accuracy": lambda self: MacroAccuracy(self.num_outputs),
        "macro_f1": lambda self: F1Score(self.num_outputs, "macro"),
        "micro_f1": lambda self: F1Score(self.num_outputs, "micro"),
        "auc": lambda self: RankingScore("auc"),
        "average_precision": lambda self: RankingScore("average_precision"),
    }
    class_weights: Tensor | None

    def __init__(self, spec: dict[str, Any], *, class_weights: str, loss: str, standardize: bool | None) -> None:
        super().__init__(spec, class_weights=class_weights, loss=loss, standardize=standardize)
        weights = None
        if class_weights == "balanced":
            shares = torch.tensor(spec["class_shares"])
            weights = torch.where(shares > 0, 1 / (len(shares) * shares), 0.0)
        self.register_buffer("class_weights", weights, persistent=False)

    def training_losses(self, outputs: Tensor, targets: Tensor, all_known: bool = False) -> dict[str, Tensor]:
        losses = F.cross_entropy(outputs, targets, weight=self.class_weights, reduction="none")
        return {"loss": losses.mean(), "accuracy": (outputs.argmax(-1) == targets).float().mean()}

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets)

    def predicted(self, outputs: Tensor) -> Tensor:
        return outputs.double().softmax(-1)  # in float32 close logits could become equal probabilities


class Labels(Targets):
    """T labels of 0 or 1: float32 [M, T], NaN where unknown. Outputs are logits [M, T]."""

    kind = "multilabel"
    builders: ClassVar = {
        "accuracy": lambda self: LabelAccuracy(self.num_outputs),
        "macro_f1": lambda self: F1Score(self.num_outputs, "macro"),
        "micro_f1": lambda self: F1Score(self.num_outputs, "micro"),
        "auc": lambda self: RankingScore("auc"),
        "average_precision": lambda self: RankingScore("average_precision"),
    }
    weights: Tensor | None  # [2, T], of zeros and of ones

    def __init__(self, spec: dict[str, Any], *, class_weights: str, loss: str, standardize: bool | None) -> None:
        super().__init__(spec, class_weights=class_weights, loss=loss, standardize=standardize)
        weights = None
        if class_weights == "balanced":
            ones = torch.tensor(spec["label_shares"])
            shares = torch.stack([1 - ones, ones])
            weights = torch.where(shares > 0, 1 / (2 * shares), 0.0)
        self.register_buffer("weights", weights, persistent=False)

    def count(self, targets: Tensor) -> int:
        return int((~targets.isnan()).sum())

    def training_losses(self, outputs: Tensor, targets: Tensor, all_known: bool = False) -> dict[str, Tensor]:
        weights = None
        if self.weights is not None:
            weights = _known(targets, all_known, torch.where(targets > 0.5, self.weights[1], self.weights[0]))[0]
        logits, labels = _known(targets, all_known, outputs, targets)
        loss = F.binary_cross_entropy_with_logits(logits, labels, weight=weights)
        return {"loss": loss, "accuracy": ((logits > 0) == (labels > 0.5)).float().mean()}

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        known = ~targets.isnan()
        return F.binary_cross_entropy_with_logits(outputs.masked_select(known), targets.masked_select(known))

    def predicted(self, outputs: Tensor) -> Tensor:
        return outputs.double().sigmoid()


class Numbers(Targets):
    """T numbers: float32 [M] or, if there are several, [M, T]; NaN where unknown. Outputs are standardised numbers.

    The loss is in units of training's deviation, if `standardize`; the metrics are in the unit of the targets.
    """

    kind = "regression"
    builders: ClassVar = {
        # Runs with one number a graph have always had torchmetrics' own, in float32.
        "mean_absolute_error": lambda self: (
            ErrorOfTargets("mean_absolute_error", self.num_outputs) if self.changes_units else MeanAbsoluteError()
        ),
        "root_mean_squared_error": lambda self: ErrorOfTargets("root_mean_squared_error", self.num_outputs),
        "r2": lambda self: ErrorOfTargets("r2", self.num_outputs, self.offset),
    }
    mean: Tensor | None  # [T], float64
    scale: Tensor | None

    def __init__(self, spec: dict[str, Any], *, class_weights: str, loss: str, standardize: bool | None) -> None:
        super().__init__(spec, class_weights="none", loss=loss, standardize=standardize)
        self.error = LOSSES[loss]
        standardizes = spec.get("standardize_targets", False) if standardize is None else standardize
        for name in ("mean", "scale"):
            values = torch.tensor(spec[f"target_{name}"], dtype=torch.float64) if standardizes else None
            self.register_buffer(name, values, persistent=False)
        self.changes_units = standardizes or self.num_outputs > 1
        self.offset = spec.get("target_mean")

    def shaped(self, outputs: Tensor) -> Tensor:
        return outputs.squeeze(-1) if self.num_outputs == 1 else outputs

    def count(self, targets: Tensor) -> int:
        return int((~targets.isnan()).sum())

    def training_losses(self, outputs: Tensor, targets: Tensor, all_known: bool = False) -> dict[str, Tensor]:
        error = self._error(outputs, targets, all_known)
        with torch.no_grad():
            answers, wanted = self.comparable(outputs.detach(), targets)
            answers, wanted = _known(wanted, all_known, answers, wanted)
            missed = F.l1_loss(answers, wanted)
        return {"loss": error, "mean_absolute_error": missed.to(error.dtype)}

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._error(outputs, targets, False)

    def _error(self, outputs: Tensor, targets: Tensor, all_known: bool) -> Tensor:
        wanted = targets
        if self.mean is not None and self.scale is not None:
            wanted = ((targets - self.mean) / self.scale).to(outputs.dtype)
        return self.error(*_known(targets, all_known, outputs, wanted))

    def comparable(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return self.in_units(outputs) if self.changes_units else outputs, targets

    def in_units(self, outputs: Tensor) -> Tensor:
        """Return outputs in the unit of the targets, float64."""
        outputs = outputs.double()
        return outputs if self.mean is None or self.scale is None else self.mean + self.scale * outputs

    def predicted(self, outputs: Tensor) -> Tensor:
        return self.in_units(outputs)


class Links(Targets):
    """An edge between two nodes, or none: float32 [M], 1 or 0. Outputs are logits [M]."""

    kind = "link"
    builders: ClassVar = {
        "auc": lambda self: RankingScore("auc"),
        "average_precision": lambda self: RankingScore("average_precision"),
        "mrr": lambda self: LinkRank(),
        **{f"hits_{k}": partial(lambda self, k: LinkRank(k), k=k) for k in HITS_AT},
    }

    def shaped(self, outputs: Tensor) -> Tensor:
        return outputs.squeeze(-1)

    def training_losses(self, outputs: Tensor, targets: Tensor, all_known: bool = False) -> dict[str, Tensor]:
        return {"loss": self.loss(outputs, targets)}

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype))

    def comparable(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return outputs[:, None], targets[:, None]

    def predicted(self, outputs: Tensor) -> Tensor:
        return outputs.double().sigmoid()


def _known(targets: Tensor, all_known: bool, *values: Tensor) -> list[Tensor]:
    """Return the values of the known targets, [M] each, in their order."""
    if all_known:
        return [value.flatten() for value in values]
    known = ~targets.isnan()
    return [value.masked_select(known) for value in values]


KINDS: dict[str, type[Targets]] = {kind.kind: kind for kind in (Classes, Numbers, Labels, Links)}
