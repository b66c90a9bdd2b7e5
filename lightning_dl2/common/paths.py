"""Check the paths that a user names before any work starts, and write there."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import DISK_ERRORS, write_text

SHOWN = 80  # characters of a path in an error


def user_path(key: str, value: str) -> Path:
    """Return the path, with ~ as the home directory; it need not exist.

    Raises:
        UserError: no such path is possible.
    """
    try:
        path = Path(value).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            os.stat(path)
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, nobody's home, a NUL
        shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
        raise UserError(f"{key}={shown}: is not a path: {getattr(error, 'strerror', None) or error}") from error
    return path


def describe_path(path: Path) -> str:
    """Say what is at a path where a file was expected, such as "is a directory"."""
    if not path.exists():
        return "there is no such file"
    kinds = {"file": path.is_file, "directory": path.is_dir, "FIFO": path.is_fifo, "socket": path.is_socket}
    return "is a " + next((name for name, is_one in kinds.items() if is_one()), "device")


def out_file(out: str, key: str = "out") -> Path | None:
    """Return the file that a command writes, by its key; None for -, which is standard output.

    Raises:
        UserError: it is a directory, or its directory does not exist or cannot be written.
    """
    if out == "-":
        return None
    path = Path(out)
    try:
        place = path if path.exists() and not path.is_file() else path.resolve().parent
        can = out and not path.is_dir() and os.access(place, os.W_OK)
    except (OSError, ValueError) as error:  # a name that is too long, a NUL
        raise _cannot_write(path, error, key) from error
    if not can:
        raise UserError(f"{key}={out}: cannot be written; allowed: a file in a directory that exists, or -")
    return path


def out_table(key: str, out: str) -> Path:
    """Return the .csv or .npz file that a command writes.

    Raises:
        UserError: it has another suffix, or cannot be written.
    """
    path = out_file(out, key) if out != "-" else None
    if path is None or path.suffix not in (".csv", ".npz"):
        raise UserError(f"{key}={out}: allowed: a .csv or .npz file")
    return path


@contextmanager
def out_directory(path: Path) -> Iterator[None]:
    """Make a directory for the block; after the block, remove each new directory that is still empty.

    Raises:
        UserError: it cannot be made, or cannot be written.
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


def write_to(out: Path, text: str, key: str = "out") -> None:
    """Write a text to the file that the user named, through a link, or into a pipe or a device.

    Raises:
        UserError: it cannot be written.
        OSError: the disk is full or broken, which is no fault of the input.
    """
    try:
        if out.exists() and not out.is_file():  # replacing /dev/null by a file would destroy it
            with open(out, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
        else:
            write_text(out.resolve(), text)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise _cannot_write(out, error, key) from error


def _cannot_write(out: Path, error: Exception, key: str = "out") -> UserError:
    return UserError(f"{key}={out}: cannot be written: {getattr(error, 'strerror', None) or error}")
