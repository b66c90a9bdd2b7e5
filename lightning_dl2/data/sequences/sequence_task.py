"""Base of the sequence tasks, with what a task of the user's own need not write, and the checks of such a task.

Shapes: B sequences, T tokens.
"""

from abc import ABC, abstractmethod
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

from lightning_dl2.common.dotted import find_instance, path_of, place_of
from lightning_dl2.common.errors import UserError
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

FEWEST_HELD_OUT = 64  # sequences; of them a sixteenth is held out for validation, and a sixteenth for the test
NEVER_TWICE = 2**56  # of so many sequences, none is drawn twice
MEASURED = 4096  # samples by which a task without a formula is measured
TRIED = 64  # samples by which a user's task is checked
SEED = 20202  # of both

Samples = tuple[np.ndarray, np.ndarray]


class SequenceTask(ABC):
    """Distribution over token sequences with their answers, for every length from `minimum_length` on.

    The answer is one label, or a target at each of some marked positions of the sequence.

    A task of your own is a subclass with three methods, which `data.name=package.module.Parity` then names:

        class Parity(SequenceTask):
            def vocabulary_size(self, length):
                return 2

            def num_classes(self, length):
                return 2

            def draw(self, rng, n, length):
                bits = rng.integers(2, size=(n, length))
                return bits, bits.sum(1) % 2

    A task that answers at marked positions says so by `marked`. Most of them read a string and then as many empty
    places as the answer is long, which `append_answers` adds:

        class Reverse(SequenceTask):
            marked = True

            def vocabulary_size(self, length):
                return 3  # two symbols and the empty place

            def num_classes(self, length):
                return 2

            def num_tokens(self, length):
                return 2 * length

            def draw(self, rng, n, length):
                bits = rng.integers(2, size=(n, length))
                return self.append_answers(bits, bits[:, ::-1], empty=2)

    `draw` must take all its random numbers from `rng`: a batch is a function of (seed, split, step). The splits follow
    from a hash of the tokens, so that no sequence is in two of them.

    Attributes:
        minimum_length: the shortest length that the task has.
        marked: `draw` gives targets at marked positions, [n, T], in place of labels [n].
    """

    minimum_length: int = 1
    marked: bool = False

    def check(self, length: int) -> None:
        """Raise ValueError if the task has no sequences of this length; the other methods do not check."""
        if length < self.minimum_length:
            name = type(self).__name__
            raise ValueError(f"{name} has no sequences of length {length}: at least {self.minimum_length}")

    @abstractmethod
    def vocabulary_size(self, length: int) -> int:
        """Return the number of tokens; they are 0..vocabulary_size-1."""

    @abstractmethod
    def num_classes(self, length: int) -> int:
        """Return the number of labels or targets; they are 0..num_classes-1."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        """Draw `n` independent samples: integer tokens [n, T] and integer labels [n].

        Of a `marked` task the second are targets [n, T], NOT_COUNTED (-100) at positions without a mark. Each sequence
        has a mark.
        """

    @staticmethod
    def append_answers(inputs: np.ndarray, answers: np.ndarray, empty: int) -> Samples:
        """Return the tokens and targets of inputs [n, I] with empty places behind them, at which answers [n, A] stand.

        Args:
            empty: the token of an empty place, which no input has.
        """
        places = np.full(answers.shape, empty, np.int64)
        unmarked = np.full(inputs.shape, NOT_COUNTED, np.int64)
        return np.concatenate((inputs, places), 1, dtype=np.int64), np.concatenate(
            (unmarked, answers), 1, dtype=np.int64
        )

    def num_tokens(self, length: int) -> int:
        """Return T, the number of tokens that the net reads."""
        return length

    def num_sequences(self, length: int) -> int:
        """Count the distinct sequences of tokens, or give a lower bound.

        Unless a subclass has a formula, those among MEASURED samples count; if none of them comes twice, there are
        taken to be NEVER_TWICE / 2.
        """
        distinct, _ = _measure(self, length)
        return distinct if distinct < MEASURED else NEVER_TWICE // 2

    def majority_baseline(self, length: int) -> float:
        """Return the accuracy of always answering the commonest label or target; measured, unless it is overridden."""
        return _measure(self, length)[1]

    def holds_out(self, length: int) -> bool:
        """Tell whether validation and test have a sixteenth of all sequences each; check `length`.

        Below FEWEST_HELD_OUT sequences too few would be left for training: all splits share them. From NEVER_TWICE on,
        no sequence is drawn twice anyway, and nothing need be held out.
        """
        self.check(length)
        return FEWEST_HELD_OUT <= self.num_sequences(length)


@lru_cache(maxsize=4096)  # lengths: sequences of many lengths ask for each again and again
def _measure(task: SequenceTask, length: int) -> tuple[int, float]:
    """Return the distinct sequences among MEASURED samples, and the share of their commonest label."""
    tokens, labels = draw_checked(task, np.random.default_rng(SEED), MEASURED, length)
    counted = labels[labels != NOT_COUNTED]
    return len({row.tobytes() for row in tokens}), float(np.bincount(counted).max() / len(counted))


def find_own_task(path: str) -> SequenceTask:
    """Return the task that a dotted path names: an instance, or a class that is built without arguments.

    Raises:
        UserError: there is no such task.
    """
    try:
        task = find_instance(path)
    except UserError as error:
        raise UserError(f"data.name={path}: {error}") from error
    if not isinstance(task, SequenceTask):
        kind = path_of(type(task))
        raise UserError(f"data.name={path}: is a {kind}; allowed: a subclass of lightning_dl2.SequenceTask, or one")
    return task


def check_own_task(task: SequenceTask, length: int, shorter: int | None = None) -> str:
    """Try a user's task and return a digest of its samples, by which a resumed run knows it again.

    Args:
        length: of the longest sequences.
        shorter: of the first sequences of a curriculum.

    Raises:
        UserError: the samples do not fit what the task says of itself, or do not follow from `rng` alone.
    """
    sizes = {at: (task.vocabulary_size(at), task.num_classes(at)) for at in (length, shorter or length)}
    for name, *values in zip(("vocabulary_size", "num_classes"), *sizes.values(), strict=True):
        least = 1 if name == "vocabulary_size" else 2
        if not isinstance(values[0], int | np.integer) or values[0] < least:
            raise _error(task, f"{name}({length}) is {values[0]!r}; allowed: a whole number, {least} or more")
        if values[-1] > values[0]:
            raise _error(
                task, f"{name}({shorter}) is {values[-1]}, but {name}({length}) is {values[0]}; allowed: at most that"
            )
    digest = sha256()
    for at in sizes:
        tokens, labels = draw_checked(task, np.random.default_rng(SEED), TRIED, at)
        again = draw_checked(task, np.random.default_rng(SEED), TRIED, at)
        if not (np.array_equal(tokens, again[0]) and np.array_equal(labels, again[1])):
            raise _error(task, "draw gives other samples for the same rng; fix: draw every random number from rng")
        if at == length:
            digest.update(tokens.tobytes() + labels.tobytes())
    return digest.hexdigest()


def draw_checked(task: SequenceTask, rng: np.random.Generator, n: int, length: int) -> Samples:
    """Draw from a user's task as `draw` does, int64, and check the samples.

    Raises:
        UserError: names the first thing that is wrong.
    """
    call = f"draw(rng, {n}, {length})"
    try:
        tokens, labels = (np.asarray(part) for part in task.draw(rng, n, length))
        limits = (task.vocabulary_size(length), task.num_classes(length))
        steps = task.num_tokens(length)
        shapes = [n, steps], [n, steps] if task.marked else [n]
    except Exception as error:  # the task is the user's, and may raise anything
        raise _error(
            task, f"{call} fails{place_of(error)}: {type(error).__name__}: {error}; fix: correct it"
        ) from error
    names = "tokens", "targets" if task.marked else "labels"
    for name, part, shape, limit in zip(names, (tokens, labels), shapes, limits, strict=True):
        if list(part.shape) != shape:
            raise _error(task, f"{call} gives {name} {list(part.shape)}; allowed: {shape}")
        if part.dtype.kind not in "iub":
            raise _error(task, f"{call} gives {name} of {part.dtype}; allowed: integers")
        counted = part[part != NOT_COUNTED] if name == "targets" else part
        if name == "targets" and not (part != NOT_COUNTED).any(1).all():
            raise _error(task, f"{call} gives a sequence without a target; allowed: one or more in each")
        if counted.size and not 0 <= counted.min() <= counted.max() < limit:
            raise _error(task, f"{call} gives {name} {counted.min()} to {counted.max()}; allowed: 0 to {limit - 1}")
    return tokens.astype(np.int64), labels.astype(np.int64)


def _error(task: Any, says: str) -> UserError:
    return UserError(f"data.name={path_of(type(task))}: {says}")
