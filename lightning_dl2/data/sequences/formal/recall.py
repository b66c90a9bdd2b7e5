"""Long memory: keep symbols over a delay, select them, recall them by a key, and add two numbers.

Shapes: n sequences, T tokens or steps.
"""

import math

import numpy as np

from lightning_dl2.data.sequences.formal.strings import FunctionTask, StringTask
from lightning_dl2.data.sequences.sequence_task import Samples, SequenceTask
from lightning_dl2.decoding.vocabulary import NOT_COUNTED


class CopyingMemory(StringTask):
    """Write ten symbols again after a delay of `length` steps.

    Ten symbols 0 to 7, length - 1 times symbol 8, and then symbol 9, at which the ten answers begin one step later.

    Source: Hochreiter & Schmidhuber 1997; in this form Arjovsky, Shah & Bengio 2016, https://arxiv.org/abs/1511.06464.
    """

    symbols, classes, kept = 10, 8, 10
    BLANK, GO = 8, 9

    def answer_length(self, length: int) -> int:
        return self.kept

    def input_length(self, length: int) -> int:
        return self.kept + length

    def num_sequences(self, length: int) -> int:
        count: int = self.classes**self.kept
        return count

    def pair(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        inputs = np.full((n, self.input_length(length)), self.BLANK)
        inputs[:, : self.kept] = rng.integers(self.classes, size=(n, self.kept))
        inputs[:, -1] = self.GO
        return inputs, inputs[:, : self.kept].copy()


class SelectiveCopying(FunctionTask):
    """Write the sixteen symbols that stand at random places of a sequence of `length` steps, in their order.

    Symbols 0 to 15 are to be kept, symbol 16 is not.

    Source: Gu & Dao, "Mamba", 2023, https://arxiv.org/abs/2312.00752.
    """

    minimum_length = 16
    symbols, classes, kept = 17, 16, 16

    def answer_length(self, length: int) -> int:
        return self.kept

    def num_sequences(self, length: int) -> int:
        count: int = math.comb(length, self.kept) * self.classes**self.kept
        return count

    def inputs(self, rng: np.random.Generator, n: int, length: int) -> np.ndarray:
        places = rng.random((n, length)).argpartition(self.kept - 1, axis=1)[:, : self.kept]
        found = np.full((n, length), self.classes)
        np.put_along_axis(found, places, rng.integers(self.classes, size=(n, self.kept)), axis=1)
        return found

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        return inputs[inputs < self.classes].reshape(len(inputs), self.kept)


class AssociativeRecall(SequenceTask):
    """Name the value of each key, where `length` pairs of a key and a value have been read: MQAR.

    Keys are 0 to 255, values the next 16 tokens. After the pairs each key comes again, in another order; its value is
    the target there. A key may come twice: then its last value counts.

    Source: Arora et al., "Zoology", 2023, https://arxiv.org/abs/2312.04927, without its pauses between the queries.
    """

    marked = True
    keys, values = 256, 16

    def vocabulary_size(self, length: int) -> int:
        return self.keys + self.values

    def num_classes(self, length: int) -> int:
        return self.values

    def num_tokens(self, length: int) -> int:
        return 3 * length

    def num_sequences(self, length: int) -> int:
        count: int = (self.keys * self.values) ** length
        return count

    def draw(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        keys, values = rng.integers(self.keys, size=(n, length)), rng.integers(self.values, size=(n, length))
        memory = np.zeros((n, self.keys), np.int64)
        rows = np.arange(n)
        for place in range(length):
            memory[rows, keys[:, place]] = values[:, place]
        queries = rng.permuted(keys, axis=1)
        pairs = np.stack((keys, values + self.keys), axis=2).reshape(n, 2 * length)
        answers = np.take_along_axis(memory, queries, axis=1)
        unmarked = np.full(pairs.shape, NOT_COUNTED)
        return np.concatenate((pairs, queries), axis=1), np.concatenate((unmarked, answers), axis=1)


class InductionHeads(SequenceTask):
    """Name the symbol that followed the marker in a sequence of `length` steps, when the marker comes again.

    Symbols are 0 to 15, the marker is 16. The target is at its second place, the end.

    Source: Olsson et al. 2022; in this form Gu & Dao, "Mamba", 2023, https://arxiv.org/abs/2312.00752.
    """

    minimum_length = 2
    marked = True
    symbols, MARKER = 16, 16

    def vocabulary_size(self, length: int) -> int:
        return self.symbols + 1

    def num_classes(self, length: int) -> int:
        return self.symbols

    def num_tokens(self, length: int) -> int:
        return length + 1

    def num_sequences(self, length: int) -> int:
        count: int = (length - 1) * self.symbols ** (length - 1)
        return count

    def draw(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        tokens = rng.integers(self.symbols, size=(n, length + 1))
        rows, places = np.arange(n), rng.integers(length - 1, size=n)
        tokens[rows, places] = tokens[:, -1] = self.MARKER
        targets = np.full(tokens.shape, NOT_COUNTED)
        targets[:, -1] = tokens[rows, places + 1]
        return tokens, targets


class AddingProblem(SequenceTask):
    """Add the two marked ones of `length` numbers; a step is a number, uniform in [0, 1), and its marker, 0 or 1.

    One marker is in the first half of the sequence and one in the second. The target is the sum of their numbers: its
    mean is 1 and its variance, the squared error of always answering 1, is 1/6.

    Source: Hochreiter & Schmidhuber 1997; in this form Arjovsky, Shah & Bengio 2016, https://arxiv.org/abs/1511.06464.
    """

    minimum_length = 2
    features, regression = 2, True

    def draw(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        steps = np.zeros((n, length, 2), np.float32)
        steps[:, :, 0] = rng.random((n, length), np.float32)
        rows, total = np.arange(n), np.zeros(n, np.float32)
        for first, behind in ((0, length // 2), (length // 2, length)):
            places = rng.integers(first, behind, size=n)
            steps[rows, places, 1] = 1
            total += steps[rows, places, 0]
        return steps, total
