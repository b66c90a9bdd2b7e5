"""The regular tasks of the Chomsky suite: a finite automaton answers them.

Source: Delétang et al., "Neural Networks and the Chomsky Hierarchy", ICLR 2023, https://arxiv.org/abs/2207.02098.
Shapes: n strings, I symbols of an input.
"""

import numpy as np

from lightning_dl2.data.sequences.formal.strings import FunctionTask


class ParityCheck(FunctionTask):
    """Tell whether the number of ones is odd."""

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        return inputs.sum(1, keepdims=True) % 2


class EvenPairs(FunctionTask):
    """Tell whether the number of neighbours 01 and 10 is odd: it is even iff the first bit equals the last."""

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        return (inputs[:, :1] != inputs[:, -1:]).astype(np.int64)


class CycleNavigation(FunctionTask):
    """Name the end of a walk on a circle of five places. Symbol 0 steps back, 1 stays, 2 steps on."""

    symbols, classes = 3, 5

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        return (inputs - 1).sum(1, keepdims=True) % self.classes


class ModularArithmetic(FunctionTask):
    """Compute a sum of products modulo 5, such as 1 + 2 * 3 - 4.

    Symbols 0 to 4 are the numbers, 5 is +, 6 is - and 7 is *. Numbers stand at even places and operators between them,
    so that an input of even length does not exist: it has one symbol less.
    """

    symbols, classes = 8, 5
    PLUS, MINUS, TIMES = 5, 6, 7

    def input_length(self, length: int) -> int:
        return length - (length + 1) % 2

    def inputs(self, rng: np.random.Generator, n: int, length: int) -> np.ndarray:
        drawn = rng.integers(self.classes, size=(n, self.input_length(length)))
        drawn[:, 1::2] = rng.integers(self.PLUS, self.symbols, size=drawn[:, 1::2].shape)
        return drawn

    def num_sequences(self, length: int) -> int:
        operators = self.input_length(length) // 2
        count: int = self.classes ** (operators + 1) * 3**operators
        return count

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        """Multiply on from number to number; where + or - comes, add the product so far to the sum."""
        total, product = np.zeros(len(inputs), np.int64), inputs[:, 0]
        for place in range(1, inputs.shape[1], 2):
            operator, number = inputs[:, place], inputs[:, place + 1]
            times = operator == self.TIMES
            total = np.where(times, total, total + product)
            product = (
                np.where(times, product * number, np.where(operator == self.MINUS, -number, number)) % self.classes
            )
        return ((total + product) % self.classes)[:, None]
