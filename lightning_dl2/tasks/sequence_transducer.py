"""The memory experiments: answer at marked positions of a sequence by a recurrent net.

Shapes: B sequences, T tokens, C classes, M targets at marked positions of all sequences.
"""

import math

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from lightning_dl2.decoding.vocabulary import NOT_COUNTED
from lightning_dl2.nets import RecurrentTransducer
from lightning_dl2.nets.recurrent.lengths import lengths_before_marks
from lightning_dl2.tasks.metrics import Mean
from lightning_dl2.tasks.sequence_reader import Parts, SequenceReader


class SequenceTransducer(SequenceReader):
    """Minimise the cross entropy over the classes at the marked positions alone: those whose target is not NOT_COUNTED.

    Loss and accuracy are means over the marked positions of all sequences. The accuracy of whole sequences is beside
    them: a sequence is right if all its answers are. The arguments are those of SequenceReader.

    Where training asks for more (`spec["answer_classes"]`: the classes from this number on are no answers), a
    sequence has two mean losses: over its answers and over its other targets, each among its own classes. They are
    added with equal weight (Butoi et al. 2025). All metrics are of the answers alone.
    """

    kind = RecurrentTransducer

    @property
    def answer_classes(self) -> int | None:
        """Return how many of the classes are answers, the first ones; None: all."""
        return self.spec.get("answer_classes")

    def build_metrics(self) -> dict[str, Metric]:
        return {**super().build_metrics(), "sequence_accuracy": Mean()}

    def counted(self, logits: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        marked = answers != NOT_COUNTED
        return logits[marked], answers[marked]

    def learn(self, outputs: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        if (classes := self.answer_classes) is None:
            return super().learn(outputs, answers)
        is_answer, is_other = (answers >= 0) & (answers < classes), answers >= classes
        loss = outputs.new_zeros(())
        for counts, logits, targets in (
            (is_answer, outputs[..., :classes], answers),
            (is_other, outputs[..., classes:], answers - classes),
        ):
            number = counts.sum(1)
            losses = F.cross_entropy(
                logits[counts], targets[counts], reduction="none", label_smoothing=self.label_smoothing
            )
            loss = loss + (losses / number.repeat_interleave(number)).sum() / len(answers)
        right = outputs[..., :classes].argmax(-1)[is_answer] == answers[is_answer]
        return loss, right.float().mean()

    def read(self, parts: Parts) -> Tensor:
        outputs = super().read(parts)
        if self.training or (classes := self.answer_classes) is None:
            return outputs
        # no other class is asked for: -inf leaves the softmax to the answers
        return F.pad(outputs[..., :classes], (0, outputs.shape[-1] - classes), value=-math.inf)

    def input_lengths(self, parts: Parts) -> Tensor:
        answers = parts.answers
        if (classes := self.answer_classes) is not None:
            answers = answers.masked_fill(answers >= classes, NOT_COUNTED)
        return lengths_before_marks(answers, parts.lengths)

    def predicted(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)

    def evaluate_more(self, outputs: Tensor, parts: Parts, split: str) -> tuple[str, ...]:
        right = (outputs.argmax(-1) == parts.answers) | (parts.answers == NOT_COUNTED)
        self.metric(split, "sequence_accuracy").update(right.all(1).float().mean(), weight=len(right))
        return ("sequence_accuracy",)
