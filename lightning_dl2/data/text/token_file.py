"""Tokenise a text file of any size into a file of integers, written once and mapped into memory.

Shapes: N tokens.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import file_digest, replacing, write_text
from lightning_dl2.common.progress import progress
from lightning_dl2.data.text.encodings import CHUNK, check_not_compressed, detect_encoding, read_characters
from lightning_dl2.decoding.vocabulary import Vocabulary

CODE_POINTS = 0x110000
FORMAT = 4  # part of the files' names: with another number, files of older versions are written anew


class TokenFile(NamedTuple):
    """Tokens of a text file, and how it was read."""

    tokens: np.memmap  # uint8, uint16 or uint32 [N]
    vocabulary: Vocabulary
    digest: str  # SHA-256 of the text file
    encoding: str | None  # of the text file; None for bytes


def tokenize(path: Path, tokens: str, encoding: str, cache: Path) -> TokenFile:
    """Return the tokens of the text file `path` from the directory `cache`; write them there if missing.

    Args:
        path: the text file; the tokens are cached by its content.
        tokens: "characters", decoded and with every line's end as \\n, or "bytes" as they are.
        encoding: Python's name of the file's encoding, or "auto"; ignored for bytes.
        cache: a writable directory.

    Raises:
        UserError: the file is missing, empty or no text, or has another encoding.
    """
    digest = _digest(path)
    settings = json.dumps([FORMAT, digest, tokens, encoding if tokens == "characters" else ""])
    target = cache / f"{sha256(settings.encode()).hexdigest()[:32]}.tokens"
    header = target.with_suffix(".json")
    known = _known(header, target)
    if known is None:
        try:
            known = _write(path, tokens, encoding, target)
            vocabulary, taken = known
            facts = {"vocabulary": vocabulary.plain, "encoding": taken, "sha256": file_digest(target)}
            # The header comes last: with it, the tokens are whole. Two processes write the same files.
            write_text(header, json.dumps(facts))
        except OSError as error:
            raise UserError(
                f"data.cache_dir={cache}: the tokens of {path} cannot be written ({error.strerror or error});"
                " allowed: a directory with room for them"
            ) from error
    vocabulary, taken = known
    return TokenFile(np.memmap(target, _dtype(vocabulary), "r"), vocabulary, digest, taken)


def _known(header: Path, target: Path) -> tuple[Vocabulary, str | None] | None:
    """Read the vocabulary and the encoding of cached tokens; None if a file is missing or damaged."""
    if not (header.is_file() and target.is_file()):  # reading a pipe would wait
        return None
    try:
        known = json.loads(header.read_text("utf-8"))
        found = Vocabulary.of(known["vocabulary"]), known["encoding"]
        return found if file_digest(target) == known["sha256"] else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _digest(path: Path) -> str:
    allowed = "allowed: a text file"
    check_format("text", path)
    if not path.stat().st_size:
        raise UserError(f"data.path={path}: is empty; {allowed} with something in it")
    digest = sha256()
    try:
        with open(path, "rb") as file, progress(f"reading {path.name}", path.stat().st_size) as advance:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                advance(len(chunk))
    except OSError as error:
        raise UserError(f"data.path={path}: cannot be read ({error.strerror}); {allowed}") from error
    return digest.hexdigest()


def _write(path: Path, tokens: str, encoding: str, target: Path) -> tuple[Vocabulary, str | None]:
    """Write the tokens; return the vocabulary and the encoding."""
    table: np.ndarray | None = None
    if tokens == "bytes":
        vocabulary = Vocabulary("bytes")
    else:
        check_not_compressed(path)
        encoding = detect_encoding(path) if encoding == "auto" else encoding
        seen = np.zeros(CODE_POINTS, bool)
        for codes in _told(read_characters(path, encoding), f"looking for the characters of {path.name}", path):
            seen[codes] = True
        known = np.flatnonzero(seen)
        if not len(known):
            raise UserError(f"data.path={path}: is empty; allowed: a text file with something in it")
        vocabulary = Vocabulary("characters", "".join(map(chr, known)))
        table = np.zeros(CODE_POINTS, _dtype(vocabulary))
        table[known] = np.arange(len(known))
    with replacing(target) as temporary, open(temporary, "wb") as file:
        chunks = _read_bytes(path) if table is None else read_characters(path, encoding)
        for chunk in _told(chunks, f"making tokens of {path.name}", path):
            file.write(chunk.data if table is None else table[chunk].data)
    return vocabulary, None if table is None else encoding


def _dtype(vocabulary: Vocabulary) -> np.dtype:
    return np.min_scalar_type(len(vocabulary) - 1)


def _read_bytes(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            yield np.frombuffer(chunk, np.uint8), file.tell()


def _told(chunks: Iterator[tuple[np.ndarray, int]], description: str, path: Path) -> Iterator[np.ndarray]:
    """Yield the chunks without their positions, which a progress bar shows."""
    before = 0
    with progress(description, path.stat().st_size) as advance:
        for chunk, position in chunks:
            yield chunk
            advance(position - before)
            before = position
