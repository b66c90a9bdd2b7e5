"""The values of `key=value` words, as numbers and names; a UserError for what is none.

For commands that compose no configuration: conf/ has a schema of its own.
"""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.common.files import DISK_ERRORS, write_out

SHOWN = 80  # characters of a path in an error


def natural(values: dict[str, str], key: str, *, least: int = 0, most: int | None = None) -> int:
    """A whole number.

    Raises:
        UserError: it is none, or not from `least` to `most`.
    """
    return _natural(key, values[key], values[key], least, most)


def naturals(values: dict[str, str], key: str, *, least: int = 0) -> list[int]:
    """Whole numbers with commas between them, with brackets around them or without; in order, none twice.

    Raises:
        UserError: one is none, or below `least`.
    """
    words = re.sub(r"^\[(.*)\]$", r"\1", values[key]).split(",")
    return sorted({_natural(key, values[key], word, least, None, "whole numbers N[,N...]") for word in words})


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


def refuse(values: dict[str, str], defaults: dict[str, str], keys: Sequence[str], why: str) -> None:
    """Nobody who gives a key shall believe that it has done something.

    Raises:
        UserError: one of these keys, which have no effect here, has another value than by default.
    """
    for key in keys:
        if values[key] != defaults[key]:
            raise UserError(f"{key}={values[key]}: {why}")


def user_path(key: str, value: str) -> Path:
    """The path, with ~ as the home directory; it need not be there.

    Raises:
        UserError: there cannot be such a path.
    """
    try:
        path = Path(value).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            os.stat(path)
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, nobody's home, a NUL
        shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
        raise UserError(f"{key}={shown}: is no path: {getattr(error, 'strerror', None) or error}") from error
    return path


def out_file(out: str) -> Path | None:
    """Where a command is to write; None: to standard output, for -.

    Raises:
        UserError: it is a directory, or in none that can be written; said before any work is done for it.
    """
    if out == "-":
        return None
    path = Path(out)
    try:
        place = path if path.exists() and not path.is_file() else path.resolve().parent
        can = out and not path.is_dir() and os.access(place, os.W_OK)
    except (OSError, ValueError) as error:  # a name that is too long, a NUL
        raise _cannot_write(path, error) from error
    if not can:
        raise UserError(f"out={out}: cannot be written; allowed: a file in a directory that exists, or -")
    return path


@contextmanager
def out_directory(path: Path) -> Iterator[None]:
    """The directory is there within the block; what was made for it and stays empty is removed after it.

    Raises:
        UserError: there cannot be one, or it cannot be written.
    """
    made = [each for each in (path, *path.parents) if not os.path.exists(each)]
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, ValueError) as error:
        raise _cannot_write(path, error) from error
    try:
        yield
    finally:
        for each in made:
            with suppress(OSError):
                each.rmdir()


def write_to(out: Path, text: str) -> None:
    """Writes what the user has asked for there.

    Raises:
        UserError: it cannot be written.
        OSError: the disk is full or broken, which is no fault of the input.
    """
    try:
        write_out(out, text)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise _cannot_write(out, error) from error


def _cannot_write(out: Path, error: Exception) -> UserError:
    return UserError(f"out={out}: cannot be written: {getattr(error, 'strerror', None) or error}")


def _natural(key: str, value: str, word: str, least: int, most: int | None, allowed: str = "whole numbers") -> int:
    # int() alone would also take "1_0", " 1" and digits of other scripts.
    number = int(word) if re.fullmatch("[0-9]{1,18}", word) else -1
    if number < least or (most is not None and number > most):
        limit = f"{least} or more" if most is None else f"{least} to {most}"
        raise UserError(f"{key}={value}: allowed: {allowed}, {limit}")
    return number
