"""State tracking: word problems of groups. What is the product of the elements so far?

Source: Merrill, Petty & Sabharwal, "The Illusion of State in State-Space Models", ICML 2024,
https://arxiv.org/abs/2404.08819. Word problems of A5 and S5 are complete for NC1, those of Z60 and S3 are in TC0.

Shapes: n words, T elements, G elements of the group.
"""

from itertools import permutations

import numpy as np

from lightning_dl2.data.sequences.sequence_task import Samples, SequenceTask


class WordProblem(SequenceTask):
    """Name the product of the elements so far, at each position of a word. Elements are uniform.

    Args:
        table: the number of the product a b at [a, b], [G, G]; element 0 is the identity.
    """

    marked = True

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    def vocabulary_size(self, length: int) -> int:
        return len(self.table)

    num_classes = vocabulary_size

    def num_sequences(self, length: int) -> int:
        count: int = len(self.table) ** length
        return count

    def draw(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        word = rng.integers(len(self.table), size=(n, length))
        products = word.copy()
        for place in range(1, length):
            products[:, place] = self.table[products[:, place - 1], word[:, place]]
        return word, products


def cyclic(order: int) -> np.ndarray:
    """Return the table of addition modulo `order`."""
    return np.add.outer(np.arange(order), np.arange(order)) % order


def symmetric(size: int, *, even: bool = False) -> np.ndarray:
    """Return the table of the permutations of `size` things, in lexicographic order, or of the even ones alone.

    The product a b is b after a: thing i goes to b(a(i)), as when the elements of a word act one after the other.
    """
    elements = [p for p in permutations(range(size)) if not (even and _is_odd(p))]
    number = {element: place for place, element in enumerate(elements)}
    return np.array([[number[tuple(b[thing] for thing in a)] for b in elements] for a in elements])


def _is_odd(permutation: tuple[int, ...]) -> bool:
    pairs = ((a, b) for place, a in enumerate(permutation) for b in permutation[place + 1 :])
    return sum(a > b for a, b in pairs) % 2 == 1
