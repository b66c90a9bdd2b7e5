"""Files that are whole or not there: written beside their place, flushed to the disk, moved into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from zipfile import is_zipfile


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same directory, which takes the place of `path` if the block succeeds.

    The old file stays whole until the new one is on the disk, whenever the process is killed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_text(path: Path, text: str) -> None:
    """Writes `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text)


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
    """False for a checkpoint that is absent or differs from the digest beside it.

    Without a digest it is at least to end as torch.save ends it: a file cut short is no zip archive.
    """
    if not path.is_file():
        return False
    if not sidecar(path).is_file():
        return is_zipfile(path)
    return sidecar(path).read_text().strip() == file_digest(path)
