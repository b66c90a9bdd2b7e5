"""Download files with a fixed address and digest into a cache directory."""

import os
import stat
from hashlib import sha1
from http.client import HTTPException
from pathlib import Path
from tempfile import gettempdir
from urllib.request import urlopen

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import file_digest, replacing
from lightning_dl2.common.progress import progress

TIMEOUT = 10  # seconds without an answer
READ, WRITE = os.R_OK | os.X_OK, os.W_OK | os.X_OK  # of a directory


def download_file(url: str, expected: str, path: Path, name: str, otherwise: str) -> None:
    """Download `url` to `path` unless the file is there and whole.

    Args:
        url: the file's address.
        expected: the SHA-256 of its content; or git's hash of it, a SHA-1 (40 digits), where only that is known.
        path: its place, in an existing directory.
        name: data.name, for messages; like `otherwise`, another way to get the file.

    Raises:
        UserError: the file cannot be downloaded, or the downloaded content has another hash.
    """
    kind, digest = ("git hash", _git_digest) if len(expected) == 40 else ("SHA-256", file_digest)
    if path.is_file() and digest(path) == expected:
        return
    by_hand = f"fix: put the file there by hand as {path}, or {otherwise}"
    try:
        with replacing(path) as temporary:
            _fetch(url, temporary, name)
            if (found := digest(temporary)) != expected:
                raise UserError(f"data.name={name}: {url} has the {kind} {found} instead of {expected}; {by_hand}")
    except (OSError, HTTPException) as error:
        raise UserError(f"data.name={name}: {url} cannot be downloaded ({error}); {by_hand}") from error


def _git_digest(path: Path) -> str:
    """Compute the hash that `git hash-object` prints."""
    content = path.read_bytes()
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _fetch(url: str, path: Path, name: str) -> None:
    with urlopen(url, timeout=TIMEOUT) as answer, open(path, "wb") as file:
        size = answer.headers.get("Content-Length")
        with progress(f"downloading {name}", int(size) if size else None) as advance:
            while chunk := answer.read(1 << 16):
                file.write(chunk)
                advance(len(chunk))


def cache_dir(given: str | None) -> Path:
    """Return the directory for downloads and token files; create it if missing.

    It is `given`, else lightning_dl2 in the user's cache directory, else, if that cannot be written, a directory of the
    user's own among the temporary files.

    Raises:
        UserError: `given` can neither be written nor read as a directory.
    """
    if given is not None:
        # A shared cache that can only be read may hold all files already.
        path = _usable(given, WRITE) or _usable(given, READ)
        if path is None:
            raise UserError(f"data.cache_dir={given}: cannot be written; allowed: a directory that can, or null")
        return path
    usual = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "lightning_dl2")
    temporary = os.path.join(gettempdir(), f"lightning_dl2_{os.getuid()}")
    path = _usable(usual, WRITE) or _usable(temporary, WRITE)
    if path is None:
        raise UserError(f"data.cache_dir=null: neither {usual} nor {temporary} can be written; allowed: a directory")
    if str(path) == temporary and not _is_private(path):
        raise UserError(
            f"data.cache_dir=null: {usual} cannot be written, and others can write to {temporary}, so that its content"
            " may be theirs; fix: set data.cache_dir=DIR"
        )
    return path


def _is_private(directory: Path) -> bool:
    """Tell whether only this user can have written into a directory below the temporary one."""
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _usable(directory: str, mode: int) -> Path | None:
    try:
        path = Path(directory).expanduser()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    return path if os.access(path, mode) else None
