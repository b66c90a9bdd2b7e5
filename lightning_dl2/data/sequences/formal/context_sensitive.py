"""The context-sensitive tasks of the Chomsky suite: an automaton with a bounded tape answers them.

Source: Delétang et al., "Neural Networks and the Chomsky Hierarchy", ICLR 2023, https://arxiv.org/abs/2207.02098.
Shapes: n strings, I symbols of an input.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from lightning_dl2.data.sequences.formal.strings import FunctionTask
from lightning_dl2.decoding.vocabulary import NOT_COUNTED


class DuplicateString(FunctionTask):
    """Write a string of bits twice."""

    def answer_length(self, length: int) -> int:
        return 2 * length

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        return np.concatenate((inputs, inputs), axis=1)


class MissingDuplicate(FunctionTask):
    """Name the bit that symbol 2 hides in a string of bits that stands there twice.

    An input of odd length does not exist: it has one symbol less.
    """

    minimum_length = 2
    symbols, HIDDEN = 3, 2

    def input_length(self, length: int) -> int:
        return length - length % 2

    def inputs(self, rng: np.random.Generator, n: int, length: int) -> np.ndarray:
        half = rng.integers(2, size=(n, length // 2))
        both = np.concatenate((half, half), axis=1)
        both[np.arange(n), rng.integers(both.shape[1], size=n)] = self.HIDDEN
        return both

    def num_sequences(self, length: int) -> int:
        count: int = 2 * (length // 2) * 2 ** (length // 2)
        return count

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        hidden = (inputs == self.HIDDEN).argmax(1)
        other = (hidden + inputs.shape[1] // 2) % inputs.shape[1]
        return inputs[np.arange(len(inputs)), other][:, None]


class OddsFirst(FunctionTask):
    """Write the bits at odd places, counted from 0, and then those at even places."""

    def answer_length(self, length: int) -> int:
        return length

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        return np.concatenate((inputs[:, 1::2], inputs[:, ::2]), axis=1)


class BucketSort(FunctionTask):
    """Sort a string of five symbols."""

    symbols, classes = 5, 5

    def answer_length(self, length: int) -> int:
        return length

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        return np.sort(inputs, axis=1)


class BinaryOperation(FunctionTask):
    """Compute with two numbers in binary, lowest bit first; symbol 2 stands between them.

    The place of symbol 2 and all bits are uniform. The answer has no zeros behind its highest one, and ends with 2.
    """

    minimum_length = 3
    symbols, classes = 3, 3
    BETWEEN = END = 2

    @abstractmethod
    def compute(self, a: int, b: int) -> int:
        """Return the result for two numbers."""

    def inputs(self, rng: np.random.Generator, n: int, length: int) -> np.ndarray:
        drawn = rng.integers(2, size=(n, length))
        drawn[np.arange(n), rng.integers(1, length - 1, size=n)] = self.BETWEEN
        return drawn

    def num_sequences(self, length: int) -> int:
        count: int = (length - 2) * 2 ** (length - 1)
        return count

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        answers = np.full((len(inputs), self.answer_length(inputs.shape[1])), NOT_COUNTED)
        for row, symbols in zip(answers, inputs.tolist(), strict=True):
            place = symbols.index(self.BETWEEN)
            result = self.compute(_number(symbols[:place]), _number(symbols[place + 1 :]))
            written = [*map(int, f"{result:b}"[::-1]), self.END]
            row[: len(written)] = written
        return answers


class BinaryAddition(BinaryOperation):
    """Add two numbers in binary."""

    def answer_length(self, length: int) -> int:
        return length  # at most one bit more than the longer number, which has length - 2, and the end

    def compute(self, a: int, b: int) -> int:
        return a + b


class BinaryMultiplication(BinaryOperation):
    """Multiply two numbers in binary."""

    def answer_length(self, length: int) -> int:
        return length  # at most as many bits as both numbers have together, length - 1, and the end

    def compute(self, a: int, b: int) -> int:
        return a * b


class ComputeSqrt(FunctionTask):
    """Compute the square root of a number in binary, highest bit first, rounded down to half as many bits."""

    def answer_length(self, length: int) -> int:
        return (length + 1) // 2

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        size = self.answer_length(inputs.shape[1])
        roots = [math.isqrt(_number(bits[::-1])) for bits in inputs.tolist()]
        return np.array([[*map(int, f"{root:0{size}b}")] for root in roots])


def _number(bits: Sequence[int]) -> int:
    """Return the number of bits, lowest first."""
    return int("".join(map(str, reversed(bits))), 2)
