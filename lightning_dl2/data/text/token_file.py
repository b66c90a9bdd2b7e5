"""Tokenise texts of any size into a file of integers, written once and mapped into memory.

Shapes: N tokens.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dl2.builtin.text_files import (
    BINARY,
    EMPTY,
    TextFile,
    Texts,
    bytes_read,
    open_content,
    read_digests,
    stamp_of,
)
from lightning_dl2.common.dotted import is_dotted, source_file
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import file_digest, replacing, write_text
from lightning_dl2.common.progress import progress
from lightning_dl2.data.text.encodings import CHUNK, NoText, check_not_compressed, detect_encoding, read_characters
from lightning_dl2.decoding.vocabulary import Vocabulary
from lightning_dl2.nets.own_vocabulary import build_vocabulary, find_vocabulary, fit_vocabulary

CODE_POINTS = 0x110000
LINE_END = ord("\n")
SHOWN = 40  # characters of a line in an error
FORMAT = 4  # part of the files' names: with another number, files of older versions are written anew
ABANDONED = 3600.0  # seconds after which a temporary file that did not grow is a killed process's


@dataclass(frozen=True)
class TokenFile:
    """Tokens of a text, and how its files were read.

    Attributes:
        tokens: uint8, uint16 or uint32 [N].
        digest: SHA-256 of the text, see `Texts.digest`.
        texts: the files that were read, in order, and the skipped ones.
        encodings: of each file; None for bytes.
        sizes: number of tokens of each file, with the line end that may be added after it.
    """

    tokens: np.memmap
    vocabulary: Vocabulary
    digest: str
    texts: Texts
    encodings: tuple[str | None, ...]
    sizes: tuple[int, ...]

    @property
    def encoding(self) -> str | None:
        """Return the encoding of the files; several in order of their names, with commas; None for bytes."""
        return ",".join(sorted({each for each in self.encodings if each})) or None


@dataclass
class _Facts:
    """Hold how each file was read. The size of a file without text is 0; its encoding is None if it is binary."""

    vocabulary: Vocabulary
    encodings: list[str | None]
    sizes: list[int]


def tokenize(texts: Texts, tokens: str, encoding: str, cache: Path) -> TokenFile:
    """Return the tokens of a text from the directory `cache`; write them there if missing.

    The files follow one another. Between two files of a split, characters get a \\n where the first ends without one;
    bytes get nothing.

    Args:
        texts: the files; the tokens are cached by their content.
        tokens: "characters", decoded and with every line's end as \\n; "bytes" as they are; or the dotted path of a
            vocabulary of the user's own, which encodes the characters line by line.
        encoding: Python's name of the files' encoding, or "auto", by which each file has its own; ignored for bytes.
        cache: a writable directory.

    Raises:
        UserError: a file cannot be read or changes meanwhile, was named and is empty or no text, or has another
            encoding; or no file holds text.
    """
    texts = read_digests(texts)
    digest = texts.digest
    settings = [FORMAT, digest, tokens, encoding if tokens != "bytes" else "", *_source_digest(tokens)]
    target = cache / f"{sha256(json.dumps(settings).encode()).hexdigest()[:32]}.tokens"
    header = target.with_suffix(".json")
    facts = _known(header, target, len(texts.files))
    if facts is None:
        try:
            _remove_abandoned(target)
            facts = _write(texts, tokens, encoding, target)
            # The header comes last: with it, the tokens are whole. Two processes write the same files.
            write_text(header, json.dumps(_describe(facts, file_digest(target))))
        except OSError as error:
            raise UserError(
                f"data.cache_dir={cache}: the tokens of {texts.given} cannot be written ({error.strerror or error});"
                " allowed: a directory with room for them"
            ) from error
    found = np.memmap(target, _dtype(facts.vocabulary), "r")
    encodings = tuple(encoding for encoding, size in zip(facts.encodings, facts.sizes, strict=True) if size)
    return TokenFile(
        found, facts.vocabulary, digest, _read(texts, facts), encodings, tuple(size for size in facts.sizes if size)
    )


def _read(texts: Texts, facts: _Facts) -> Texts:
    """Return the texts without the files that hold no text; raise UserError if one was named, or none is left."""
    read = zip(texts.files, facts.encodings, facts.sizes, strict=True)
    rest = [(file, encoding) for file, encoding, size in read if not size]
    texts = texts.without(BINARY, [file for file, encoding in rest if encoding is None])
    return texts.without(EMPTY, [file for file, encoding in rest if encoding is not None])


def _describe(facts: _Facts, digest: str) -> dict[str, Any]:
    """Return the content of the header of a token file; that of a single file is as older versions wrote it."""
    files: dict[str, Any] = {"encoding": facts.encodings[0]}
    if len(facts.sizes) > 1:
        files = {"encodings": facts.encodings, "sizes": facts.sizes}
    return {"vocabulary": facts.vocabulary.plain, **files, "sha256": digest}


def _known(header: Path, target: Path, number: int) -> _Facts | None:
    """Read how the cached tokens of so many files were made; None if a file of the cache is missing or damaged."""
    if not (header.is_file() and target.is_file()):  # reading a pipe would wait
        return None
    try:
        known = json.loads(header.read_text("utf-8"))
        facts = _Facts(build_vocabulary(known["vocabulary"]), known.get("encodings", []), known.get("sizes", []))
        if number == 1:
            facts.encodings = [known["encoding"]]
            facts.sizes = [target.stat().st_size // _dtype(facts.vocabulary).itemsize]
        if not len(facts.encodings) == len(facts.sizes) == number:
            return None
        return facts if file_digest(target) == known["sha256"] else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _remove_abandoned(target: Path) -> None:
    """Remove what killed processes have left of the same tokens."""
    for temporary in target.parent.glob(f".{target.name}.*.tmp"):
        with suppress(OSError):  # another process may remove it, too
            if time.time() - temporary.stat().st_mtime > ABANDONED:
                temporary.unlink()


def _write(texts: Texts, tokens: str, encoding: str, target: Path) -> _Facts:
    """Write the tokens."""
    name = Path(texts.given).name
    if tokens == "bytes":
        facts, line_ends = _Facts(Vocabulary("bytes"), [None for _ in texts.files], []), [False for _ in texts.files]
    else:
        facts, line_ends = _look_for_characters(texts, encoding, f"looking for the characters of {name}")
    if is_dotted(tokens):
        with _telling(texts, f"learning the tokens of {name}") as told:
            facts.vocabulary = fit_vocabulary(tokens, _all_lines(texts, facts, line_ends, told))
    encode = _encoder(facts.vocabulary)
    sizes = []
    with (
        replacing(target) as temporary,
        open(temporary, "wb") as out,
        _telling(texts, f"making tokens of {name}") as told,
    ):
        for file, taken, line_end in zip(texts.files, facts.encodings, line_ends, strict=True):
            if tokens != "bytes" and taken is None:  # it is binary
                sizes.append(0)
                continue
            size = 0
            chunks = told(_read_bytes(file.path) if taken is None else read_characters(file.path, taken))
            for ids in encode(_with_line_end(chunks) if line_end else chunks):
                out.write(ids.data)
                size += len(ids)
            sizes.append(size)
            if stamp_of(file.path) != file.stamp:
                raise UserError(f"data.path={file.path}: has changed while it was read; fix: start again")
    facts.sizes = sizes
    return facts


def _source_digest(tokens: str) -> list[str]:
    """Return the digest of the file that defines a vocabulary of the user's own: with other code, tokens differ."""
    file = source_file(find_vocabulary(tokens)) if is_dotted(tokens) else None
    return [file_digest(file)] if file else []


