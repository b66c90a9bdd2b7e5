"""Base of the sequence tasks, with what a task of the user's own need not write, and the checks of such a task.

Shapes: B sequences, T tokens or steps, F features.
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
    """Distribution over sequences with their answers, for every length from `minimum_length` on.

    Sequences are of tokens or, with `features`, of real vectors. The answer is one label, with `regression` one real
    number, or with `marked` a target at each of some positions of the sequence.

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

    A task of real vectors has `features` in place of `vocabulary_size`, and one of a real target `regression` in place
    of `num_classes`:

        class Mean(SequenceTask):
            features, regression = 2, True

            def draw(self, rng, n, length):
                values = rng.normal(size=(n, length, 2))
                return values, values.mean((1, 2))

    `draw` must take all its random numbers from `rng`: a batch is a function of (seed, split, step). The splits follow
    from a hash of the tokens, so that no sequence is in two of them.

    Attributes:
        minimum_length: the shortest length that the task has.
        marked: `draw` gives targets at marked positions, [n, T], in place of labels [n].
        features: F of the real vectors [n, T, F] that `draw` gives in place of tokens; None: tokens [n, T].
        regression: `draw` gives a real number for each sequence, [n], in place of labels.
    """

    minimum_length: int = 1
    marked: bool = False
    features: int | None = None
    regression: bool = False

    def check(self, length: int) -> None:
        """Raise ValueError if the task has no sequences of this length; the other methods do not check."""
        if length < self.minimum_length:
            name = type(self).__name__
            raise ValueError(f"{name} has no sequences of length {length}: at least {self.minimum_length}")

    def vocabulary_size(self, length: int) -> int:
        """Return the number of tokens; they are 0..vocabulary_size-1. A task with `features` has none."""
        raise NotImplementedError

    def num_classes(self, length: int) -> int:
        """Return the number of labels or targets; they are 0..num_classes-1. A `regression` has none."""
        raise NotImplementedError

    @abstractmethod
    def draw(self, rng: np.random.Generator, n: int, length: int) -> Samples:
        """Draw `n` independent samples: integer tokens [n, T] and integer labels [n].

        With `features` the first are real vectors [n, T, F], and of a `regression` the second are real numbers [n]. Of
        a `marked` task the second are targets [n, T], NOT_COUNTED (-100) at positions without a mark. Each sequence has
        a mark.
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
        taken to be NEVER_TWICE / 2. Real vectors never come twice.
        """
        if self.features is not None:
            return NEVER_TWICE
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
    if task.marked and task.regression:
        raise _error(task, "has marked and regression; allowed: one of them")
    if task.features is not None and (not isinstance(task.features, int) or task.features < 1):
        raise _error(task, f"features is {task.features!r}; allowed: a whole number, 1 or more, or None")
    for name, least in sizes_of(task).items():
        at_length, at_shorter = (_size(task, name, at) for at in (length, shorter or length))
        if not isinstance(at_length, int | np.integer) or at_length < least:
            raise _error(task, f"{name}({length}) is {at_length!r}; allowed: a whole number, {least} or more")
        if at_shorter > at_length:
            raise _error(
                task, f"{name}({shorter}) is {at_shorter}, but {name}({length}) is {at_length}; allowed: at most that"
            )
    digest = sha256()
    for at in dict.fromkeys((length, shorter or length)):
        tokens, labels = draw_checked(task, np.random.default_rng(SEED), TRIED, at)
        again = draw_checked(task, np.random.default_rng(SEED), TRIED, at)
        if not (np.array_equal(tokens, again[0]) and np.array_equal(labels, again[1])):
            raise _error(task, "draw gives other samples for the same rng; fix: draw every random number from rng")
        if at == length:
            digest.update(tokens.tobytes() + labels.tobytes())
    return digest.hexdigest()


def sizes_of(task: SequenceTask) -> dict[str, int]:
    """Map each method by which a task tells the number of its tokens or labels to the least that it may return."""
    sizes = {"vocabulary_size": 1} if task.features is None else {}
    return sizes if task.regression else {**sizes, "num_classes": 2}


def _size(task: SequenceTask, name: str, length: int) -> Any:
    if getattr(type(task), name) is getattr(SequenceTask, name):
        instead = "features" if name == "vocabulary_size" else "regression"
        raise _error(task, f"has no {name}; fix: define {name}(self, length), or set {instead}")
    return getattr(task, name)(length)


def draw_checked(task: SequenceTask, rng: np.random.Generator, n: int, length: int) -> Samples:
    """Draw from a user's task as `draw` does, int64 or float32, and check the samples.

    Raises:
        UserError: names the first thing that is wrong.
    """
    call = f"draw(rng, {n}, {length})"
    try:
        tokens, labels = (np.asarray(part) for part in task.draw(rng, n, length))
        limits = {name: getattr(task, name)(length) for name in sizes_of(task)}
        steps = task.num_tokens(length)
    except Exception as error:  # the task is the user's, and may raise anything
        raise _error(
            task, f"{call} fails{place_of(error)}: {type(error).__name__}: {error}; fix: correct it"
        ) from error
    inputs, answers = ("tokens", [n, steps]), ("labels", [n])
    if task.features is not None:
        inputs = "vectors", [n, steps, task.features]
    if task.regression or task.marked:
        answers = "targets", [n, steps] if task.marked else [n]
    found = [
        _checked(task, call, tokens, *inputs, limits.get("vocabulary_size")),
        _checked(task, call, labels, *answers, limits.get("num_classes"), marked=task.marked),
    ]
    return found[0], found[1]


def _checked(
    task: SequenceTask,
    call: str,
    part: np.ndarray,
    name: str,
    shape: list[int],
    limit: int | None,
    marked: bool = False,
) -> np.ndarray:
    """Return integers below `limit` as int64, or real numbers (no limit) as float32."""
    if list(part.shape) != shape:
        raise _error(task, f"{call} gives {name} {list(part.shape)}; allowed: {shape}")
    if limit is None:
        if part.dtype.kind not in "fiub":
            raise _error(task, f"{call} gives {name} of {part.dtype}; allowed: numbers")
        if not np.isfinite(part).all():
            raise _error(task, f"{call} gives {name} that are not finite; allowed: finite numbers")
        return part.astype(np.float32)
    if part.dtype.kind not in "iub":
        raise _error(task, f"{call} gives {name} of {part.dtype}; allowed: integers")
    counted = part[part != NOT_COUNTED] if marked else part
    if marked and not (part != NOT_COUNTED).any(1).all():
        raise _error(task, f"{call} gives a sequence without a target; allowed: one or more in each")
    if counted.size and not 0 <= counted.min() <= counted.max() < limit:
        raise _error(task, f"{call} gives {name} {counted.min()} to {counted.max()}; allowed: 0 to {limit - 1}")
    return part.astype(np.int64)


def _error(task: Any, says: str) -> UserError:
    return UserError(f"data.name={path_of(type(task))}: {says}")
