"""The memory experiments: answer at marked positions of a sequence by a recurrent net.

Shapes: B sequences, T tokens, C classes, M targets at marked positions of all sequences.
"""

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
    """

    kind = RecurrentTransducer

    def build_metrics(self) -> dict[str, Metric]:
        return {**super().build_metrics(), "sequence_accuracy": Mean()}

    def counted(self, logits: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        marked = answers != NOT_COUNTED
        return logits[marked], answers[marked]

    def input_lengths(self, parts: Parts) -> Tensor:
        return lengths_before_marks(parts.answers, parts.lengths)

    def predicted(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)

    def evaluate_more(self, outputs: Tensor, parts: Parts, split: str) -> tuple[str, ...]:
        right = (outputs.argmax(-1) == parts.answers) | (parts.answers == NOT_COUNTED)
        self.metric(split, "sequence_accuracy").update(right.all(1).float().mean(), weight=len(right))
        return ("sequence_accuracy",)
