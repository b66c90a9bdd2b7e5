"""Files that are whole or not there: written beside their place, flushed to the disk, moved into it."""

import csv
import errno
import logging
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BufferedReader, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
# What a path answers whose directory, or rights, somebody has taken away, or put something else in the place of.
PATH_ERRORS = (
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ESTALE,
)  # fmt: skip

_told: set[Path] = set()  # the tables whose rows that do not fit were told


class WriteError(OSError):
    """A disk does not take a file. The message says which, why, and how many bytes there are.

    Args:
        message: the line for the user.
        number: the errno of what the disk answered.
    """

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.errno = number

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.errno)


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """Names the file in what a disk answers within the block: by itself, a failed write does not.

    Args:
        path: what is written.
        size: its bytes, where they are known.

    Raises:
        WriteError: the disk is full, over its quota, read-only or broken, or the path may not or cannot be written.
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
    """Yields a temporary path in the same directory, which takes the place of `path` if the block succeeds.

    The old file stays whole until the new one is on the disk, whenever the process is killed.

    Args:
        path: the file.
        size: its bytes, where they are known.

    Raises:
        WriteError: the disk does not take it.
    """
    # Not the process's number, which another machine may have given, too.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with writing(path, size):
        try:
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # that what failed is told, and not that it cannot be cleared away
                temporary.unlink(missing_ok=True)
        flush(path.parent)


def flush(path: Path) -> None:
    """Returns when the file or directory is on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def remove_temporaries(directory: Path) -> None:
    """Removes what killed processes have left half-written; for who alone writes below `directory`."""
    for path in directory.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def walk(
    directory: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yields each folder at or below `directory`, the names of its folders and of its files, all in order.

    Follows links, but enters no folder twice, and none whose name begins with a dot. Nothing below a folder is walked
    when the list of its folders is emptied.

    Args:
        on_error: is told what cannot be read.
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


def what_is_there(path: Path) -> str:
    """Say what stands at a path that is no ordinary file, for a message."""
    if not path.exists():
        return "there is no such file"
    kinds = {"a directory": path.is_dir, "a FIFO": path.is_fifo, "a socket": path.is_socket}
    return "is " + next((name for name, is_one in kinds.items() if is_one()), "a device")


def write_text(path: Path, text: str) -> None:
    """Writes `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")  # as the names of files come


def write_out(path: Path, text: str) -> None:
    """Writes what a user has asked for, where it was asked for: through a link, into a pipe or a device.

    Raises:
        OSError, ValueError: it cannot be written.
    """
    if path.exists() and not path.is_file():  # a new file in its place would be the end of /dev/null
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    else:
        write_text(path.resolve(), text)


def read_regular(path: Path, most: int | None = None) -> bytes | None:
    """Read a regular file as a whole; return None where there is none.

    Args:
        path: the file, or a link to it.
        most: bytes that it may have; None: any number.

    Raises:
        OSError: the path is a directory, a pipe, a device, a link to nothing or a loop of links, or may not be read.
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
    """Open a text file of ours to append to it, UTF-8 and with line ends as they are written; make it if need be.

    Raises:
        OSError: the path is a symbolic link, which may lead to a file of somebody else, is no regular file, or cannot
            be written.
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
        FileNotFoundError: there is none.
        OSError: the path is a directory, a pipe or the like, or may not be read.
    """
    return open(path, "rb", opener=_open_at_once)


def _open_at_once(path: str, flags: int) -> int:
    file = os.open(path, flags | os.O_NONBLOCK)  # a pipe that nobody writes into would be waited for
    _check_regular(file, path)
    return file


def _check_regular(file: int, path: Path | str) -> None:
    mode = os.fstat(file).st_mode
    if not stat.S_ISREG(mode):
        os.close(file)
        kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise OSError(errno.EINVAL, f"it is {kind}", str(path))


def file_digest(path: Path) -> str:
    """SHA-256 of the file's content."""
    digest = sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def read_rows(path: Path, *, tell: bool = True) -> list[dict[str, str]]:
    """Read a CSV file that grows, such as metrics.csv: a dict for each row; no rows where there is no file.

    A last row that was cut short is dropped. So is a row that has not as many cells as the header, or has zeros in it,
    as a full disk or a power cut may leave it; one line says how many were.

    Args:
        path: the file.
        tell: whether to print this line.

    Raises:
        OSError, ValueError, csv.Error: the file cannot be read, or is no such table.
    """
    text = (read_regular(path) or b"").decode("utf-8-sig")  # a spreadsheet puts a byte-order mark before the header
    reader = csv.DictReader(StringIO(text[: text.rfind("\n") + 1]))
    if "\0" in "".join(reader.fieldnames or ()):
        raise csv.Error("the header has zeros in it")
    rows = list(reader)
    fitting = [row for row in rows if None not in row and None not in row.values() and not _has_zeros(row)]
    if len(fitting) < len(rows) and tell and path not in _told:
        _told.add(path)
        count = len(rows) - len(fitting)
        says = "1 row that does not fit is" if count == 1 else f"{count} rows that do not fit are"
        line = f"warning: {path}: {says} left out"
        log.warning(line)
        print(line, file=sys.stderr)
    return fitting


def _has_zeros(row: dict[str, str]) -> bool:
    return any("\0" in value for value in row.values())


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as lines of a CSV file."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
