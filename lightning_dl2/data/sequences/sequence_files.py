"""Read sequences with targets from .npz, .csv, .tsv and .txt files.

A target is a label; with `number` a real number; with `marked` a symbol at each marked step.

    .npz         tokens or sequences, labels; lengths or offsets; split. No pickled objects.
    .csv, .tsv   a row a sequence: label, sequence, split. Or a row a step: id, label, step, split, and a column symbol
                 or columns of numbers. Separators: comma, semicolon, tab.
    .txt         a line a sequence: its label, a tab, its text.
    a directory  train, val and test, each in one of these forms; those that are missing are drawn. Or a language of
                 FLaRe: main.tok, labels.txt, and datasets/ with those of validation-short and test.

The label of a marked sequence is a text as long as the sequence, UNMARKED at steps without a target; in rows of steps,
each row has its own, or none; in .npz it has the shape of the tokens, with UNMARKED or NOT_COUNTED.

Shapes: N sequences, S steps of all sequences together, T steps of one, F features.
"""

import csv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.published.flare import STRINGS, read_flare
from lightning_dl2.data.sequences.raw_sequences import (
    UNMARKED,
    Answer,
    RawSequences,
    from_arrays,
    from_padded,
    from_symbols,
    join,
    whole_numbers,
)
from lightning_dl2.data.splits import SPLITS

SUFFIXES = (".npz", ".csv", ".tsv", ".txt")
TOKENS = ("characters", "words", "numbers")  # how the text of a sequence is read


