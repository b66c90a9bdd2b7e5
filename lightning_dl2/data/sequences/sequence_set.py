"""Sequences with targets, ready for training: numbered, normalised, divided into splits, and padded in batches.

Shapes: N sequences, S steps of all sequences together, B sequences of a batch, T steps of its longest, F features.
"""

from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.raw_sequences import NAMES, UNMARKED, RawSequences, sorted_names
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

SHOWN = 5  # names in a note


class SequenceBatch(NamedTuple):
    """Sequences of a batch, padded behind their ends with zeros.

    Attributes:
        tokens: int64 [B, T], or float32 [B, T, F] for real vectors.
        labels: int64 [B]; or numbers, float32 [B]; or a target at each of some marked positions, [B, T], NOT_COUNTED
            elsewhere.
        lengths: steps of each, int64 [B]; None: all have T.
        weight: of this rank's mean loss in the mean over the ranks: its targets times their number, over the sum of
            their targets.
        ids: int64 [B], the number of each sequence in its source.
        measured_at: the length that all sequences have, as a task counts it, in the part of a test that measures the
            accuracy at this length; None: any other batch.
    """

    tokens: Tensor
    labels: Tensor
    lengths: Tensor | None
    weight: float
    ids: Tensor
    measured_at: int | None = None


class SequenceSet:
    """Sequences, numbered by the vocabulary of training or normalised by the training sequences.

    A symbol that training lacks has the number V, after those of the vocabulary.

    Args:
        raw: of a reader.
        shares: of validation and test, of the sequences without a split of their own; each class has about these.
        seed: of these shares.
        normalize: shift and scale each feature to mean 0 and variance 1 over the steps of training.

    Attributes:
        splits: numbers of the sequences by split, int64.
        answer: what the targets are.
        class_names: the labels, or the symbols of marked steps; empty for numbers.
        labels: int64 [N], numbers of `class_names`; or float32 [N]; or of each step int64 [S], NOT_COUNTED: no mark.
        lengths: int64 [N].
        vocabulary: the symbols; None: real vectors.
        mean, scale: by which the features were normalised, [F]; None: they were not.
        drawn: the splits that are shares of training.
        notes: what may surprise, in a line each.
    """

    def __init__(self, raw: RawSequences, shares: tuple[float, float], seed: int, normalize: bool) -> None:
        self.digest, self.answer = _digest(raw), raw.answer
        self.class_names, labels = _numbered_targets(raw)
        self.labels, self.lengths = torch.from_numpy(labels), torch.from_numpy(raw.lengths)
        self._starts = raw.lengths.cumsum() - raw.lengths
        classes = labels if raw.answer == "label" else np.zeros(len(raw.lengths), np.int64)
        self.splits, self.drawn = _split(raw, classes, shares, seed)
        self.notes = list(raw.notes)
        self.vocabulary: list[str] | None = None
        self.mean: list[float] | None = None
        self.scale: list[float] | None = None
        in_training = np.isin(np.arange(len(classes)), self.splits["train"])
        of_training = np.repeat(in_training, raw.lengths)
        self._tell_duplicates(raw)
        if raw.symbols is None:
            values = self._normalized(raw.values, of_training) if normalize else raw.values
        else:
            values = self._numbered(raw, of_training)
        self.values = torch.from_numpy(values)
        seen = set(labels[of_training if raw.answer == "marked" else in_training].tolist())
        if unseen := [name for number, name in enumerate(self.class_names) if number not in seen]:
            kind = NAMES[raw.answer]
            self.notes.append(f"{kind} that no training sequence has: {', '.join(unseen[:SHOWN])}")

    def targets(self, items: Tensor) -> Tensor:
        """Return the targets of the sequences `items`, int64 [B], one after the other: [B] or of their steps."""
        return self.labels[self._steps(items) if self.answer == "marked" else items]

    def _steps(self, items: Tensor) -> Tensor:
        """Return the places of all steps of sequences, one after the other."""
        lengths = self.lengths[items]
        ends = lengths.cumsum(0)
        within = torch.arange(int(ends[-1])) - (ends - lengths).repeat_interleave(lengths)
        return torch.from_numpy(self._starts)[items].repeat_interleave(lengths) + within

    def batch(self, items: Tensor, weight: float, measured_at: int | None = None) -> SequenceBatch:
        """Pad the sequences `items`, int64 [B], to the longest of them."""
        lengths = self.lengths[items]
        longest = int(lengths.max())
        inside = torch.arange(longest) < lengths[:, None]
        steps = self._steps(items)
        padded = torch.zeros(len(items), longest, *self.values.shape[1:], dtype=self.values.dtype)
        padded[inside] = self.values[steps]
        labels = self.targets(items)
        if self.answer == "marked":
            flat, labels = labels, torch.full((len(items), longest), NOT_COUNTED)
            labels[inside] = flat
        return SequenceBatch(padded, labels, None if inside.all() else lengths, weight, items, measured_at)

    def _numbered(self, raw: RawSequences, of_training: np.ndarray) -> np.ndarray:
        """Give each symbol its number in the sorted vocabulary of training; count the others."""
        assert raw.symbols is not None
        known = set(np.unique(raw.values[of_training]).tolist())
        self.vocabulary = sorted_names(raw.symbols[code] for code in known)
        numbers = {symbol: number for number, symbol in enumerate(self.vocabulary)}
        table = np.array([numbers.get(symbol, len(numbers)) for symbol in raw.symbols], np.int64)
        values = table[raw.values]
        if count := int((values == len(numbers)).sum()):
            lacking = sorted_names(symbol for symbol in raw.symbols if symbol not in numbers)
            shown = ", ".join(map(repr, lacking[:SHOWN])) + (", ..." if len(lacking) > SHOWN else "")
            self.notes.append(f"symbols that training has not, read as unknown in {count} steps: {shown}")
        return values

    def _normalized(self, values: np.ndarray, of_training: np.ndarray) -> np.ndarray:
        """Normalise the features; mean and scale have six digits, so that they are the same on every machine."""
        train = values[of_training].astype(np.float64)
        mean = np.array([float(f"{x:.6g}") for x in train.mean(0)])
        scale = np.array([float(f"{x:.6g}") for x in train.std(0)])
        if (constant := scale == 0).any():
            self.notes.append(f"features that are constant in training: {constant.sum()} of {len(scale)}")
            scale[constant] = 1.0
        self.mean, self.scale = mean.tolist(), scale.tolist()
        return ((values - mean) / scale).astype(np.float32)

    def _tell_duplicates(self, raw: RawSequences) -> None:
        ends = self._starts + raw.lengths
        content = [raw.values[start:end].tobytes() for start, end in zip(self._starts, ends, strict=True)]
        train = {content[item] for item in self.splits["train"]}
        counts = [sum(content[item] in train for item in self.splits[split]) for split in ("val", "test")]
        if any(counts):
            self.notes.append(f"sequences that training has, too: {counts[0]} in validation, {counts[1]} in test")


