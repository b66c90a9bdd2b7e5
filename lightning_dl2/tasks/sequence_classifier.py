"""The palindrome experiment: classify a sequence by a recurrent net.

Shapes: B sequences, T tokens, C classes.
"""

from torch import Tensor

from lightning_dl2.nets import RecurrentClassifier
from lightning_dl2.tasks.sequence_reader import SequenceReader


class SequenceClassifier(SequenceReader):
    """Minimise the cross entropy over the classes after the last token. The arguments are those of SequenceReader."""

    kind = RecurrentClassifier

    def counted(self, logits: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        return logits, answers

    def predicted(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)
