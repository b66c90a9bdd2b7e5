"""Turn the labels of a file, which are texts, into classes; what may not be a class is refused or unknown.

Shapes: N nodes.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lightning_dl2.common.errors import UserError

# The texts that pandas reads as missing, too, so that what it wrote comes back.
MISSING = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA")
    + ("NULL", "NaN", "None", "n/a", "nan", "null")
)
FEW = 10  # classes; whole numbers with more, and more than half of the nodes, are rather a quantity
SEPARATORS = re.compile(r"\s*[,;|]\s*")
NUMBERS = re.compile(r"[\[(]?\s*[-+]?\d+(\.\d*)?(\s*[,;| ]\s*[-+]?\d+(\.\d*)?)+\s*[\])]?")


class Classes(NamedTuple):
    """The classes of nodes."""

    numbers: list[int]  # N class numbers; -1: unknown
    names: list[str]
    note: str | None


def is_missing(text: str) -> bool:
    """Tell whether a cell stands for nothing, as in pandas."""
    return text in MISSING


def number_classes(labels: Sequence[str], describe: Callable[[int], str], target: str | None = None) -> Classes:
    """Give each label that occurs a number: by the value of whole numbers, if all are such, else by the name.

    `1.0` is the class `1`. A missing label is unknown.

    Args:
        labels: N texts.
        describe: names the place of a label in a message.
        target: "classification" where the user has said that numbers are classes; None: nothing is said.

    Raises:
        UserError: a label is a fraction, or several labels, or there are so many numbers that they are no classes.
    """
    known = {label for label in labels if label not in MISSING}

    def place(wanted: Callable[[str], bool]) -> str:
        return describe(next(number for number, label in enumerate(labels) if label in known and wanted(label)))

    if several := _several(known):
        raise UserError(
            f"{place(several.__contains__)}: the label {_shown(min(several))} is several labels; fix: give a column of"
            " 0 and 1 for each, with data.labels=[NAME,...] data.target=multilabel"
        )
    values = {label: _value(label) for label in known}
    names = {label: label for label in known}
    if all(value is not None for value in values.values()):
        fractions = {label for label, value in values.items() if value is not None and not value.is_integer()}
        if fractions and target != "classification":
            raise UserError(
                f"{place(fractions.__contains__)}: the label is a number with a fraction, which is no class;"
                f" fix: {HOW_TO_ASK}"
            )
        if not fractions:
            names = {label: label if label.isdecimal() else _whole(label) for label in known}
        count = sum(label in known for label in labels)
        if len({*names.values()}) > max(FEW, count / 2) and target != "classification":
            raise UserError(
                f"{describe(0)}: the labels are {len({*names.values()})} different numbers of {count} nodes, which are"
                f" hardly classes; fix: {HOW_TO_ASK}"
            )
    distinct = {*names.values()}
    ordered = sorted(distinct, key=_numeric if all(name.isdecimal() for name in distinct) else None)
    at = {name: number for number, name in enumerate(ordered)}
    number = {label: at[name] for label, name in names.items()}
    return Classes([number.get(label, -1) for label in labels], ordered, _note(labels, names))


HOW_TO_ASK = "data.target=regression for the number, or data.target=classification for classes"


def _note(labels: Sequence[str], names: dict[str, str]) -> str | None:
    told = []
    if written := sorted({label for label in labels if label in MISSING and label}):
        count = sum(label in written for label in labels)
        told.append(f"{count} label{'s are' if count > 1 else ' is'} unknown ({', '.join(written)})")
    if renamed := sorted(label for label, name in names.items() if label != name):
        told.append(f"the label {renamed[0]} is read as {names[renamed[0]]}")
    return "; ".join(told) or None


def _several(known: set[str]) -> set[str]:
    """Return the labels that are lists: of numbers, or of names that are labels by themselves elsewhere."""
    lists = set()
    for label in known:
        parts = SEPARATORS.split(label)
        if NUMBERS.fullmatch(label) or (len(parts) > 1 and all(part in known for part in parts)):
            lists.add(label)
    return lists


def _value(label: str) -> float | None:
    """Return the number that a label is; None: it is none, or infinite."""
    try:
        value = float(label) if len(label) < 300 or not label.isdecimal() else 0.0  # a long number is whole
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(label: str) -> str:
    return str(int(float(label)))


def _shown(label: str) -> str:
    return label if len(label) <= 40 else f"{label[:40]}..."


def _numeric(label: str) -> tuple[int, str, str]:
    """Return a key that sorts whole numbers of any length by value; int() refuses 4301 digits."""
    digits = label.lstrip("0")
    return len(digits), digits, label
