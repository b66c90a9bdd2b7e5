"""Files that are whole or not there: written beside their place, flushed to the disk, moved into it."""

import csv
import errno
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


class WriteError(OSError):
    """A disk does not take a file. The message says which, why, and how many bytes there are."""


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """Names the file in what a disk answers within the block: by itself, a failed write does not.

    Args:
        path: what is written.
        size: its bytes, where they are known.

    Raises:
        WriteError: the disk is full, over its quota, read-only or broken.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        told = [f"{size:,} bytes are needed"] if size else []
        if error.errno == errno.ENOSPC:
            disk = os.statvfs(path.parent)
            told.append(f"{disk.f_bavail * disk.f_frsize:,} bytes are free")
        raise WriteError(f"{path} cannot be written: {', '.join([os.strerror(error.errno), *told])}") from error


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


def sidecar(path: Path) -> Path:
    """Where the digest of `path` is kept."""
    return path.with_name(f"{path.name}.sha256")


def file_digest(path: Path) -> str:
    """SHA-256 of the file's content."""
    digest = sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def is_whole(path: Path) -> bool:
    """False for a checkpoint that is absent or differs from the digest beside it; without one, from its own sums."""
    digest = _kept_digest(path)
    while path.is_file():
        whole = _matches(path, digest)
        before, digest = digest, _kept_digest(path)
        if whole or digest == before:
            return whole
        # A run that saves has replaced the one between our looks at the two: look again.
    return False


def _kept_digest(path: Path) -> bytes | None:
    try:
        return sidecar(path).read_bytes().strip()
    except OSError:
        return None


def _matches(path: Path, digest: bytes | None) -> bool:
    try:
        if digest is not None:
            return digest == file_digest(path).encode()
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # there is no end to what zipfile makes of a damaged file
        return False


def write_verified(path: Path, content: bytes | memoryview, previous: Path | None = None) -> None:
    """Writes a checkpoint atomically, with its digest beside it.

    Whenever the process is killed, `path` or `previous` is whole, and neither is taken for damaged: a digest is
    removed before its file changes, and a file without one counts as unverified.

    Args:
        path: the file.
        content: what torch.save has made.
        previous: where what stood at `path` is kept; None: nowhere.

    Raises:
        WriteError: the disk does not take it; what stood at `path` stands there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, len(content)) as temporary:
        temporary.write_bytes(content)
        flush(temporary)  # before anything is moved
        if previous and path.exists():
            sidecar(previous).unlink(missing_ok=True)
            os.replace(path, previous)
            if sidecar(path).exists():
                os.replace(sidecar(path), sidecar(previous))
        sidecar(path).unlink(missing_ok=True)
    write_text(sidecar(path), f"{sha256(content).hexdigest()}\n")


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file that grows, such as metrics.csv; not a last one that was cut short. No file: no rows."""
    if not path.exists():
        return []
    text = path.read_text("utf-8")
    return list(csv.DictReader(StringIO(text[: text.rfind("\n") + 1])))


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as lines of a CSV file."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
