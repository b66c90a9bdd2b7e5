"""Base of the tasks that read whole sequences by a recurrent net: build the net, average loss and accuracy.

Shapes: B sequences, T tokens, F features, C classes, M targets.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from lightning_dl2.nets import CELLS
from lightning_dl2.nets.recurrent.classifier import RecurrentReader
from lightning_dl2.nets.recurrent.layers import set_optimizer_step
from lightning_dl2.nets.recurrent.lookup import check_cell_name
from lightning_dl2.tasks.metrics import AccuracyByLength, ByLength, Mean
from lightning_dl2.tasks.task import Task, check_spec

BIDIRECTIONAL_LSTM = "bilstm"  # the course's name for cell="lstm" with bidirectional=True
Batch = tuple[Any, ...]  # tokens, answers; or all of Parts, and more between them
CELL_NAMES = (*CELLS, BIDIRECTIONAL_LSTM)
BY_LENGTH = "by_length"  # the metric of the part of a test that measures the accuracy at other lengths


class Parts(NamedTuple):
    """Parts of a batch.

    Attributes:
        tokens: [B, T], or real vectors [B, T, F].
        answers: labels [B], real numbers [B], or targets [B, T].
        lengths: of the sequences, [B]; None: all are equally long.
        weight: of this rank's mean loss.
        ids: number of each sequence, [B]; None: the batch has none.
        measured_at: the length at which the batch measures the accuracy, apart from the split's own; None: it does not.
    """

    tokens: Tensor
    answers: Tensor
    lengths: Tensor | None = None
    weight: float = 1.0
    ids: Tensor | None = None
    measured_at: int | None = None


class SequenceReader(Task):
    """Minimise the mean cross entropy over the answers. A subclass sets `kind`, and says which answers count.

    A subclass with other answers than classes says what the net needs of the spec, and has a loss of its own.

    Args:
        spec: `datamodule.spec`: num_classes, sequence_length, and vocabulary_size of tokens or features of real
            vectors; with `unknown_token`, the tokens have one more, of symbols that training does not have; with
            `test_lengths`, the test measures the accuracy at each of them, and their mean beyond the training lengths.
        optimizer: see `optimizers.complete`; None: DEFAULTS.
        label_smoothing: share of the target spread over all classes, in training only; keeps a margin on rare
            sequences.
        net: arguments of RecurrentReader: cell (one of CELL_NAMES, or a user's by its dotted path), hidden_size,
            num_layers, ...

    Raises:
        ValueError: the net cannot be built from these arguments.
    """

    kind: type[RecurrentReader]
    of_spec: dict[str, str] = {"num_classes": "num_classes"}  # arguments of the net, by the spec's keys of the answers
    measured_by_length = "accuracy"  # at each of the test's lengths

    def __init__(
        self, spec: dict[str, Any], optimizer: dict[str, Any] | None = None, *, label_smoothing: float = 0.0, **net: Any
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.spec, self.label_smoothing = spec, label_smoothing
        check_cell_name(net.get("cell", "lstm"), CELL_NAMES)
        inputs = "features" if isinstance(spec, dict) and "features" in spec else "vocabulary_size"
        check_spec(spec, inputs, *self.of_spec, "sequence_length")
        if net.get("cell") == BIDIRECTIONAL_LSTM:
            net |= {"cell": "lstm", "bidirectional": True}
        self.net = self.kind(
            spec.get("vocabulary_size"),
            **{argument: spec[key] for key, argument in self.of_spec.items()},
            features=spec.get("features"),
            has_unknown="unknown_token" in spec,
            sequence_length=spec["sequence_length"],
            **net,
        )
        self.add_metrics()

    def build_metrics(self) -> dict[str, Metric]:
        found = {"loss": Mean(), "accuracy": MulticlassAccuracy(self.spec["num_classes"], average="micro")}
        return found | self.metric_by_length(AccuracyByLength)

    def metric_by_length(self, kind: type[ByLength]) -> dict[str, Metric]:
        """Build the metric of the test's lengths, if it has some."""
        lengths = self.spec.get("test_lengths")
        return {BY_LENGTH: kind(lengths)} if lengths else {}

    def derived_metrics(self, split: str) -> dict[str, Tensor]:
        """Return the accuracy or error at each length of the test, and its mean over those longer than in training."""
        if split != "test" or not self.spec.get("test_lengths"):
            return {}
        found = self.metric(split, BY_LENGTH).compute()
        beyond = [value for at, value in found.items() if at > self.spec["longest_length"]]
        name = self.measured_by_length
        means = {f"{name}_beyond": torch.stack(beyond).mean()} if beyond else {}
        return {f"{name}_at_{at}": value for at, value in found.items()} | means

    def forward(self, tokens: Tensor, lengths: Tensor | None = None, input_lengths: Tensor | None = None) -> Tensor:
        """Map tokens [B, T], or real vectors [B, T, F], to logits or numbers.

        Args:
            lengths: of padded sequences, [B].
            input_lengths: as of `Recurrent.forward`.
        """
        return self.net(tokens, lengths, input_lengths)

    def read(self, parts: Parts) -> Tensor:
        """Return the logits or numbers of a batch, read with what the cell asks for."""
        takes = self.net.recurrent.takes_input_length
        return self(parts.tokens, parts.lengths, self.input_lengths(parts) if takes else None)

    def input_lengths(self, parts: Parts) -> Tensor | None:
        """Return the steps of each sequence before its first answer, [B]; None: it has none before its end."""
        return None

    def counted(self, logits: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits [M, C] and the targets [M] that count."""
        raise NotImplementedError

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        set_optimizer_step(self.net, self.global_step)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        parts = Parts(*batch)
        loss, accuracy = self.learn(self.read(parts), parts.answers)
        loss = loss if parts.weight == 1 else loss * parts.weight
        return {"loss": loss, "accuracy": accuracy}

    def learn(self, outputs: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and the accuracy of a training batch."""
        logits, targets = self.counted(outputs, answers)
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return loss, (logits.argmax(-1) == targets).float().mean()

    def evaluate_batch(self, batch: Batch, split: str) -> None:
        parts = Parts(*batch)
        outputs = self.read(parts)
        logits, targets = self.counted(outputs, parts.answers)
        if parts.measured_at is not None:
            self.metric(split, BY_LENGTH).update(logits, targets, parts.measured_at)
            return
        self.metric(split, "loss").update(F.cross_entropy(logits, targets), weight=len(targets))
        self.metric(split, "accuracy").update(logits, targets)
        self.log_metrics(split, "loss", "accuracy", *self.evaluate_more(outputs, parts, split), batch_size=len(targets))

    def evaluate_more(self, outputs: Tensor, parts: Parts, split: str) -> tuple[str, ...]:
        """Update further metrics of a split; return their names."""
        return ()

    def predict_step(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ids [B], the answers, and what `predicted` makes of the logits."""
        parts = Parts(*batch)
        assert parts.ids is not None
        outputs = self.read(parts).double()  # as in GraphNet
        return parts.ids, parts.answers, self.predicted(outputs)

    def predicted(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the classes, the class at each position, or the number."""
        raise NotImplementedError
