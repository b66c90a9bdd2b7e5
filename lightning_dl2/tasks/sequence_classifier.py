"""The palindrome experiment: classify a sequence by a recurrent net.

Shapes: B sequences, T tokens, F features, C classes.
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
Batch = tuple[Any, ...]  # tokens, labels; of given sequences then lengths or None, the rank's weight, and more
CELL_NAMES = (*CELLS, BIDIRECTIONAL_LSTM)


class SequenceClassifier(Task):
    """Minimise the cross entropy over the classes after the last token.

    Args:
        spec: `datamodule.spec`: num_classes, sequence_length, and vocabulary_size of tokens or features of real
            vectors; with `unknown_token`, the tokens have one more, of symbols that training does not have.
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
        inputs = "features" if isinstance(spec, dict) and "features" in spec else "vocabulary_size"
        check_spec(spec, inputs, "num_classes", "sequence_length")
        if net.get("cell") == BIDIRECTIONAL_LSTM:
            net |= {"cell": "lstm", "bidirectional": True}
        self.net = RecurrentClassifier(
            spec.get("vocabulary_size"),
            spec["num_classes"],
            features=spec.get("features"),
            has_unknown="unknown_token" in spec,
            sequence_length=spec["sequence_length"],
            **net,
        )
        self.add_metrics()

    def build_metrics(self) -> dict[str, Metric]:
        return {"loss": Mean(), "accuracy": MulticlassAccuracy(self.spec["num_classes"], average="micro")}

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map tokens [B, T], or real vectors [B, T, F], to logits [B, C]; `lengths` [B] of padded ones."""
        return self.net(tokens, lengths)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        tokens, labels, lengths, weight = _parts(batch)
        logits = self(tokens, lengths)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        loss = loss if weight == 1 else loss * weight
        return {"loss": loss, "accuracy": (logits.argmax(-1) == labels).float().mean()}

    def evaluate_batch(self, batch: Batch, split: str) -> None:
        tokens, labels, lengths, _ = _parts(batch)
        logits = self(tokens, lengths)
        self.metric(split, "loss").update(F.cross_entropy(logits, labels), weight=len(labels))
        self.metric(split, "accuracy").update(logits, labels)
        self.log_metrics(split, "loss", "accuracy", batch_size=len(labels))


def _parts(batch: Batch) -> tuple[Tensor, Tensor, Tensor | None, float]:
    """Return tokens, labels, lengths (None: all are equally long) and the weight of this rank's mean loss."""
    tokens, labels, *more = batch
    lengths, weight = more[:2] if more else (None, 1.0)
    return tokens, labels, lengths, weight
