"""Labelled sequences as they are given: of symbols or of real vectors, in memory, with labels and splits as texts.

Shapes: N sequences, S steps of all sequences together, T steps of one, F features.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.splits import SPLITS

WHOLE = re.compile(r"-?\d{1,18}")


@dataclass
class RawSequences:
    """Sequences one after the other.

    Attributes:
        values: numbers of symbols, int64 [S], or real vectors, float32 [S, F].
        lengths: steps of each sequence, int64 [N].
        labels: of each sequence, as texts.
        symbols: the text of each number in `values`; None: real vectors.
        splits: one of SPLITS for each sequence; None: no split of its own.
        where: the source, for messages, such as "data.path=FILE".
    """

    values: np.ndarray
    lengths: np.ndarray
    labels: list[str]
    symbols: list[str] | None
    splits: list[str] | None
    where: str

    def check(self) -> "RawSequences":
        """Return self; raise UserError for the first thing that no net could be trained on."""
        count, where = len(self.lengths), self.where
        if not count:
            raise UserError(f"{where}: has no sequences; allowed: one or more")
        for name, given in (("labels", self.labels), ("splits", self.splits)):
            if given is not None and len(given) != count:
                raise UserError(f"{where}: has {count} sequences, but {len(given)} {name}; allowed: one for each")
        if (empty := np.flatnonzero(self.lengths < 1)).size:
            raise UserError(f"{where}: sequence {empty[0]} is empty; allowed: one step or more")
        if self.splits is not None and (wrong := set(self.splits) - set(SPLITS)):
            raise UserError(f"{where}: the split {sorted(wrong)[0]!r}; allowed: {', '.join(SPLITS)}")
        if len(set(self.labels)) < 2:
            raise UserError(f"{where}: all sequences have the label {self.labels[0]!r}; allowed: two labels or more")
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


def sorted_names(names: Iterable[str]) -> list[str]:
    """Sort names: whole numbers by value, others as texts."""
    names = list(names)
    return sorted(names, key=(lambda name: (int(name), name)) if all(map(WHOLE.fullmatch, names)) else None)


def from_symbols(
    sequences: Iterable[Iterable[Any]], labels: list[str], splits: list[str] | None, where: str
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
    return RawSequences(codes, count, labels, list(numbers), splits, where).check()


def from_arrays(values: np.ndarray, lengths: np.ndarray, labels: Any, splits: Any, where: str) -> RawSequences:
    """Take flat arrays: whole numbers or texts [S] as symbols, or real numbers [S] or [S, F]; `lengths` is [N].

    Raises:
        UserError: arrays of another kind or shape.
    """
    names = texts(labels, "labels", where)
    places = None if splits is None else texts(splits, "split", where)
    if values.ndim == 1 and values.dtype.kind in "iubU":
        symbols, codes = np.unique(values.astype(np.int64) if values.dtype.kind == "b" else values, return_inverse=True)
        shown = [str(symbol) for symbol in symbols.tolist()]
        return RawSequences(codes.astype(np.int64), lengths, names, shown, places, where).check()
    if values.dtype.kind not in "fiub" or values.ndim not in (1, 2):
        shape, kind = list(values.shape), values.dtype
        raise UserError(f"{where}: sequences of {kind} {shape}; allowed: integers or texts, or numbers with features")
    real = np.ascontiguousarray(values.reshape(len(values), -1), np.float32)
    return RawSequences(real, lengths, names, None, places, where).check()


def from_memory(sequences: Any, labels: Any, splits: Any = None, lengths: Any = None) -> RawSequences:
    """Take sequences in memory.

    Args:
        sequences: a list of texts, of lists of symbols, of integer arrays [T], or of real arrays [T] or [T, F]; or one
            array, integers [N, T] or real numbers [N, T] or [N, T, F].
        labels: N whole numbers or texts.
        splits: "train", "val" or "test" for each; None: no split of its own.
        lengths: [N], steps of each sequence, of an array that is padded behind them.

    Raises:
        UserError: anything else.
    """
    where = "sequences"
    names = texts(labels, "labels", where)
    places = None if splits is None else texts(splits, "splits", where)
    if getattr(sequences, "ndim", 0) >= 2:
        return from_padded(np.asarray(sequences), lengths, names, places, where)
    if lengths is not None:
        raise UserError(f"lengths: are for one padded array; allowed with {type(sequences).__name__}: None")
    parts = list(sequences)
    if all(isinstance(part, str | list | tuple) for part in parts) and not _are_real(parts):
        return from_symbols(parts, names, places, where)
    arrays = [np.asarray(part) for part in parts]
    kinds = {("iub" if array.dtype.kind in "iub" else array.dtype.kind, array.shape[1:]) for array in arrays}
    if len(kinds) > 1 or any(not 1 <= array.ndim <= 2 for array in arrays):
        shown = sorted({f"{array.dtype} {list(array.shape)}" for array in arrays})[:3]
        raise UserError(f"{where}: are {', '.join(shown)}; allowed: all integers [T], or all numbers [T, F]")
    counts = np.array([len(array) for array in arrays], np.int64)
    return from_arrays(np.concatenate(arrays) if arrays else np.zeros(0), counts, names, places, where)


def from_padded(values: np.ndarray, lengths: Any, labels: Any, splits: Any, where: str) -> RawSequences:
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
    return from_arrays(values[np.arange(steps) < counts[:, None]], counts, labels, splits, where)


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
        [split for split, part in parts.items() for _ in part.labels],
        where,
    ).check()


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
