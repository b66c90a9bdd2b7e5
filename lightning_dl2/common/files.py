"""Write files atomically: beside their place, flushed to the disk, then moved into it; and read them safely."""

import csv
import errno
import hashlib
import logging
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
# Errors of a path whose directory or permissions are missing, or that holds something else.
PATH_ERRORS = (
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ESTALE,
)  # fmt: skip

_told: set[Path] = set()  # tables with a warning already


class WriteError(OSError):
    """Failure to write a file. The message names the file, the cause, and the bytes needed and free."""

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.errno = number

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.errno)


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """Name the file in errors of the block, because the error of a failed write does not.

    Args:
        size: its size in bytes, if known.

    Raises:
        WriteError: the disk is full, over its quota, read-only or broken, or the path cannot be written.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, WriteError) or error.errno not in DISK_ERRORS + PATH_ERRORS:
            raise
        told = [os.strerror(error.errno)]
        if size and error.errno in DISK_ERRORS:
            told.append(f"{size:,} bytes are needed")
        if error.errno == errno.ENOSPC:
            disk = os.statvfs(path.parent)
            told.append(f"{disk.f_bavail * disk.f_frsize:,} bytes are free")
        raise WriteError(f"{path} cannot be written: {', '.join(told)}", error.errno) from error


@contextmanager
def replacing(path: Path, size: int | None = None) -> Iterator[Path]:
    """Yield a temporary path in the same directory, which replaces `path` if the block succeeds.

    The old file stays whole until the new one is on the disk, even if the process is killed.

    Args:
        size: its size in bytes, if known.

    Raises:
        WriteError: the file cannot be written.
    """
    # Not the process id, which another machine may use, too.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with writing(path, size):
        try:
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # the first error matters, not this one
                temporary.unlink(missing_ok=True)
        flush(path.parent)


def flush(path: Path) -> None:
    """Wait until the file or directory is on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def remove_temporaries(directory: Path) -> None:
    """Remove the temporary files of killed processes below `directory`, where no other process may write now."""
    for path in directory.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def walk(
    directory: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder at or below `directory`, the names of its folders and of its files, all in order.

    The walk follows links, but enters no folder twice, and none whose name begins with a dot. The caller stops it below
    a folder by emptying the list of that folder's folders.

    Args:
        on_error: called with the error of a folder that cannot be read.
    """
    walked = set()
    for path, folders, files in os.walk(directory, onerror=on_error, followlinks=True):
        folder = Path(path)
        if (real := folder.resolve()) in walked:  # a link leads back
            folders.clear()
            continue
        walked.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield folder, folders, sorted(files)


def write_text(path: Path, text: str) -> None:
    """Write `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")  # file names may hold surrogates


def read_regular(path: Path, most: int | None = None) -> bytes | None:
    """Read a whole regular file; return None if it does not exist.

    Args:
        path: the file, or a link to it.
        most: the largest size in bytes; None: no limit.

    Raises:
        OSError: the path is a directory, a pipe, a device or a broken link, or the file is too large or unreadable.
    """
    try:
        content = open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            raise
        return None
    with content:
        if most is not None and os.fstat(content.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
        return content.read()


def open_to_append(path: Path, errors: str = "strict") -> TextIOWrapper:
    """Open a text file to append to it, in UTF-8 without translated line ends; create it if it does not exist.

    Raises:
        OSError: the path is a symbolic link, which may lead to somebody else's file, or no regular file, or cannot be
            written.
    """
    return open(path, "a", encoding="utf-8", errors=errors, newline="", opener=_open_no_link)


def _open_no_link(path: str, flags: int) -> int:
    try:
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, "it is a symbolic link", path) from error
    _check_regular(file, path)
    return file


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read its bytes.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: the path is a directory, a pipe or the like, or cannot be read.
    """
    return open(path, "rb", opener=_open_at_once)


def _open_at_once(path: str, flags: int) -> int:
    file = os.open(path, flags | os.O_NONBLOCK)  # opening a pipe without a writer would block
    _check_regular(file, path)
    return file


def _check_regular(file: int, path: Path | str) -> None:
    mode = os.fstat(file).st_mode
    if not stat.S_ISREG(mode):
        os.close(file)
        kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise OSError(errno.EINVAL, f"it is {kind}", str(path))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_rows(path: Path, *, tell: bool = True) -> list[dict[str, str]]:
    """Read a growing CSV file, such as metrics.csv: a dict for each row, and no rows if there is no file.

    An incomplete last row is dropped. So is a row with fewer or more cells than the header, or with zero bytes, as a
    full disk or a power cut leaves them; one line says how many rows are dropped.

    Args:
        tell: whether to print this line.

    Raises:
        OSError, ValueError, csv.Error: the file cannot be read, or is no such table.
    """
    text = (read_regular(path) or b"").decode("utf-8-sig")  # a spreadsheet puts a byte-order mark before the header
    reader = csv.DictReader(StringIO(text[: text.rfind("\n") + 1]))
    if "\0" in "".join(reader.fieldnames or ()):
        raise csv.Error("the header has zeros in it")
    rows = list(reader)
    fitting = [row for row in rows if None not in (*row, *row.values()) and "\0" not in "".join(row.values())]
    if len(fitting) < len(rows) and tell and path not in _told:
        _told.add(path)
        count = len(rows) - len(fitting)
        says = "1 row that does not fit is" if count == 1 else f"{count} rows that do not fit are"
        line = f"warning: {path}: {says} left out"
        log.warning(line)
        print(line, file=sys.stderr)
    return fitting


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return the text of a CSV file with these rows."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
