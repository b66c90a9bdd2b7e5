"""Read a text table row by row: cells with commas, semicolons, tabs or blanks, with or without names of the columns.

Shapes: R rows, C columns.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_dl2.common.errors import UserError

COMMENTS = ("#", "%")  # lines of SNAP and KONECT, above the first row


@dataclass
class Table:
    """The cells of a file, without blanks around them.

    Attributes:
        path: of the file.
        header: C names.
        lines: R numbers of lines, from 1.
        rows: R tuples of C cells: the garbage collector does not follow them, as it would lists.
        delimiter: what separates two cells.
        named: whether the names stand in the file.
        told: notes of what is unusual.
    """

    path: Path
    header: list[str]
    lines: list[int]
    rows: list[tuple[str, ...]]
    delimiter: str
    named: bool = True
    told: list[str] = field(default_factory=list)

    def place(self, row: int) -> str:
        """Name the line of a row, as messages begin."""
        return f"{self.path}:{self.lines[row]}"

    def notes(self, usual: str) -> list[str]:
        """Return notes of what is unusual, each beginning with the file's name; `usual` is the usual delimiter."""
        names = {",": "commas", ";": "semicolons", "\t": "tabs", " ": "blanks"}
        told = [f"its cells are separated by {names[self.delimiter]}"] if self.delimiter != usual else []
        return [f"{self.path.name}: {line}" for line in (*told, *self.told)]

    def column(self, name: str) -> list[str]:
        """Return the R cells of a column."""
        at = self.header.index(name)
        return [row[at] for row in self.rows]


def read_table(
    path: Path,
    required: tuple[str, ...],
    *,
    is_named: Callable[[list[str], list[tuple[str, ...]]], bool] = lambda first, rows: True,
    comments: bool = False,
    blanks: bool = False,
) -> Table:
    """Read a file whose first line separates cells by a comma, a semicolon or a tab, whichever it has most of.

    Args:
        required: names that a message asks for.
        is_named: tells from the cells of the first row, and from the other rows, whether the first has names; else
            the columns are `required`, and "3", "4" and so on, or "weight" for a single one.
        comments: skip lines before the first row that begin with one of COMMENTS.
        blanks: cells may be separated by blanks.

    Raises:
        UserError: the file is empty, no UTF-8, has rows of different lengths, or names that are doubled or missing.
    """
    # Excel writes a mark before UTF-8. strict: an open quotation mark at the file's end is an error.
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            skipped, first = _first_line(file, comments)
            delimiter = _delimiter(first, path, blanks)
            # Whole again: a cell in quotation marks may go on in the next line.
            file.seek(0)
            for _ in range(skipped):
                file.readline()
            reader = csv.reader(file, strict=True, skipinitialspace=True, delimiter=delimiter)
            try:
                return _read(path, reader, delimiter, required, is_named, skipped)
            except csv.Error as error:
                what = "commas" if delimiter == "," else "one separator"
                raise UserError(
                    f"{path}:{reader.line_num + skipped}: {error}; allowed: whole rows of cells with {what}"
                ) from None
        except UnicodeDecodeError:
            raise UserError(f"{path}:{_first_not_utf8(path)}: is no UTF-8; allowed: UTF-8") from None


def is_number(cell: str) -> bool:
    """Tell whether a cell is a number, also one that is not finite."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _first_line(file: Any, comments: bool) -> tuple[int, str]:
    """Return the number of comments above the first line, and that line."""
    skipped = 0
    while line := file.readline():
        if not (comments and line.startswith(COMMENTS)):
            return skipped, line
        skipped += 1
    return skipped, ""


def _delimiter(line: str, path: Path, blanks: bool) -> str:
    bare = re.sub(r'"[^"]*"', "", line)
    counts = {mark: bare.count(mark) for mark in (",", ";", "\t")}
    if any(counts.values()):
        return max(counts, key=counts.__getitem__)
    return " " if blanks and " " in bare.strip() else "\t" if path.suffix.lower() == ".tsv" else ","


def _read(
    path: Path,
    reader: Any,
    delimiter: str,
    required: tuple[str, ...],
    is_named: Callable[[list[str], list[tuple[str, ...]]], bool],
    skipped: int,
) -> Table:
    asked = " and ".join(required)
    first = [cell.strip() for cell in next(reader, [])]
    if not any(first):
        raise UserError(f"{path}: is empty; allowed: a line of column names with {asked}, then rows")
    if delimiter == " ":
        first = [cell for cell in first if cell]
    line = reader.line_num + skipped
    table = Table(path, first, [], [], delimiter)
    for row in reader:
        if not row or (delimiter == " " and not any(row)):  # an empty line
            continue
        if delimiter == " ":
            row = [cell for cell in row if cell]
        if len(row) != len(first):
            raise UserError(
                f"{path}:{reader.line_num + skipped}: {len(row)} cells instead of {len(first)}; allowed: one for each"
                f" of {', '.join(first)}"
            )
        table.lines.append(reader.line_num + skipped)
        table.rows.append(tuple([cell.strip() for cell in row]))
    table.named = is_named(first, table.rows)
    if table.named:
        _check_header(path, first, line)
    else:
        further = ["weight"] if len(first) == len(required) + 1 else map(str, range(len(required) + 1, len(first) + 1))
        table.header = [*required, *further][: len(first)]
        table.lines.insert(0, line)
        table.rows.insert(0, tuple(first))
    if skipped:
        table.told.append(f"{skipped} line{'s' * (skipped > 1)} of comment {'are' if skipped > 1 else 'is'} not read")
    if not table.rows:
        raise UserError(f"{path}: has no rows below its column names; allowed: at least one")
    return table


def _check_header(path: Path, header: list[str], line: int) -> None:
    for place, name in enumerate(header, start=1):
        if not name or name.startswith("Unnamed:"):
            shown = name or "without a name"
            raise UserError(
                f"{path}:{line}: column {place} is {shown}, the index of pandas; fix: leave it out"
                " (to_csv(..., index=False)), or call it id if it names the nodes"
            )
    if twice := [name for name in header if header.count(name) > 1]:
        raise UserError(f"{path}:{line}: has two columns {twice[0]}; allowed: each name once")


def _first_not_utf8(path: Path) -> int:
    """Find the first line with a bad byte: the reader is ahead of the rows that it has returned."""
    lines = path.read_bytes().decode(errors="surrogateescape").split("\n")  # turns a bad byte into a lone surrogate
    return next(number for number, line in enumerate(lines, start=1) if re.search("[\udc80-\udcff]", line))
