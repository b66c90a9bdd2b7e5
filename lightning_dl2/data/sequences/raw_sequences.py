"""Sequences with targets as they are given: of symbols or of real vectors, in memory, with targets and splits as texts.

Shapes: N sequences, S steps of all sequences together, T steps of one, F features.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

WHOLE = re.compile(r"-?\d{1,18}")
Answer = Literal["label", "number", "marked"]  # of a sequence a label or a number, or of each marked step a symbol
NAMES: dict[Answer, str] = {"label": "labels", "number": "targets", "marked": "targets"}
UNMARKED = "_"  # a step without a target, in texts


@dataclass
class RawSequences:
    """Sequences one after the other.

    Attributes:
        values: numbers of symbols, int64 [S], or real vectors, float32 [S, F].
        lengths: steps of each sequence, int64 [N].
        labels: targets of each sequence or, of `marked` ones, of each step, as texts; UNMARKED: none.
        symbols: the text of each number in `values`; None: real vectors.
        splits: one of SPLITS for each sequence; None: no split of its own.
        where: the source, for messages, such as "data.path=FILE".
        answer: what the targets are.
        notes: of the reader, in a line each.
    """

    values: np.ndarray
    lengths: np.ndarray
    labels: list[str]
    symbols: list[str] | None
    splits: list[str] | None
    where: str
    answer: Answer = "label"
    notes: tuple[str, ...] = ()

    def check(self) -> "RawSequences":
        """Return self; raise UserError for the first thing that no net could be trained on."""
        count, where = len(self.lengths), self.where
        if not count:
            raise UserError(f"{where}: has no sequences; allowed: one or more")
        steps = int(self.lengths.sum())
        if self.answer == "marked" and len(self.labels) != steps:
            raise UserError(f"{where}: has {steps} steps, but {len(self.labels)} targets; allowed: one for each")
        of_sequences = () if self.answer == "marked" else ((NAMES[self.answer], self.labels),)
        for name, given in (*of_sequences, ("splits", self.splits)):
            if given is not None and len(given) != count:
                raise UserError(f"{where}: has {count} sequences, but {len(given)} {name}; allowed: one for each")
        if (empty := np.flatnonzero(self.lengths < 1)).size:
            raise UserError(f"{where}: sequence {empty[0]} is empty; allowed: one step or more")
        if self.splits is not None and (wrong := set(self.splits) - set(SPLITS)):
            raise UserError(f"{where}: the split {sorted(wrong)[0]!r}; allowed: {', '.join(SPLITS)}")
        self._check_targets()
        if self.symbols is None and not np.isfinite(self.values).all():
            step, feature = np.argwhere(~np.isfinite(self.values))[0]
            number = int(np.searchsorted(self.lengths.cumsum(), step, side="right"))
            within = step - self.lengths[:number].sum()
            place = f"sequence {number}, step {within}, feature {feature}"
            raise UserError(
                f"{where}: {place} is {self.values[step, feature]}; allowed: finite numbers, and lengths where"
                " sequences are padded"
            )
        return self

    def _check_targets(self) -> None:
        where, found = self.where, set(self.labels)
        if self.answer == "label" and len(found) < 2:
            raise UserError(f"{where}: all sequences have the label {self.labels[0]!r}; allowed: two labels or more")
        if self.answer == "number":
            numbers = {_number(text, item, where) for item, text in enumerate(self.labels)}
            if len(numbers) < 2:
                raise UserError(f"{where}: all targets are {self.labels[0]}; allowed: two numbers or more")
        if self.answer == "marked":
            marked = np.array([text != UNMARKED for text in self.labels])
            counts = np.add.reduceat(marked.astype(np.int64), self.lengths.cumsum() - self.lengths)
            if (without := np.flatnonzero(counts < 1)).size:
                raise UserError(f"{where}: sequence {without[0]} has no target; allowed: one or more in each")
            if len(found - {UNMARKED}) < 2:
                raise UserError(f"{where}: all targets are {min(found - {UNMARKED})!r}; allowed: two symbols or more")


def _number(text: str, item: int, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where}: the target of sequence {item} is {text[:40]!r}; allowed: a finite number")
    return number


def sorted_names(names: Iterable[str]) -> list[str]:
    """Sort names: whole numbers by value, others as texts."""
    names = list(names)
    return sorted(names, key=(lambda name: (int(name), name)) if all(map(WHOLE.fullmatch, names)) else None)


def from_symbols(
    sequences: Iterable[Iterable[Any]],
    labels: list[str],
    splits: list[str] | None,
    where: str,
    answer: Answer = "label",
    notes: tuple[str, ...] = (),
) -> RawSequences:
    """Give each symbol of sequences, which are texts or lists of symbols, a number by its text."""
    numbers: dict[str, int] = {}
    lengths: list[int] = []
    values: list[int] = []
    for sequence in sequences:
        before = len(values)
        values += [numbers.setdefault(str(symbol), len(numbers)) for symbol in sequence]
        lengths.append(len(values) - before)
    codes, count = np.array(values, np.int64), np.array(lengths, np.int64)
    return RawSequences(codes, count, labels, list(numbers), splits, where, answer, notes).check()


def from_arrays(
    values: np.ndarray, lengths: np.ndarray, labels: Any, splits: Any, where: str, answer: Answer = "label"
) -> RawSequences:
    """Take flat arrays: whole numbers or texts [S] as symbols, or real numbers [S] or [S, F]; `lengths` is [N].

    Raises:
        UserError: arrays of another kind or shape.
    """
    names = targets_as_texts(labels, answer, where)
    places = None if splits is None else texts(splits, "split", where)
    if values.ndim == 1 and values.dtype.kind in "iubU":
        symbols, codes = np.unique(values.astype(np.int64) if values.dtype.kind == "b" else values, return_inverse=True)
        shown = [str(symbol) for symbol in symbols.tolist()]
        return RawSequences(codes.astype(np.int64), lengths, names, shown, places, where, answer).check()
    if values.dtype.kind not in "fiub" or values.ndim not in (1, 2):
        shape, kind = list(values.shape), values.dtype
        raise UserError(f"{where}: sequences of {kind} {shape}; allowed: integers or texts, or numbers with features")
    real = np.ascontiguousarray(values.reshape(len(values), -1), np.float32)
    return RawSequences(real, lengths, names, None, places, where, answer).check()


def from_memory(
    sequences: Any, labels: Any, splits: Any = None, lengths: Any = None, answer: Answer = "label"
) -> RawSequences:
    """Take sequences in memory.

    Args:
        sequences: a list of texts, of lists of symbols, of integer arrays [T], or of real arrays [T] or [T, F]; or one
            array, integers [N, T] or real numbers [N, T] or [N, T, F].
        labels: N whole numbers or texts; with the target `number` N numbers; with `marked` a list of N texts, lists or
            arrays, as long as their sequences, or one array [N, T], UNMARKED or NOT_COUNTED where there is no mark.
        splits: "train", "val" or "test" for each; None: no split of its own.
        lengths: [N], steps of each sequence, of an array that is padded behind them.

    Raises:
        UserError: anything else.
    """
    where = "sequences"
    padded = getattr(sequences, "ndim", 0) >= 2
    if answer == "marked" and not padded:
        sequences, labels = list(sequences), list(labels)
        fit = [len(part) for part in sequences] == [len(part) for part in labels]
        if not fit:
            raise UserError("labels: are not as long as the sequences; allowed: a target or no mark for each step")
        labels = [symbol for part in labels for symbol in part]
    names: Any = labels if padded else targets_as_texts(labels, answer, where)
    places = None if splits is None else texts(splits, "splits", where)
    if padded:
        return from_padded(np.asarray(sequences), lengths, names, places, where, answer)
    if lengths is not None:
        raise UserError(f"lengths: are for one padded array; allowed with {type(sequences).__name__}: None")
    parts = list(sequences)
    if all(isinstance(part, str | list | tuple) for part in parts) and not _are_real(parts):
        return from_symbols(parts, names, places, where, answer)
    arrays = [np.asarray(part) for part in parts]
    kinds = {("iub" if array.dtype.kind in "iub" else array.dtype.kind, array.shape[1:]) for array in arrays}
    if len(kinds) > 1 or any(not 1 <= array.ndim <= 2 for array in arrays):
        shown = sorted({f"{array.dtype} {list(array.shape)}" for array in arrays})[:3]
        raise UserError(f"{where}: are {', '.join(shown)}; allowed: all integers [T], or all numbers [T, F]")
    counts = np.array([len(array) for array in arrays], np.int64)
    return from_arrays(np.concatenate(arrays) if arrays else np.zeros(0), counts, names, places, where, answer)


def from_padded(
    values: np.ndarray, lengths: Any, labels: Any, splits: Any, where: str, answer: Answer = "label"
) -> RawSequences:
    """Take one padded array, [N, T] or [N, T, F], with `lengths` [N]; None: all are T.

    Raises:
        UserError: lengths that do not fit.
    """
    rows, steps = values.shape[:2]
    counts = np.full(rows, steps, np.int64) if lengths is None else whole_numbers(lengths, "lengths", where)
    if counts.shape != (rows,) or (rows and not 0 <= counts.min() <= counts.max() <= steps):
        span = f", {counts.min()} to {counts.max()}" if counts.size else ""
        raise UserError(
            f"{where}: lengths are {list(counts.shape)}{span}; allowed: one for each of {rows} sequences, 1 to {steps}"
        )
    inside = np.arange(steps) < counts[:, None]
    if answer == "marked":
        labels = np.asarray(labels)
        if labels.shape != (rows, steps):
            raise UserError(f"{where}: targets are {list(labels.shape)}; allowed: one for each step, {[rows, steps]}")
        labels = labels[inside]
    return from_arrays(values[inside], counts, labels, splits, where, answer)


def join(parts: dict[str, RawSequences], where: str) -> RawSequences:
    """Join the sequences of several files, each of which is a split.

    Raises:
        UserError: they are of different kinds.
    """
    first = next(iter(parts.values()))
    for name, part in parts.items():
        if (part.symbols is None) != (first.symbols is None) or part.values.shape[1:] != first.values.shape[1:]:
            raise UserError(f"{where}: {name} is of other sequences than {next(iter(parts))}; allowed: the same kind")
    numbers: dict[str, int] = {}
    values = []
    for part in parts.values():
        if part.symbols is None:
            values.append(part.values)
        else:
            values.append(np.array([numbers.setdefault(s, len(numbers)) for s in part.symbols], np.int64)[part.values])
    return RawSequences(
        np.concatenate(values),
        np.concatenate([part.lengths for part in parts.values()]),
        [label for part in parts.values() for label in part.labels],
        None if first.symbols is None else list(numbers),
        [split for split, part in parts.items() for _ in part.lengths],
        where,
        first.answer,
        tuple(note for part in parts.values() for note in part.notes),
    ).check()


def targets_as_texts(values: Any, answer: Answer, where: str) -> list[str]:
    """Return labels, real numbers, or the symbols of steps as texts.

    Raises:
        UserError: they are of another kind.
    """
    array = np.asarray(values)
    if answer == "number" and array.dtype.kind == "f" and array.ndim == 1:
        return [repr(value) for value in array.astype(float).tolist()]
    found = texts(array, NAMES[answer], where)
    if answer == "marked":
        found = [UNMARKED if text in ("", str(NOT_COUNTED)) else text for text in found]
    return found


def texts(values: Any, what: str, where: str) -> list[str]:
    """Return whole numbers or texts as texts.

    Raises:
        UserError: they are neither, or in more than one dimension.
    """
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iubU"):
        raise UserError(f"{where}: {what} are {array.dtype} {list(array.shape)}; allowed: whole numbers or texts [N]")
    return [str(value) for value in array.tolist()]


def whole_numbers(values: Any, what: str, where: str) -> np.ndarray:
    """Return whole numbers as int64.

    Raises:
        UserError: they are none.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise UserError(f"{where}: {what} are {array.dtype}; allowed: whole numbers")
    return array.astype(np.int64)


def _are_real(parts: Sequence[Any]) -> bool:
    """Tell whether the first step of lists is a real number or a vector."""
    first = next((part[0] for part in parts if len(part)), "")
    return isinstance(first, float | list | tuple | np.floating | np.ndarray)
