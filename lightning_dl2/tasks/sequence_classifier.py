"""The palindrome experiment: classify a sequence by a recurrent net.

Shapes: B sequences, T tokens, C classes.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from lightning_dl2.nets import CELLS, RecurrentClassifier
from lightning_dl2.nets.recurrent.lookup import check_cell_name
from lightning_dl2.tasks.metrics import Mean
from lightning_dl2.tasks.task import Task, check_spec

BIDIRECTIONAL_LSTM = "bilstm"  # the course's name for cell="lstm" with bidirectional=True
CELL_NAMES = (*CELLS, BIDIRECTIONAL_LSTM)


class SequenceClassifier(Task):
    """Minimise the cross entropy over the classes after the last token.

    Args:
        spec: `datamodule.spec`: vocabulary_size, num_classes, sequence_length, majority_baseline.
        optimizer: see `optimizers.complete`; None: DEFAULTS.
        label_smoothing: share of the target spread over all classes, in training only; keeps a margin on rare
            sequences.
        net: arguments of RecurrentClassifier: cell (one of CELL_NAMES, or a user's by its dotted path), hidden_size,
            num_layers, ...

    Raises:
        ValueError: the net cannot be built from these arguments.
    """

    def __init__(
        self, spec: dict[str, Any], optimizer: dict[str, Any] | None = None, *, label_smoothing: float = 0.0, **net: Any
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.spec, self.label_smoothing = spec, label_smoothing
        check_cell_name(net.get("cell", "lstm"), CELL_NAMES)
        check_spec(spec, "vocabulary_size", "num_classes", "sequence_length")
        if net.get("cell") == BIDIRECTIONAL_LSTM:
            net |= {"cell": "lstm", "bidirectional": True}
        self.net = RecurrentClassifier(
            spec["vocabulary_size"], spec["num_classes"], sequence_length=spec["sequence_length"], **net
        )
        self.add_metrics()

    def build_metrics(self) -> dict[str, Metric]:
        return {"loss": Mean(), "accuracy": MulticlassAccuracy(self.spec["num_classes"], average="micro")}

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T] to logits [B, C]."""
        return self.net(tokens)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        tokens, labels = batch
        logits = self(tokens)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        return {"loss": loss, "accuracy": (logits.argmax(-1) == labels).float().mean()}

    def evaluate_batch(self, batch: tuple[Tensor, Tensor], split: str) -> None:
        tokens, labels = batch
        logits = self(tokens)
        self.metric(split, "loss").update(F.cross_entropy(logits, labels), weight=len(labels))
        self.metric(split, "accuracy").update(logits, labels)
        self.log_metrics(split, "loss", "accuracy", batch_size=len(labels))
