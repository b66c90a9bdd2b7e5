"""Read and write the files of checkpoints: their bytes, and the digest beside each.

Nothing else in the package calls torch.save or torch.load on a checkpoint, or knows of the digest. torch is imported
only to do so: whether a file is whole can be told without it.
"""

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from lightning_dl2.common.files import flush, open_regular, read_regular, replacing, write_text

ATTEMPTS, PAUSE = 100, 0.01  # to open a file that a run replaces all the time, and seconds between two of them
ABSENCES = 5  # attempts that find neither the file nor one that is about to take its place: the file does not exist


def sidecar(path: Path) -> Path:
    """Return the path of the digest of `path`."""
    return path.with_name(f"{path.name}.sha256")


def is_whole(path: Path) -> bool:
    """Tell whether a checkpoint exists and agrees with the digest beside it; without one, with its own checksums."""
    try:
        with open_whole(path):
            return True
    except OSError:
        return False


@contextmanager
def open_whole(path: Path) -> Iterator[BufferedReader]:
    """Open a checkpoint that is whole; the block reads what was verified, even if a run replaces the file.

    Raises:
        FileNotFoundError: the file does not exist.
        OSError: it is damaged, or no regular file.
    """
    absences = 0
    for _ in range(ATTEMPTS):
        try:
            content = open_regular(path)
        except FileNotFoundError:
            # Between two renames of a run that saves: the new file still has another name.
            if any(path.parent.glob(f".{path.name}.*.tmp")):
                time.sleep(PAUSE)
            elif (absences := absences + 1) == ABSENCES:  # at one of them, the rename may have come between the looks
                raise
            continue
        with content:
            whole = _is_whole(content, path)
            # The digest that was read is this file's only if the file still has that name.
            if whole or _is_at(content, path):
                if not whole:
                    break
                content.seek(0)
                yield content
                return
    if not os.path.lexists(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    raise OSError(errno.EIO, "it is damaged: it differs from the digest beside it", str(path))


def load(content: BufferedReader) -> dict[str, Any]:
    """Load an open checkpoint onto the CPU, as data: code in it does not run.

    Raises:
        Exception: it is none; torch raises whatever its parts do.
    """
    import torch

    return torch.load(content, map_location="cpu", weights_only=True)


def read(path: Path) -> dict[str, Any]:
    """Verify a checkpoint and load it; raises as `open_whole` and `load`."""
    with open_whole(path) as content:
        return load(content)


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
    except Exception:  # zipfile raises many kinds of errors for a damaged file
        return False


def _is_at(content: BufferedReader, path: Path) -> bool:
    """Tell whether the open file is still the one at the path."""
    try:
        return os.path.samestat(os.fstat(content.fileno()), os.stat(path))
    except OSError:
        return False


def serialize(checkpoint: dict[str, Any]) -> memoryview:
    """Return the bytes of a checkpoint's file: torch's own writer does not report that a disk is full."""
    import torch

    content = BytesIO()
    torch.save(checkpoint, content)
    return content.getbuffer()


def write(path: Path, content: bytes | memoryview, previous: Path | None = None) -> None:
    """Write a checkpoint atomically, with its digest beside it.

    Whenever the process is killed, `path` or `previous` is whole, and neither is taken for damaged: a digest is
    removed before its file changes, and a file without one counts as unverified.

    Args:
        content: of `serialize`.
        previous: where the former content of `path` is kept; None: nowhere.

    Raises:
        WriteError: the disk does not take it; `path` keeps its former content.
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


def copy(source: Path, target: Path) -> None:
    """Write a checkpoint once more, to `target`; raises as `open_whole` and `write`."""
    with open_whole(source) as content:
        write(target, content.read())
