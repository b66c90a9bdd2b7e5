"""The adding problem, and other sequences with a real target: predict a number by a recurrent net.

Shapes: B sequences, T tokens or steps.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.regression import MeanAbsoluteError

from lightning_dl2.nets import RecurrentRegressor
from lightning_dl2.tasks.metrics import Mean, SquaredErrorByLength
from lightning_dl2.tasks.sequence_reader import BY_LENGTH, Batch, Parts, SequenceReader

METRICS = ("loss", "mean_squared_error", "mean_absolute_error")


class SequenceRegressor(SequenceReader):
    """Minimise the mean squared error of a number after the last token, in units of the variance of training's targets.

    So a loss of 1 is that of always answering their mean. The mean squared and the mean absolute error are in the unit
    of the target. The arguments are those of SequenceReader; label_smoothing must be 0.

    The spec has no num_classes. It has target_mean and target_scale, the mean of training's targets and their standard
    deviation: the net answers the mean plus `scale` times its output.

    Raises:
        ValueError: a label_smoothing, or what SequenceReader raises.
    """

    kind = RecurrentRegressor
    of_spec = {"target_mean": "mean", "target_scale": "scale"}
    measured_by_length = "mean_squared_error"

    def __init__(
        self, spec: dict[str, Any], optimizer: dict[str, Any] | None = None, *, label_smoothing: float = 0.0, **net: Any
    ) -> None:
        if label_smoothing:
            raise ValueError(f"label_smoothing={label_smoothing}: a regression has no labels; it must be 0")
        super().__init__(spec, optimizer, label_smoothing=label_smoothing, **net)

    def build_metrics(self) -> dict[str, Metric]:
        found = {"loss": Mean(), "mean_squared_error": Mean(), "mean_absolute_error": MeanAbsoluteError()}
        return found | self.metric_by_length(SquaredErrorByLength)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        parts = Parts(*batch)
        numbers = self.read(parts)
        error = F.mse_loss(numbers, parts.answers.to(numbers.dtype))
        loss = error / self.spec["target_scale"] ** 2
        return {"loss": loss if parts.weight == 1 else loss * parts.weight, "mean_squared_error": error.detach()}

    def evaluate_batch(self, batch: Batch, split: str) -> None:
        parts = Parts(*batch)
        numbers = self.read(parts)
        targets = parts.answers.to(numbers.dtype)
        if parts.measured_at is not None:
            self.metric(split, BY_LENGTH).update(numbers, targets, parts.measured_at)
            return
        error = F.mse_loss(numbers, targets)
        self.metric(split, "loss").update(error / self.spec["target_scale"] ** 2, weight=len(targets))
        self.metric(split, "mean_squared_error").update(error, weight=len(targets))
        self.metric(split, "mean_absolute_error").update(numbers, targets)
        self.log_metrics(split, *METRICS, batch_size=len(targets))

    def predicted(self, logits: Tensor) -> Tensor:
        return logits
