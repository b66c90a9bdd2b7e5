"""The values of `key=value` words, as numbers and names; a UserError for what is none.

For commands that compose no configuration: conf/ has a schema of its own.
"""

import re
from collections.abc import Sequence

from lightning_dl2.cli import UserError, nearest


def natural(values: dict[str, str], key: str, *, least: int = 0, most: int | None = None) -> int:
    """A whole number.

    Raises:
        UserError: it is none, or not from `least` to `most`.
    """
    return _natural(key, values[key], values[key], least, most)


def naturals(values: dict[str, str], key: str, *, least: int = 0) -> list[int]:
    """Whole numbers with commas between them, without repetitions, in order.

    Raises:
        UserError: one is none, or below `least`.
    """
    return sorted({_natural(key, values[key], word, least, None) for word in values[key].split(",")})


def choice(values: dict[str, str], key: str, allowed: Sequence[str]) -> str:
    """One of the names that are allowed.

    Raises:
        UserError: another one.
    """
    if values[key] not in allowed:
        raise UserError(f"{key}={values[key]}: {nearest(values[key], list(allowed))}")
    return values[key]


def choices(values: dict[str, str], key: str, allowed: Sequence[str]) -> list[str]:
    """Some of the names that are allowed, with commas between them.

    Raises:
        UserError: another one.
    """
    words = list(dict.fromkeys(values[key].split(",")))
    for word in words:
        if word not in allowed:
            raise UserError(f"{key}={values[key]}: {nearest(word, list(allowed))}")
    return words


def _natural(key: str, value: str, word: str, least: int, most: int | None) -> int:
    # int() alone would also take "1_0", " 1" and digits of other scripts.
    number = int(word) if re.fullmatch("[0-9]{1,18}", word) else -1
    if number < least or (most is not None and number > most):
        limit = f"{least} or more" if most is None else f"{least} to {most}"
        raise UserError(f"{key}={value}: allowed: whole numbers, {limit}")
    return number
