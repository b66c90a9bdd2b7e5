"""Ask in training which symbols may follow each prefix of a string, beside the question at its end.

One bit for a string does not say where it left the language. Butoi et al., "Training Neural Networks as Recognizers of
Formal Languages", ICLR 2025, https://arxiv.org/abs/2411.07107, add a loss on the next symbols. Here each set of symbols
that may follow is one class.

Shapes: n strings, T places.
"""

import numpy as np

from lightning_dl2.common.dotted import path_of
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.formal.recognition import END, Language
from lightning_dl2.data.sequences.sequence_task import Samples, SequenceTask
from lightning_dl2.decoding.vocabulary import NOT_COUNTED


class NextSymbols(SequenceTask):
    """The strings of a language in the same order, with a target at each place: the set of the symbols that may follow.

    At the empty place behind a string the target stays 1 for a member and 0 for another string.

    Args:
        language: whose strings are drawn.
    """

    marked = True

    def __init__(self, language: Language) -> None:
        self.language, self.minimum_length = language, language.minimum_length
        # The classes of the answer at the end come first, as in the language itself.
        self._classes = {allowed: language.classes + place for place, allowed in enumerate(language.following_sets)}

    @classmethod
    def of(cls, task: SequenceTask) -> "NextSymbols":
        """Wrap a task that is a language, with a set for each prefix of its strings.

        Raises:
            UserError: it is another task.
        """
        if not isinstance(task, Language):
            kind = path_of(type(task))
            raise UserError(f"data.next_symbols=true: {kind} is no language; allowed: false, or a Language")
        return cls(task)

    def vocabulary_size(self, length: int) -> int:
        return self.language.vocabulary_size(length)

    def num_classes(self, length: int) -> int:
        return self.language.classes + len(self._classes)

    def num_tokens(self, length: int) -> int:
        return self.language.num_tokens(length)

    def num_sequences(self, length: int) -> int:
        return self.language.num_sequences(length)

    def draw(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        tokens, targets = self.language.draw(rng, n, length)
        ends = (targets != NOT_COUNTED).argmax(1).tolist()
        for string, row, end in zip(tokens.tolist(), targets, ends, strict=True):
            row[:end] = [self._classes[allowed] for allowed in self.language.following(string[:end])]
        return tokens, targets

    @property
    def class_names(self) -> list[str]:
        """Name the classes, for predictions: the two answers, then each set as `next:0,1,end`."""
        spelled = (
            ",".join([*map(str, sorted(allowed - {END})), *["end"] * (END in allowed)]) for allowed in self._classes
        )
        return [str(answer) for answer in range(self.language.classes)] + [
            f"next:{names or 'none'}" for names in spelled
        ]
