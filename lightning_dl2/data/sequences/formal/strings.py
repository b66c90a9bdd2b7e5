"""Base of the tasks that map a string to a string.

A net reads the input and then as many empty places as the answer is long. It answers at the empty places.

Shapes: n strings, I symbols of an input, A symbols of an answer.
"""

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np

from lightning_dl2.data.sequences.sequence_task import Samples, SequenceTask


class StringTask(SequenceTask):
    """A string in, a string out, for inputs of `length` symbols. A subclass sets the attributes and has `pair`.

    Attributes:
        symbols: number of symbols of an input; the next token is the empty place.
        classes: number of symbols of an answer.
    """

    marked = True
    symbols: int = 2
    classes: int = 2

    @abstractmethod
    def pair(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        """Draw inputs [n, I] and their answers [n, A], NOT_COUNTED where an answer has ended."""

    def answer_length(self, length: int) -> int:
        """Return A, the empty places behind an input of this length."""
        return 1

    def input_length(self, length: int) -> int:
        """Return I; a task without inputs of some lengths has the next shorter ones."""
        return length

    def vocabulary_size(self, length: int) -> int:
        return self.symbols + 1

    def num_classes(self, length: int) -> int:
        return self.classes

    def num_tokens(self, length: int) -> int:
        return self.input_length(length) + self.answer_length(length)

    def draw(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        return self.append_answers(*self.pair(rng, n, length), empty=self.symbols)


class FunctionTask(StringTask):
    """A string task whose answer is a function of the input. A subclass has `answer`.

    Unless it has an `inputs` of its own, each symbol of an input is uniform.
    """

    @abstractmethod
    def answer(self, inputs: np.ndarray) -> np.ndarray:
        """Return the answers [n, A] to inputs [n, I]; NOT_COUNTED where an answer has ended."""

    def inputs(self, rng: np.random.Generator, n: int, length: int) -> np.ndarray:
        """Draw n inputs, int64 [n, I]."""
        return rng.integers(self.symbols, size=(n, self.input_length(length)))

    def num_sequences(self, length: int) -> int:
        count: int = self.symbols ** self.input_length(length)
        return count

    def pair(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        inputs = self.inputs(rng, n, length)
        return inputs, self.answer(inputs)


def uniform_numbers(rng: np.random.Generator) -> Iterator[float]:
    """Yield uniform numbers in [0, 1); drawn one by one they would take most of the time."""
    while True:
        yield from rng.random(1024).tolist()
