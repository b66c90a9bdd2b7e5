"""Find the text files that `data.path` names, in a defined order, and compute the digest of their content.

A sweep's plan and a complete run check their texts, too. So nothing here imports torch.
"""

import glob
import gzip
import json
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import IO, NamedTuple

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import walk
from lightning_dl2.common.paths import describe_path, user_path
from lightning_dl2.common.progress import progress

CHUNK = 1 << 20  # bytes read at once
SUFFIXES = (".txt", ".text", ".md", ".rst", ".tex", ".tokens", ".raw")  # of the texts in a directory; also with .gz
ALLOWED = "a text file, a .gz of one, a directory of texts, a pattern such as 'DIR/*.txt', or a list of these"
MAGIC = re.compile(r"[*?[]")  # a path with one of these characters may be a pattern
# Words in the name of a file or folder that say which split it is, in the order of the splits.
WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SPLITS = tuple(dict.fromkeys(WORDS.values()))
SHOWN = 3  # names of files in a note

# Reasons to leave a file out.
EMPTY, BINARY, HIDDEN, SUFFIX = "empty", "binary", "hidden", "with another suffix"
NO_FILE, NO_SPLIT = "no regular file", "without train, val or test in the name"


class TextFile(NamedTuple):
    """A file of a text."""

    path: Path
    name: str  # for notes: its path within the directory or pattern that found it
    is_named: bool  # by itself: one that was only found is skipped, and told, if it is empty or binary
    stamp: tuple[int, int]  # its size and the time of its last change
    split: str | None = None  # one of SPLITS with data.splits=files
    digest: str = ""  # SHA-256 of its content


