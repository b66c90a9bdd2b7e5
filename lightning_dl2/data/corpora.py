"""Texts that have a name: where they come from, and how to know that they are whole.

The books are those of the course "Deep Learning" of the University of Amsterdam, assignment 2, 2018 to 2020.
"""

import os
import platform
import stat
from hashlib import sha1
from http.client import HTTPException
from pathlib import Path
from tempfile import gettempdir
from typing import NamedTuple
from urllib.parse import quote
from urllib.request import urlopen

from lightning_dl2.cli import UserError
from lightning_dl2.data.progress import progress
from lightning_dl2.files import file_digest, replacing, write_text

TIMEOUT = 10  # seconds without an answer
READ, WRITE = os.R_OK | os.X_OK, os.W_OK | os.X_OK  # in a directory


class Corpus(NamedTuple):
    """A file that anybody can fetch. The address holds a commit's hash, so that its content cannot change."""

    url: str
    sha256: str


def _course(file: str) -> str:
    commit = "2023a19bd45101086cb8fccb67e1095a296d1dc1"
    path = quote(f"assignment_2/2_recurrentnns_gnns/code/Part 2/assets/{file}")
    return f"https://raw.githubusercontent.com/uvadlc/uvadlc_practicals_2020/{commit}/{path}"


CORPORA: dict[str, Corpus | None] = {
    "python_docs": None,  # comes with Python
    "tiny_shakespeare": Corpus(
        "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
        "/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "grimms_fairy_tales": Corpus(
        _course("book_EN_grimms_fairy_tails.txt"), "e6439bd511820742e842e21b75e89b394d3809eec82ca56b506c39ff39d4a7d6"
    ),
    "democracy_in_america": Corpus(
        _course("book_EN_democracy_in_the_US.txt"), "1ba23c5acbb00b0ffbfe48be30273f5b965eaedca5e8dfce55253e6bb24f2ca5"
    ),
    "darwin_dutch": Corpus(
        _course("book_NL_darwin_reis_om_de_wereld.txt"),
        "389b114334f9e34bea0b01d43dbe6892d44d7c9430c79a6517c74f0658370535",
    ),
    "anna_karenina_dutch": Corpus(
        _course("book_NL_tolstoy_anna_karenina.txt"), "e8516bf15a6636966224617543fa22a129b35655f66fdfe8af224a9802e8e633"
    ),
    "calculus_made_easy": Corpus(
        _course("book_TeX_calculus_made_easy.tex"), "ceca75298f640dfda6e9d632c7f7b1d71d04bc3e619140b8ea1bc76991d57352"
    ),
}


def download(name: str, cache: Path) -> Path:
    """The file of the text `name`, one of CORPORA, in the directory `cache`; fetched unless it is there and whole.

    Raises:
        UserError: the file cannot be fetched, or what was fetched is another one.
    """
    corpus = CORPORA[name]
    if corpus is None:
        return _python_docs(cache)
    path = cache / f"{name}.txt"
    download_file(corpus.url, corpus.sha256, path, name, "data.path=FILE")
    return path


def download_file(url: str, expected: str, path: Path, name: str, otherwise: str) -> None:
    """Fetches `url` as `path` unless it is there and whole.

    Args:
        url: the file's address.
        expected: the SHA-256 of its content, or git's name for it, a SHA-1 (40 digits), where that alone is known.
        path: where it belongs; the directory is there.
        name: data.name, for messages; so is `otherwise`, what can be done instead.

    Raises:
        UserError: the file cannot be fetched, or what was fetched is another one.
    """
    kind, digest = ("git hash", _git_digest) if len(expected) == 40 else ("SHA-256", file_digest)
    if path.is_file() and digest(path) == expected:
        return
    by_hand = f"allowed: put the file there by hand as {path}, or {otherwise}"
    try:
        with replacing(path) as temporary:
            _fetch(url, temporary, name)
            found = digest(temporary)
            if found != expected:
                raise UserError(f"data.name={name}: {url} has the {kind} {found} instead of {expected}; {by_hand}")
    except (OSError, HTTPException) as error:
        raise UserError(f"data.name={name}: {url} cannot be downloaded ({error}); {by_hand}") from error


def _git_digest(path: Path) -> str:
    """What `git hash-object` says."""
    content = path.read_bytes()
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _fetch(url: str, path: Path, name: str) -> None:
    with urlopen(url, timeout=TIMEOUT) as answer, open(path, "wb") as file:
        size = answer.headers.get("Content-Length")
        with progress(f"downloading {name}", int(size) if size else None) as advance:
            while chunk := answer.read(1 << 16):
                file.write(chunk)
                advance(len(chunk))


def _python_docs(cache: Path) -> Path:
    """The texts of Python's help() on its language. They differ a little between Python's versions."""
    from pydoc_data.topics import topics

    path = cache / f"python_docs_{platform.python_version()}.txt"
    text = "\n\n".join(topics[topic].strip("\n") for topic in sorted(topics)) + "\n"
    try:
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text(path, text)
    except OSError as error:
        raise UserError(
            f"data.cache_dir={cache}: {path.name} cannot be written there: {error.strerror or error}"
        ) from error
    return path


def cache_dir(given: str | None) -> Path:
    """The directory for downloads and token files; made if it is not there.

    `given`, else lightning_dl2 in the user's cache directory, else, where that cannot be written, a directory of the
    user's own among the temporary files.

    Raises:
        UserError: `given` cannot be written, and is no directory that may hold all already.
    """
    if given is not None:
        # One that can only be read may hold all already, as a cache that others share.
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
            " may be theirs; fix: data.cache_dir=DIR"
        )
    return path


def _is_private(directory: Path) -> bool:
    """Tell whether only this user can have written into a directory below the temporary one, where all may write."""
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _usable(directory: str, mode: int) -> Path | None:
    try:
        path = Path(directory).expanduser()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    return path if os.access(path, mode) else None