def _numbered_targets(raw: RawSequences) -> tuple[list[str], np.ndarray]:
    """Return the names of the classes and the targets by their numbers; or no names, and numbers in float32."""
    if raw.answer == "number":
        return [], np.array([float(text) for text in raw.labels], np.float32)
    unmarked = {UNMARKED: NOT_COUNTED} if raw.answer == "marked" else {}
    names = sorted_names(set(raw.labels) - set(unmarked))
    numbers = {name: number for number, name in enumerate(names)} | unmarked
    return names, np.array([numbers[label] for label in raw.labels])


def _split(
    raw: RawSequences, labels: np.ndarray, shares: tuple[float, float], seed: int
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the sequences of each split, and those of val and test that are drawn: a share of each training class."""
    names = np.array(raw.splits if raw.splits is not None else ["train"] * len(labels))
    lacking = [split for split in ("val", "test") if not (names == split).any()]
    wanted = dict(zip(("val", "test"), shares, strict=True))
    for number in range(labels.max() + 1):
        items = np.flatnonzero((labels == number) & (names == "train"))
        place = (np.random.default_rng((seed, number)).permutation(len(items)) + 0.5) / max(1, len(items))
        begin = 0.0
        for split in lacking:
            names[items[(begin <= place) & (place < begin + wanted[split])]] = split
            begin += wanted[split]
    found = {split: np.flatnonzero(names == split) for split in SPLITS}
    if empty := [split for split, items in found.items() if not len(items)]:
        raise UserError(
            f"{raw.where}: the {empty[0]} split has no sequences; allowed: larger shares, or more sequences"
        )
    return {split: torch.from_numpy(items) for split, items in found.items()}, lacking


def _digest(raw: RawSequences) -> str:
    """Hash all that the sequences are, whatever file they are from."""
    content: Any = sha256()
    others = () if raw.answer == "label" else (raw.answer,)  # files of labels keep the digest that runs have recorded
    for part in (raw.symbols, raw.labels, raw.splits, *others):
        content.update(repr(part).encode("utf-8", "surrogatepass"))
    for array in (raw.lengths, raw.values):
        content.update(repr((array.shape, array.dtype.str)).encode() + np.ascontiguousarray(array).tobytes())
    return content.hexdigest()
