"""Generators of the sequence tasks, which test the memory of recurrent nets; sequences are drawn, never stored.

Every task maps a `length`, counted as in the literature, to token sequences and one label for each; those with targets
at marked positions, or with a real target, stand in `formal`:

    decimal_palindrome   T digits       reads T - 1 tokens             names the last digit
    binary_palindrome    L numbers      reads 8 ceil(L/2) + 1 tokens   names the last bit
    baum_sweet           L digits       reads 4 L tokens               no odd block of zeros?
    random_combinations  N numbers      reads N - 1 tokens             names the missing number

Source: the course "Deep Learning" of the University of Amsterdam, assignment 2, 2018 to 2020.
Shapes: B sequences, T tokens.
"""

import math
from functools import lru_cache
from itertools import product

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.data.sequences import baum_sweet
from lightning_dl2.data.sequences.formal.registry import MARKED_TASKS, REGRESSION_TASKS
from lightning_dl2.data.sequences.published.mnist1d import MNIST1D
from lightning_dl2.data.sequences.sequence_task import NEVER_TWICE, SequenceTask, draw_checked, find_own_task
from lightning_dl2.data.sequences.splits import draw_from_split
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

FEW_SEQUENCES = 2**16  # with fewer, the test split, a sixteenth, has fewer sequences than a test set has rows