def read_sequences(path: Path, tokens: str, answer: Answer = "label") -> RawSequences:
    """Read the sequences of a file, or of a directory with a file for each split.

    Args:
        tokens: one of TOKENS; .npz files and rows of steps need none.
        answer: what the labels are.

    Raises:
        UserError: the first thing that is wrong, with its file and line.
    """
    try:
        if (path / STRINGS).is_file():
            return read_flare(path, answer)
        return _read_directory(path, tokens, answer) if path.is_dir() else _read_file(path, tokens, answer)
    except OSError as error:
        raise UserError(f"data.path={path}: cannot be read ({error.strerror}); allowed: a file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"data.path={path}: is no UTF-8; allowed: UTF-8") from error


def _read_directory(path: Path, tokens: str, answer: Answer) -> RawSequences:
    parts = {}
    for split in SPLITS:
        found = [file for suffix in SUFFIXES if (file := path / f"{split}{suffix}").is_file()]
        if len(found) > 1:
            raise UserError(f"data.path={path}: has {found[0].name} and {found[1].name}; allowed: one of them")
        if found:
            parts[split] = _read_file(found[0], tokens, answer)
    if "train" not in parts:
        raise UserError(f"data.path={path}: has no training file; allowed: train{', train'.join(SUFFIXES)}")
    if own := [split for split, part in parts.items() if part.splits is not None]:
        raise UserError(f"data.path={path}: the file {own[0]} has splits of its own; allowed: either files or splits")
    return join(parts, f"data.path={path}")


def _read_file(path: Path, tokens: str, answer: Answer) -> RawSequences:
    if path.suffix == ".npz":
        return _read_npz(path, answer)
    return (_read_csv if path.suffix in (".csv", ".tsv") else _read_lines)(path, tokens, answer)


def _read_npz(path: Path, answer: Answer) -> RawSequences:
    where = f"data.path={path}"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        says = "has pickled objects" if "Object arrays" in str(error) else "is no whole .npz file"
        raise UserError(f"{where}: {says}; allowed: plain arrays, as np.savez writes them") from error
    known = ("tokens", "sequences", "labels", "lengths", "offsets", "split")
    if unknown := [name for name in arrays if name not in known]:
        raise UserError(f"{where}: has an array {unknown[0]}; allowed: {', '.join(known)}")
    values = [arrays[name] for name in ("tokens", "sequences") if name in arrays]
    if len(values) != 1 or "labels" not in arrays:
        raise UserError(f"{where}: has {', '.join(arrays)}; allowed: tokens or sequences, and labels")
    if "lengths" in arrays and "offsets" in arrays:
        raise UserError(f"{where}: has lengths and offsets; allowed: one of them")
    labels, splits, lengths = arrays["labels"], arrays.get("split"), arrays.get("lengths")
    if "offsets" in arrays:
        offsets = whole_numbers(arrays["offsets"], "offsets", where)
        total = len(values[0])
        if (
            offsets.ndim != 1
            or not len(offsets)
            or offsets[0] != 0
            or offsets[-1] != total
            or (np.diff(offsets) < 0).any()
        ):
            raise UserError(f"{where}: offsets do not rise from 0 to {total}; allowed: [N + 1], where each one begins")
        return from_arrays(values[0], np.diff(offsets), labels, splits, where, answer)
    if values[0].ndim >= 2:
        return from_padded(values[0], lengths, labels, splits, where, answer)
    if lengths is None:
        raise UserError(f"{where}: one row of steps without lengths; allowed: lengths or offsets beside it, or [N, T]")
    lengths = whole_numbers(lengths, "lengths", where)
    if lengths.sum() != len(values[0]) or (lengths < 0).any():
        raise UserError(f"{where}: lengths add up to {lengths.sum()}; allowed: {len(values[0])}, the steps in all")
    return from_arrays(values[0], lengths, labels, splits, where, answer)


def _read_lines(path: Path, tokens: str, answer: Answer) -> RawSequences:
    labels, sequences, lines = [], [], []
    for number, line in enumerate(path.read_text("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        label, tab, text = line.rstrip("\r").partition("\t")
        if not tab or not label.strip():
            raise UserError(f"{path}:{number}: {line[:40]!r} has no label and tab; allowed: LABEL, a tab, the sequence")
        labels.append(label.strip())
        sequences.append(text)
        lines.append(number)
    return _split_texts(sequences, labels, None, tokens, path, lines, answer)


def _split_texts(
    sequences: list[str],
    labels: list[str],
    splits: list[str] | None,
    tokens: str,
    path: Path,
    lines: list[int],
    answer: Answer,
) -> RawSequences:
    """Split the text of each sequence, and of marked targets, into symbols or numbers."""
    for text, line in zip(sequences, lines, strict=True):
        if not text.strip():
            raise UserError(f"{path}:{line}: the sequence is empty; allowed: one symbol or more")
    where = f"data.path={path}"
    if answer == "number":
        for text, line in zip(labels, lines, strict=True):
            _number(text, path, line, "as a target")
    if answer == "marked":
        labels = _split_targets(sequences, labels, tokens, path, lines)
    if tokens == "characters":
        return from_symbols(sequences, labels, splits, where, answer)
    words = [text.split() for text in sequences]
    if tokens == "words":
        if all(len(each) == 1 for each in words):
            raise UserError(
                f"data.tokens=words: each sequence of {path} is a single word; fix: data.tokens=characters, or put"
                " spaces between its symbols"
            )
        return from_symbols(words, labels, splits, where, answer)
    numbers = [[_number(word, path, line) for word in each] for each, line in zip(words, lines, strict=True)]
    counts = np.array([len(each) for each in numbers], np.int64)
    return from_arrays(np.array([x for each in numbers for x in each], float), counts, labels, splits, where, answer)


def _split_targets(sequences: list[str], labels: list[str], tokens: str, path: Path, lines: list[int]) -> list[str]:
    """Split the targets of marked sequences as their texts are split, and check that they are as long."""
    found: list[str] = []
    for text, label, line in zip(sequences, labels, lines, strict=True):
        steps, targets = (list(part) if tokens == "characters" else part.split() for part in (text, label))
        if len(steps) != len(targets):
            raise UserError(
                f"{path}:{line}: {len(steps)} steps, but {len(targets)} targets; allowed: one for each step,"
                f" {UNMARKED} where there is none"
            )
        if set(targets) == {UNMARKED}:
            raise UserError(f"{path}:{line}: has no target; allowed: one or more in each sequence")
        found += targets
    return found


def _number(text: str, path: Path, line: int, what: str = "with numbers") -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{path}:{line}: {text[:40]!r}; allowed {what}: a number") from None


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row with its line; the separator is the commonest of the first line."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        separator = max(",;\t", key=first.count)
        reader = csv.reader(file, delimiter=separator, strict=True)
        try:
            for row in reader:
                if row:
                    yield reader.line_num, [cell.strip() for cell in row]
        except csv.Error as error:
            raise UserError(f"{path}:{reader.line_num}: {error}; allowed: whole rows of cells") from None


def _read_csv(path: Path, tokens: str, answer: Answer) -> RawSequences:
    rows = _rows(path)
    _, header = next(rows, (0, []))
    if twice := [name for name in header if header.count(name) > 1]:
        raise UserError(f"{path}:1: has two columns {twice[0]}; allowed: each name once")
    if "label" not in header or not {"sequence", "id"} & set(header):
        raise UserError(
            f"{path}:1: has the columns {', '.join(header)[:80]}; allowed: label and sequence, or id, label and the"
            " values of a step"
        )
    in_steps = "sequence" not in header
    table = _checked(rows, header, path, may_lack=in_steps and answer == "marked")
    if in_steps:
        return _read_steps(table, header, path, answer)
    if other := [name for name in header if name not in ("id", "label", "sequence", "split")]:
        raise UserError(f"{path}:1: has a column {other[0]}; allowed beside sequence: label, split, id")
    found = [(line, row["label"], row["sequence"], row.get("split", "")) for line, row in table]
    lines, labels, sequences, splits = (list(column) for column in zip(*found, strict=True)) if found else [[]] * 4
    own = splits if "split" in header else None
    return _split_texts(sequences, labels, own, tokens, path, lines, answer)


def _checked(
    rows: Iterator[tuple[int, list[str]]], header: list[str], path: Path, may_lack: bool
) -> Iterator[tuple[int, dict[str, str]]]:
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(f"{path}:{line}: {len(row)} cells; allowed: {len(header)}, {', '.join(header)[:80]}")
        cells = dict(zip(header, row, strict=True))
        if not cells["label"] and not may_lack:
            raise UserError(f"{path}:{line}: has no label; allowed: a label in each row")
        yield line, cells


def _read_steps(
    table: Iterator[tuple[int, dict[str, str]]], header: list[str], path: Path, answer: Answer
) -> RawSequences:
    """Read a row a step; the rows of a sequence have the same id, split and, unless each has its own, label."""
    columns = [name for name in header if name not in ("id", "label", "step", "split")]
    by_symbol = columns == ["symbol"]
    if not columns or (not by_symbol and "symbol" in columns):
        raise UserError(f"{path}:1: has no values of a step; allowed: a column symbol, or columns of numbers")
    steps: dict[str, list[tuple[float, Any]]] = {}
    facts: dict[str, tuple[str, str]] = {}
    marked = answer == "marked"
    for line, row in table:
        name, label = row["id"], row["label"]
        if answer == "number":
            _number(label, path, line, "as a target")
        fact = ("" if marked else label, row.get("split", ""))
        if facts.setdefault(name, fact) != fact:
            raise UserError(
                f"{path}:{line}: id {name} has another label or split before; allowed: one for all its rows"
            )
        place = _number(row["step"], path, line) if "step" in header else 0.0
        value = row["symbol"] if by_symbol else [_number(row[column], path, line) for column in columns]
        steps.setdefault(name, []).append((place, (value, label or UNMARKED)))
    for name, found in steps.items():
        if "step" in header:
            found.sort(key=lambda each: each[0])
            if len({place for place, _ in found}) < len(found):
                raise UserError(f"{path}: id {name} has a step twice; allowed: each step once")
    labels = [label for label, _ in facts.values()]
    if marked:
        labels = [label for found in steps.values() for _, (_, label) in found]
    splits = [split for _, split in facts.values()] if "split" in header else None
    sequences: list[list[Any]] = [[value for _, (value, _) in found] for found in steps.values()]
    if by_symbol:
        return from_symbols(sequences, labels, splits, f"data.path={path}", answer)
    flat = np.array([value for sequence in sequences for value in sequence], float).reshape(-1, len(columns))
    counts = np.array([len(sequence) for sequence in sequences], np.int64)
    return from_arrays(flat, counts, labels, splits, f"data.path={path}", answer)
