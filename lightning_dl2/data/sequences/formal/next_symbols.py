"""Ask in training which symbols may follow each prefix of a string, beside the question at its end.

One bit for a string does not say where it left the language. Butoi et al., "Training Neural Networks as Recognizers of
Formal Languages", ICLR 2025, https://arxiv.org/abs/2411.07107, add a loss on the next symbols. Here each set of symbols
that may follow is one class.

Shapes: n strings, B of a batch, T places.
"""

import numpy as np
import torch

from lightning_dl2.common.dotted import path_of
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.formal.hidden_symbols import HiddenSymbols
from lightning_dl2.data.sequences.formal.recognition import END, Language
from lightning_dl2.data.sequences.mixed_lengths import Sequences
from lightning_dl2.data.sequences.sequence_task import Samples, SequenceTask
from lightning_dl2.decoding.vocabulary import NOT_COUNTED


class NextSymbols(SequenceTask):
    """The strings of a language in the same order, with a target at each place: the set of the symbols that may follow.

    At the empty place behind a string the target stays 1 for a member and 0 for another string.

    Args:
        language: whose strings are drawn.
        hidden: when training hides symbols; None: never.
    """

    marked = True

    def __init__(self, language: Language, hidden: HiddenSymbols | None = None) -> None:
        self.language, self.minimum_length, self.hidden = language, language.minimum_length, hidden
        # The classes of the answer at the end come first, as in the language itself.
        self._classes = {allowed: language.classes + place for place, allowed in enumerate(language.following_sets)}
        forced = [allowed for allowed in self._classes if len(allowed) == 1 and END not in allowed]
        self._forced = {self._classes[allowed]: min(allowed) for allowed in forced}

    @classmethod
    def of(cls, task: SequenceTask, hidden: dict[str, int] | None = None) -> "NextSymbols":
        """Wrap a task that is a language, with a set for each prefix of its strings.

        Args:
            hidden: arguments of HiddenSymbols.

        Raises:
            UserError: it is another task, or a language none of whose symbols can be hidden.
        """
        if not isinstance(task, Language):
            kind = path_of(type(task))
            raise UserError(f"data.next_symbols=true: {kind} is no language; allowed: false, or a Language")
        found = cls(task, HiddenSymbols(**hidden) if hidden else None)
        if hidden and not found._forced:
            raise UserError(
                f"data.hidden_symbols: {path_of(type(task))} always leaves a choice of the next symbol, so that none"
                " can be hidden; allowed: null"
            )
        return found

    def vocabulary_size(self, length: int) -> int:
        return self.language.vocabulary_size(length) + (self.hidden is not None)

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

    def hide(self, drawn: Sequences, *, seed: int, step: int) -> Sequences:
        """Put the token behind those of the language for symbols of training strings that a net could know.

        A symbol is known if it is the only one that may follow in a member, and does. Where a string leaves the
        language the symbol stays, so that every target is still the right one.

        Args:
            drawn: strings of this task, tokens and targets [B, T].
            seed, step: of the draw.
        """
        if self.hidden is None:
            return drawn
        known = torch.zeros(drawn.tokens.shape, dtype=torch.bool)
        for number, symbol in self._forced.items():
            known[:, 1:] |= (drawn.labels[:, :-1] == number) & (drawn.tokens[:, 1:] == symbol)
        token = self.vocabulary_size(self.minimum_length) - 1
        return drawn._replace(tokens=drawn.tokens.masked_fill(self.hidden.choose(known, seed=seed, step=step), token))

    def answers_alone(self, drawn: Sequences) -> Sequences:
        """Return strings of this task with the language's own targets."""
        is_set = drawn.labels >= self.language.classes
        return drawn._replace(labels=drawn.labels.masked_fill(is_set, NOT_COUNTED))
