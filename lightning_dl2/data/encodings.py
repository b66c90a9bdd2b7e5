"""Which encoding a text file has, and its characters one chunk after the other."""

import codecs
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lightning_dl2.cli import UserError

CHUNK = 1 << 20  # characters or bytes read at once
LOOKED_AT = 1 << 20  # bytes at the start that tell whether a file is text
CONTROL_SHARE = 0.1  # text has fewer control characters than this; random bytes have 0.24

# UTF-32 before UTF-16: the mark of the one begins with that of the other.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

# Control characters, by byte: those of ASCII, and those that ISO 8859 added.
ASCII_CONTROLS = np.isin(np.arange(256), [*set(range(32)) - set(b"\t\n\r\f"), 127])
ISO_CONTROLS = np.isin(np.arange(256), range(128, 160))


def detect_encoding(path: Path) -> str:
    """By the byte-order mark; without one UTF-8 if the whole file is; else Latin-1, in which every file is something.

    Where Latin-1 has control characters, Windows-1252 has the quotes and dashes of Western Europe: it is that one where
    all of them are such.

    Raises:
        UserError: the file is not text.
    """
    with open(path, "rb") as file:
        start = file.read(LOOKED_AT)
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    encoding = next((name for name in ("utf-8", "cp1252") if _is_in(path, name)), "latin-1")
    if encoding == "cp1252" and not _has_more_than_latin1(path):
        encoding = "latin-1"
    kinds = ASCII_CONTROLS | ISO_CONTROLS if encoding == "latin-1" else ASCII_CONTROLS
    controls = kinds[np.frombuffer(start, np.uint8)]
    if 0 in start or controls.sum() > CONTROL_SHARE * len(start):
        raise UserError(
            f"data.path={path}: is not text in any encoding that can be told by looking; "
            "allowed: a text file, data.encoding=NAME, or data.tokens=bytes"
        )
    return encoding


def _has_more_than_latin1(path: Path) -> bool:
    """Whether there is a byte that Windows-1252 reads as another character."""
    with open(path, "rb") as file:
        return any(ISO_CONTROLS[np.frombuffer(chunk, np.uint8)].any() for chunk in iter(lambda: file.read(CHUNK), b""))


def _is_in(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def read_characters(path: Path, encoding: str) -> Iterator[tuple[np.ndarray, int]]:
    """The file's code points, uint32, in chunks, each with the number of bytes read so far.

    A byte-order mark is dropped, and every line ends in \\n.

    Raises:
        UserError: there is no such encoding, or the file is not in it.
    """
    allowed = "allowed: auto, the name of the file's encoding, such as utf-8 or latin-1, or data.tokens=bytes"
    try:
        # newline=None makes \n of \r\n and \r, across chunks too.
        with open(path, encoding=encoding, newline=None) as file:
            mark = "\ufeff"
            while chunk := file.read(CHUNK):
                codes = chunk.removeprefix(mark).encode("utf-32-le")  # lone surrogates are no characters
                yield np.frombuffer(codes, "<u4"), file.buffer.tell()
                mark = ""
    except UnicodeError as error:
        raise UserError(f"data.encoding={encoding}: {path} is not in it ({error}); {allowed}") from error
    except (LookupError, ValueError) as error:
        raise UserError(f"data.encoding={encoding}: there is no such encoding; {allowed}") from error