def _with_line_end(chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield from chunks
    yield np.array([LINE_END], "<u4")


def _encoder(vocabulary: Vocabulary) -> Callable[[Iterator[np.ndarray]], Iterator[np.ndarray]]:
    """Return a function that turns the code points, or bytes, of a file into ids, chunk by chunk."""
    if vocabulary.tokens == "bytes":
        return lambda chunks: chunks
    if vocabulary.tokens == "characters":
        known = np.array([ord(character) for character in vocabulary.characters])
        table = np.zeros(CODE_POINTS, _dtype(vocabulary))
        table[known] = np.arange(len(known))
        return lambda chunks: (table[chunk] for chunk in chunks)
    return lambda chunks: (_encode_line(vocabulary, line) for line in _lines(chunks))


def _encode_line(vocabulary: Vocabulary, line: str) -> np.ndarray:
    try:
        return np.array(vocabulary.encode(line), _dtype(vocabulary))
    except ValueError as error:
        shown = line if len(line) <= SHOWN else f"{line[:SHOWN]}..."
        raise UserError(f"data.tokens={vocabulary.tokens}: {shown!r}: {error}; fix: let it know every text") from error


def _lines(chunks: Iterator[np.ndarray]) -> Iterator[str]:
    """Yield the lines of a file with their ends; one without end is cut where it has CHUNK characters or more."""
    rest = ""
    for codes in chunks:
        *lines, rest = (rest + codes.tobytes().decode("utf-32-le")).split("\n")
        yield from (f"{line}\n" for line in lines)
        if len(rest) >= CHUNK:
            yield rest
            rest = ""
    if rest:
        yield rest


def _all_lines(
    texts: Texts, facts: _Facts, line_ends: list[bool], told: Callable[..., Iterator[np.ndarray]]
) -> Iterator[str]:
    for file, taken, line_end in zip(texts.files, facts.encodings, line_ends, strict=True):
        if taken is not None:
            chunks = told(read_characters(file.path, taken))
            yield from _lines(_with_line_end(chunks) if line_end else chunks)


def _look_for_characters(texts: Texts, encoding: str, description: str) -> tuple[_Facts, list[bool]]:
    """Read all files once for their characters; tell, too, for each file whether a line end must be added after it."""
    seen = np.zeros(CODE_POINTS, bool)
    facts, lasts = _Facts(Vocabulary("bytes"), [], []), list[int]()
    with _telling(texts, description) as told:
        for file in texts.files:
            taken = _encoding_of(file, encoding)
            size, last = 0, LINE_END
            for codes in told(read_characters(file.path, taken)) if taken else ():
                seen[codes] = True
                size, last = size + len(codes), int(codes[-1])
            facts.encodings.append(taken)
            facts.sizes.append(size)
            lasts.append(last)
    _read(texts, facts)
    line_ends = [False for _ in texts.files]
    holding = [number for number, size in enumerate(facts.sizes) if size]
    for number, following in pairwise(holding):
        is_within = texts.files[number].split == texts.files[following].split
        line_ends[number] = is_within and lasts[number] != LINE_END
    seen[LINE_END] |= any(line_ends)
    facts.vocabulary = Vocabulary("characters", "".join(map(chr, np.flatnonzero(seen))))
    return facts, line_ends


def _encoding_of(file: TextFile, encoding: str) -> str | None:
    """Return the encoding of a file; None: it is binary, and was only found."""
    check_not_compressed(file.path)
    if encoding != "auto":
        return encoding
    try:
        return detect_encoding(file.path)
    except NoText:
        if file.is_named:
            raise
        return None


def _dtype(vocabulary: Vocabulary) -> np.dtype:
    return np.min_scalar_type(len(vocabulary) - 1)


def _read_bytes(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    with open_content(path) as file:
        while chunk := file.read(CHUNK):
            yield np.frombuffer(chunk, np.uint8), bytes_read(file)


@contextmanager
def _telling(texts: Texts, description: str) -> Iterator[Callable[..., Iterator[np.ndarray]]]:
    """Yield a function that yields the chunks of a file without their positions, which a progress bar shows."""
    with progress(description, sum(file.stamp[0] for file in texts.files)) as advance:

        def told(chunks: Iterator[tuple[np.ndarray, int]]) -> Iterator[np.ndarray]:
            before = 0
            for chunk, position in chunks:
                yield chunk
                advance(position - before)
                before = position

        yield told