class DecimalPalindrome(SequenceTask):
    """The first T - 1 digits of a palindrome of T uniform digits; the label is the last, which equals the first."""

    minimum_length = 2

    def vocabulary_size(self, length: int) -> int:
        return 10

    num_classes = vocabulary_size

    def num_tokens(self, length: int) -> int:
        return length - 1

    def num_sequences(self, length: int) -> int:
        return 10 ** ((length + 1) // 2)

    def majority_baseline(self, length: int) -> float:
        return 1 / 10

    def draw(self, rng: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        half = rng.integers(10, size=(n, (length + 1) // 2), dtype=np.uint8)
        mirrored = half[:, length // 2 - 1 : 0 : -1]  # without the last digit
        return np.concatenate((half, mirrored), axis=1, dtype=np.int64), half[:, 0].astype(np.int64)


class BitTask(SequenceTask):
    """Bits padded on the left, with a bit as label: token 0 is padding, 1 is bit 0 and 2 is bit 1."""

    def vocabulary_size(self, length: int) -> int:
        return 3

    def num_classes(self, length: int) -> int:
        return 2


class BinaryPalindrome(BitTask):
    """A palindrome of bits without its last bit, which is the label.

    Its left half is ceil(L/2) integers, uniform in 0..8, written in binary without leading zeros one after the other;
    with probability 1/2 the half is reversed. The palindrome is padded to 8 ceil(L/2) + 2. The label is also the first
    bit after the padding, and 1 in two of three cases: of the numbers 0..8, eight begin with 1 and four end with 1.

    The course pads to 4 L + 2, which is equal for even L; for odd L its longest palindromes do not fit.
    """

    minimum_length = 1
    spellings = [format(number, "b") for number in range(9)]
    spelled = np.array([[" 01".index(char) for char in f"{number:4b}"] for number in range(9)])  # as tokens

    def num_tokens(self, length: int) -> int:
        return 8 * ((length + 1) // 2) + 1

    def num_sequences(self, length: int) -> int:
        """Count the distinct sequences of tokens; for L > 8 a lower bound."""
        numbers = (length + 1) // 2
        if numbers > 4:
            return 4**numbers  # those of the numbers 4..7 alone: three bits each, and so never ambiguous
        halves = {"".join(spelled) for spelled in product(self.spellings, repeat=numbers)}
        return len(halves | {half[::-1] for half in halves})

    def majority_baseline(self, length: int) -> float:
        # The label is the first bit of a number or, where the half is reversed, the last one.
        labels = [spelling[end] for spelling in self.spellings for end in (0, -1)]
        return max(labels.count("0"), labels.count("1")) / len(labels)

    def draw(self, rng: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = rng.integers(9, size=(n, (length + 1) // 2))
        spelled = self.spelled[numbers].reshape(n, -1)
        bits = spelled[spelled > 0]  # all halves, one after the other
        size = np.count_nonzero(spelled, axis=1)
        place = np.arange(len(bits)) - np.repeat(size.cumsum() - size, size)  # of each bit in its half
        reverse = np.repeat(rng.integers(2, size=n, dtype=bool), size)
        last = np.repeat(size, size) - 1  # place of the last bit in the same half
        place = np.where(reverse, last - place, place)

        palindromes = np.zeros((n, self.num_tokens(length) + 1), np.int64)
        end = np.repeat(np.arange(1, n + 1) * palindromes.shape[1], size) - 1
        palindromes.put(end - place, bits)
        palindromes.put(end - 2 * last - 1 + place, bits)
        return palindromes[:, :-1], palindromes[:, -1] - 1


class BaumSweet(BitTask):
    """A number in binary, padded to 4 L tokens; the label is its term of the Baum-Sweet sequence, see `baum_sweet`."""

    minimum_length = 2

    def num_tokens(self, length: int) -> int:
        return 4 * length

    def num_sequences(self, length: int) -> int:
        return 10**length - 9

    def majority_baseline(self, length: int) -> float:
        one = baum_sweet.probability_of_one(length)
        return float(max(one, 1 - one))

    def draw(self, rng: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        bits, is_one = baum_sweet.draw(rng, n, length)
        started = np.logical_or.accumulate(bits, axis=1)
        return np.where(started, bits + 1, 0), is_one.astype(np.int64)


class RandomCombinations(SequenceTask):
    """A random permutation of 0..N-1 without its last number, which is the label."""

    minimum_length = 2

    def vocabulary_size(self, length: int) -> int:
        return length

    num_classes = vocabulary_size

    def num_tokens(self, length: int) -> int:
        return length - 1

    def num_sequences(self, length: int) -> int:
        return math.factorial(length)

    def majority_baseline(self, length: int) -> float:
        return 1 / length

    def draw(self, rng: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        permutations = rng.permuted(np.broadcast_to(np.arange(length), (n, length)), axis=1)
        return permutations[:, :-1], permutations[:, -1]


SEQUENCE_TASKS: dict[str, SequenceTask] = {
    "decimal_palindrome": DecimalPalindrome(),
    "binary_palindrome": BinaryPalindrome(),
    "baum_sweet": BaumSweet(),
    "random_combinations": RandomCombinations(),
}

VECTOR_TASKS: dict[str, SequenceTask] = {"mnist1d_drawn": MNIST1D()}  # of real vectors, with a label each

TASKS = SEQUENCE_TASKS | VECTOR_TASKS | MARKED_TASKS | REGRESSION_TASKS
BUILT_IN = {type(task) for task in TASKS.values()}


def draw_batch(
    task: str | SequenceTask, length: int, n: int, *, seed: int, split: str, step: int, holdout: bool = True
) -> tuple[Tensor, Tensor]:
    """Draw int64 tokens [B, T] and labels [B], a pure function of the arguments. A fixed set is one batch, step=0.

    A `marked` task gives targets [B, T] in place of labels. Real vectors [B, T, F] and real targets [B] are float32.

    Args:
        task: a task or its name in `TASKS`.
        length: size of the sequences, as the task counts it.
        n: B, the number of samples.
        seed, step: not negative; distinct pairs give independent batches.
        split: one of SPLITS, which share no sequence where the task `holds_out`.
        holdout: False lets every split draw from all sequences.

    Raises:
        ValueError: unknown task or split, or a length below the task's minimum.
    """
    if isinstance(task, str):
        task = get_task(task)
    task.check(length)
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose from {', '.join(SPLITS)}")
    entropy = np.random.SeedSequence((seed, SPLITS.index(split), step, length))
    rng = np.random.Generator(np.random.PCG64(entropy))

    def draw(rows: int) -> tuple[np.ndarray, np.ndarray]:
        return task.draw(rng, rows, length) if is_built_in(task) else draw_checked(task, rng, rows, length)

    tokens, labels = draw_from_split(draw, n, split) if holdout and holds_out(task, length) else draw(n)
    return torch.from_numpy(np.ascontiguousarray(tokens)), torch.from_numpy(np.ascontiguousarray(labels))


def majority_share(task: SequenceTask, length: int, labels: Tensor) -> float:
    """Return the accuracy of always answering the commonest label, on a test set with these `labels`, int64 [B].

    If the test split has few sequences, it is counted there: of the 11 that random_combinations holds out at N = 5, a
    third have one of the five labels.
    """
    measured = type(task).majority_baseline is SequenceTask.majority_baseline
    if task.num_sequences(length) >= FEW_SEQUENCES and not measured:
        return task.majority_baseline(length)
    return commonest_share(labels)


def commonest_share(labels: Tensor) -> float:
    """Return the share of the commonest of int64 labels or targets, without those that are NOT_COUNTED."""
    counted = labels[labels != NOT_COUNTED]
    return counted.bincount().max().item() / len(counted)


def get_task(name: str) -> SequenceTask:
    """Return the task of a name in TASKS, or of a dotted path.

    Raises:
        ValueError: there is none; names all.
    """
    if is_dotted(name):
        return find_own_task(name)
    if name not in TASKS:
        raise ValueError(f"unknown sequence task {name!r}: choose from {', '.join(TASKS)}")
    return TASKS[name]


def is_built_in(task: SequenceTask) -> bool:
    """Tell whether a task is of the kinds of the package, whose samples need no check."""
    return type(task) in BUILT_IN


@lru_cache(maxsize=4096)
def holds_out(task: SequenceTask, length: int) -> bool:
    """Tell whether `draw_batch` draws from a sixteenth of all sequences for validation and test; check `length`."""
    return task.holds_out(length) and task.num_sequences(length) < NEVER_TWICE