@dataclass(frozen=True)
class Texts:
    """The files of a text in the order in which they are read.

    Attributes:
        given: `data.path` for messages.
        skipped: the files that are not read, each as (reason, name).
    """

    given: str
    files: tuple[TextFile, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the only file's content; of several, that of their digests in order, and splits."""
        digests = [file.digest for file in self.files]
        if len(digests) == 1:
            return digests[0]
        splits = [file.split for file in self.files]
        return sha256(json.dumps([digests, splits] if any(splits) else digests).encode()).hexdigest()

    @property
    def repeated(self) -> list[str]:
        """Name the files whose content is that of an earlier one."""
        first = {file.digest: file for file in reversed(self.files)}
        return [file.name for file in self.files if first[file.digest] is not file]

    def without(self, reason: str, left_out: Sequence[TextFile]) -> "Texts":
        """Return the texts with some of the found files among the skipped ones.

        Raises:
            UserError: one of them was named by itself, or no file is left.
        """
        for file in left_out:
            if file.is_named:
                raise UserError(f"data.path={file.path}: is {reason}; allowed: a text file with something in it")
        skipped = (*self.skipped, *((reason, file.name) for file in left_out))
        return _not_none(replace(self, files=tuple(f for f in self.files if f not in left_out), skipped=skipped))


def as_list(path: str | Sequence[str]) -> list[str]:
    """Return the items of `data.path`."""
    return [path] if isinstance(path, str) else list(path)


def first_match(item: str) -> str:
    """Return the first match of a pattern; the item itself if it is none, or nothing matches."""
    if not MAGIC.search(item) or os.path.lexists(item):
        return item
    return next(glob.iglob(str(user_path("data.path", item)), recursive=True), item)


def find_texts(path: str | Sequence[str], splits: str = "position") -> Texts:
    """Find the files of a text; their content is not read.

    A directory gives its files with one of SUFFIXES, at any depth, except hidden ones. A pattern gives every file that
    it matches. Both are sorted by path, and numbers in names by value: `2.txt` before `10.txt`, in every locale. A list
    keeps its order.

    Args:
        path: a file, a directory, a pattern of `glob`, or a list of these.
        splits: "position", or "files": each file belongs to the split that its name, or that of a folder, says.

    Raises:
        UserError: there is no such file, or it cannot be read or holds no text; a file comes twice; or a split has no
            file.
    """
    items = as_list(path)
    shown = items if len(items) <= SHOWN else [items[0], "...", items[-1]]
    given = items[0] if len(items) == 1 else f"[{','.join(shown)}]"
    files: list[TextFile] = []
    skipped: list[tuple[str, str]] = []
    for item in items:
        found, left = _find(item, with_folder=len(items) > 1)
        files += found
        skipped += left
    seen: dict[tuple[int, int], TextFile] = {}
    for file in files:
        status = file.path.stat()
        first = seen.setdefault((status.st_dev, status.st_ino), file)
        if first is not file:
            same = f", as {first.path} too" if first.path != file.path else ""
            raise UserError(f"data.path={given}: names {file.path} twice{same}; fix: name each file once")
    texts = _not_none(Texts(given, tuple(files), tuple(skipped)))
    return texts if splits == "position" else _assign_splits(texts)


def _find(item: str, *, with_folder: bool) -> tuple[list[TextFile], list[tuple[str, str]]]:
    """Return the files of a path in their order, and the skipped ones as (reason, name).

    Args:
        with_folder: begin their names with the folder's, which may say the split, as in [texts/train,texts/test,...].
    """
    path, skipped = user_path("data.path", item), list[tuple[str, str]]()
    try:
        if path.is_dir():
            names, base = sorted(_names_in(path, skipped), key=_natural), path
        elif path.exists() or not MAGIC.search(item):
            return [_text_file(path, path.name, is_named=True)], skipped
        else:
            names, base = _match(path, skipped)
        folder = Path(base.name if with_folder else "")
        files = [_text_file(base / name, str(folder / name), is_named=False) for name in names]
        return files, [(reason, str(folder / name) + "/" * name.endswith("/")) for reason, name in skipped]
    except OSError as error:
        raise UserError(
            f"data.path={error.filename or item}: cannot be read ({error.strerror}); allowed: {ALLOWED}"
        ) from error


def _names_in(directory: Path, skipped: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the names of the text files at any depth of a directory; add the others to `skipped`."""

    def fail(error: OSError) -> None:
        raise error

    for folder, _, files in walk(directory, fail):
        hidden = [f"{entry.name}/" for entry in os.scandir(folder) if entry.name.startswith(".") and entry.is_dir()]
        for name in sorted([*files, *hidden]):
            shown = str((folder / name).relative_to(directory)) + "/" * name.endswith("/")
            stem = name.lower().removesuffix(".gz")
            if name.startswith("."):
                skipped.append((HIDDEN, shown))
            elif not stem.endswith(SUFFIXES):
                skipped.append((SUFFIX, shown))
            elif not stat.S_ISREG((folder / name).stat().st_mode):
                skipped.append((NO_FILE, shown))
            else:
                yield shown


def _match(pattern: Path, skipped: list[tuple[str, str]]) -> tuple[list[str], Path]:
    """Return the files that a pattern matches, by their names below the part of it that is no pattern."""
    fixed = [*pattern.parts]
    del fixed[next(number for number, part in enumerate(fixed) if MAGIC.search(part)) :]
    base = Path(*fixed)
    matches = [Path(match) for match in glob.glob(str(pattern), recursive=True)]
    if not matches:
        raise UserError(f"data.path={pattern}: no file matches; allowed: {ALLOWED}")
    names = sorted((str(match.relative_to(base)) for match in matches if match.is_file()), key=_natural)
    others = [str(match.relative_to(base)) for match in matches if not match.is_file()]
    if "**" not in pattern.parts:  # which matches every folder
        skipped += [(NO_FILE, name) for name in sorted(others, key=_natural)]
    return names, base


def _natural(name: str) -> tuple[list[list[str | int]], str]:
    """Return the key that sorts paths part by part, and numbers in them by value."""
    parts = [re.split("([0-9]+)", part) for part in Path(name).parts]
    return [[int(word) if at % 2 else word for at, word in enumerate(words)] for words in parts], name


def _text_file(path: Path, name: str, *, is_named: bool) -> TextFile:
    if not path.is_file():
        raise UserError(f"data.path={path}: {describe_path(path)}; allowed: {ALLOWED}")
    return TextFile(path, name, is_named, stamp_of(path))


def stamp_of(path: Path) -> tuple[int, int]:
    """Return the size of a file and the time of its last change: with other content, one of them differs."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _not_none(texts: Texts) -> Texts:
    if texts.files:
        return texts
    has = f"its files are {describe_skipped(texts.skipped)}" if texts.skipped else "is empty"
    raise UserError(f"data.path={texts.given}: holds no text, {has}; allowed: files *{', *'.join(SUFFIXES)}, or .gz")


def describe_skipped(skipped: Iterable[tuple[str, str]]) -> str:
    """List files by the reason to skip them, such as `2 hidden (.a, .b), 1 empty (c.txt)`."""
    groups = groupby(sorted(skipped, key=lambda one: one[0]), key=lambda one: one[0])
    return ", ".join(count_names([name for _, name in group], f" {reason}") for reason, group in groups)


def count_names(names: Sequence[str], what: str) -> str:
    """Count files and name the first ones."""
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names):,}{what} ({', '.join(names[:SHOWN])}{more})"


