"""Write checkpoints with a digest beside them, and open only those that are whole."""

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BufferedReader
from pathlib import Path
from zipfile import ZipFile

from lightning_dl2.common.files import flush, open_regular, read_regular, replacing, write_text

LOOKS, LOOK_AGAIN = 100, 0.01  # tries, and seconds between them, to open a file that is replaced all the time
MISSES = 5  # tries that find neither a file nor one that is to take its place, until there counts as being none


def sidecar(path: Path) -> Path:
    """Where the digest of `path` is kept."""
    return path.with_name(f"{path.name}.sha256")


def is_whole(path: Path) -> bool:
    """False for a checkpoint that is absent or differs from the digest beside it; without one, from its own sums."""
    try:
        with open_whole(path):
            return True
    except OSError:
        return False


@contextmanager
def open_whole(path: Path) -> Iterator[BufferedReader]:
    """Open a checkpoint that is whole; what the block reads is what was verified, even if a run replaces the file.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is damaged, or no regular file.
    """
    misses = 0
    for _ in range(LOOKS):
        try:
            content = open_regular(path)
        except FileNotFoundError:
            # Between two renames of a run that saves: its new file is there under another name.
            if any(path.parent.glob(f".{path.name}.*.tmp")):
                time.sleep(LOOK_AGAIN)
            elif (misses := misses + 1) == MISSES:  # once, the new file may have come between the two looks
                raise
            continue
        with content:
            whole = _is_whole(content, path)
            # The digest that was read is this file's only if the file is still the one of that name.
            if whole or _is_at(content, path):
                if not whole:
                    break
                content.seek(0)
                yield content
                return
    if not os.path.lexists(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    raise OSError(errno.EIO, "it is damaged: it differs from the digest beside it", str(path))


def _is_whole(content: BufferedReader, path: Path) -> bool:
    found = hashlib.file_digest(content, "sha256").hexdigest().encode()
    try:
        kept = read_regular(sidecar(path))
    except OSError:  # a directory, say, which is no digest of this file
        kept = b""
    if kept is not None and (kept.strip() == found or _is_at(content, path)):
        return kept.strip() == found
    try:
        with ZipFile(content) as archive:
            return archive.testzip() is None
    except Exception:  # there is no end to what zipfile makes of a damaged file
        return False


def _is_at(content: BufferedReader, path: Path) -> bool:
    """Tell whether the open file is still the one at the path."""
    try:
        return os.path.samestat(os.fstat(content.fileno()), os.stat(path))
    except OSError:
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
    with replacing(path, len(content)) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        flush(temporary)  # before anything is moved
        if previous and path.exists():
            sidecar(previous).unlink(missing_ok=True)
            os.replace(path, previous)
            if sidecar(path).exists():
                os.replace(sidecar(path), sidecar(previous))
        sidecar(path).unlink(missing_ok=True)
    write_text(sidecar(path), f"{sha256(content).hexdigest()}\n")