def _assign_splits(texts: Texts) -> Texts:
    files, skipped = list[TextFile](), list(texts.skipped)
    for file in texts.files:
        split = _split_of(file)
        if split is not None:
            files.append(file._replace(split=split))
        elif file.is_named:
            raise UserError(f"data.splits=files: {file.path} is {NO_SPLIT}; fix: rename it, or data.splits=position")
        else:
            skipped.append((NO_SPLIT, file.name))
    if missing := [split for split in SPLITS if split not in {file.split for file in files}]:
        words = [word for word, split in WORDS.items() if split == missing[0]]
        raise UserError(
            f"data.splits=files: no file of data.path={texts.given} has {' or '.join(words)} as a word of its name;"
            " fix: rename the files, or use data.splits=position"
        )
    order = {split: number for number, split in enumerate(SPLITS)}
    return replace(texts, files=tuple(sorted(files, key=lambda file: order[str(file.split)])), skipped=tuple(skipped))


def _split_of(file: TextFile) -> str | None:
    """Return the split that the outermost folder with such a word says, else the name of the file."""
    for part in Path(file.name).parts:
        found = {WORDS[word] for word in re.findall("[a-z]+", part.lower()) if word in WORDS}
        if len(found) > 1:
            raise UserError(
                f"data.splits=files: {file.path} has the words of several splits in its name; fix: rename it, or"
                " use data.splits=position"
            )
        if found:
            return found.pop()
    return None


def open_content(path: Path) -> IO[bytes]:
    """Open a file to read its bytes; those of a .gz are decompressed."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb")  # type: ignore[return-value]


def bytes_read(file: IO[bytes]) -> int:
    """Return how many bytes of the file on the disk have been read."""
    return getattr(file, "fileobj", file).tell()


def read_digests(texts: Texts) -> Texts:
    """Read all files once; return the texts with their digests and without empty files that were only found.

    Raises:
        UserError: a file cannot be read, is a damaged .gz, or was named and is empty; or all are empty.
    """
    files, empty, done = list[TextFile](), list[TextFile](), 0
    with progress(f"reading {Path(texts.given).name}", sum(file.stamp[0] for file in texts.files)) as advance:
        for file in texts.files:
            digest, size = sha256(), 0
            try:
                with open_content(file.path) as content:
                    while chunk := content.read(CHUNK):
                        digest.update(chunk)
                        size += len(chunk)
                        before, done = done, bytes_read(content)
                        advance(done - before)
                    done = 0
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise UserError(
                    f"data.path={file.path}: is no whole .gz file ({error}); fix: compress or download it anew"
                ) from error
            except OSError as error:
                raise UserError(
                    f"data.path={file.path}: cannot be read ({error.strerror}); allowed: {ALLOWED}"
                ) from error
            (files if size else empty).append(file._replace(digest=digest.hexdigest()))
    return replace(texts, files=tuple([*files, *empty])).without(EMPTY, empty)


@cache  # a sweep asks for many runs on one text; `texts` has the sizes and times of its files
def quick_digest(texts: Texts) -> str:
    """Return the digest of texts, which are read once while they do not change."""
    return read_digests(texts).digest
