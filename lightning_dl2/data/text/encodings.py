"""Detect the encoding of a text file, and read its characters chunk by chunk."""

import codecs
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from lightning_dl2.builtin.text_files import bytes_read, open_content
from lightning_dl2.common.errors import UserError

CHUNK = 1 << 20  # characters or bytes read at once
LOOKED_AT = 1 << 20  # bytes at the start that decide whether a file is text
CONTROL_SHARE = 0.1  # text has fewer control characters than this; random bytes have 0.24

# UTF-32 comes before UTF-16, whose mark is the beginning of UTF-32's.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

# Control characters by byte: ASCII's, and those that ISO 8859 adds.
ASCII_CONTROLS = np.isin(np.arange(256), [*set(range(32)) - set(b"\t\n\r\f"), 127])
ISO_CONTROLS = np.isin(np.arange(256), range(128, 160))

# Letters beyond ASCII by byte, without the space and the quotes that French puts side by side.
BEYOND_ASCII = np.isin(np.arange(256), list(set(range(128, 256)) - {0xA0, 0xAB, 0xBB}))
RUNS_SHARE = 0.1  # largest share of them with such neighbours on both sides in Western Europe; Russian has 0.6
OTHERS = (
    *("gb18030", "gbk", "big5", "shift_jis", "euc_jp", "euc_kr"),
    *("cp1251", "koi8_r", "iso8859_7", "cp1253", "cp1255", "cp1256", "latin-1"),
)  # encodings to suggest instead; in the last one every byte is possible
ISO_2022 = (b"\x1b$B", b"\x1b$@", b"\x1b$)C", b"\x1b$)A")  # its escapes; all its bytes are ASCII, and so valid UTF-8
COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
}  # by the first bytes of a file


class NoText(UserError):
    """A file that is no text in any encoding, such as a picture."""


def detect_encoding(path: Path) -> str:
    """Detect the byte-order mark; else UTF-8 if the whole file is valid; else an encoding of Western Europe.

    Every file is valid Latin-1. Where Latin-1 has control characters, Windows-1252 has quotes and dashes: the file is
    Windows-1252 if it has such bytes and all are defined there.

    Raises:
        NoText: the file is not text.
        UserError: it is UTF-8 except for some bytes, or in no language of Western Europe, whose encodings cannot be
            distinguished with certainty.
    """
    with open_content(path) as file:
        start = file.read(LOOKED_AT)
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    if any(0 in chunk for chunk in _chunks(path)):
        raise _no_text(path)
    encoding = next((name for name in ("utf-8", "cp1252") if _decodes(_chunks(path), name)), "latin-1")
    if encoding == "cp1252" and not _has_more_than_latin1(path):
        encoding = "latin-1"
    codes = np.frombuffer(start, np.uint8)
    kinds = ASCII_CONTROLS | ISO_CONTROLS if encoding == "latin-1" else ASCII_CONTROLS
    if encoding != "utf-8":
        _check_not_damaged(path)
        if ASCII_CONTROLS[codes].mean() <= CONTROL_SHARE / 2:  # with more it is no text in any script
            _check_western(path, start)
    elif any(escape in start for escape in ISO_2022):
        raise UserError(
            f"data.path={path}: has the escapes of ISO 2022, of Japanese, Korean or Chinese; fix: name its encoding by"
            " data.encoding=NAME, such as iso2022_jp, or data.tokens=bytes"
        )
    if kinds[codes].sum() > CONTROL_SHARE * len(start):
        raise _no_text(path)
    return encoding


def _no_text(path: Path) -> NoText:
    return NoText(
        f"data.path={path}: cannot detect the text encoding; fix: set data.encoding=NAME, or data.tokens=bytes if it is"
        " no text"
    )


def check_not_compressed(path: Path) -> None:
    """Raise UserError, naming the format, if the file is an archive or compressed."""
    with open_content(path) as file:
        start = file.read(8)
    for magic, name in COMPRESSED.items():
        if start.startswith(magic):
            raise UserError(
                f"data.path={path}: is compressed ({name}); allowed: a .gz file, one that is not compressed, or"
                " data.tokens=bytes"
            )


def _chunks(path: Path) -> Iterator[bytes]:
    with open_content(path) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _has_more_than_latin1(path: Path) -> bool:
    """Tell whether a byte means another character in Windows-1252 than in Latin-1."""
    return any(ISO_CONTROLS[np.frombuffer(chunk, np.uint8)].any() for chunk in _chunks(path))


def _decodes(chunks: Iterable[bytes], encoding: str, *, final: bool = True) -> bool:
    """Tell whether the chunks are in the encoding; not `final`: the last one may end within a character."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chunks:
            decoder.decode(chunk)
        decoder.decode(b"", final=final)
    except UnicodeDecodeError:
        return False
    return True


def _check_not_damaged(path: Path) -> None:
    """Raise UserError, naming the first bad byte, if most of the file beyond ASCII is valid UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")  # a bad byte becomes U+DC80 to U+DCFF
    characters = bad = position = 0
    first = None
    for chunk in [*_chunks(path), b""]:
        text = decoder.decode(chunk, final=not chunk)
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        escaped = (codes >= 0xDC80) & (codes <= 0xDCFF)
        if first is None and escaped.any():
            place = int(escaped.argmax())
            first = position + len(text[:place].encode()), int(codes[place]) - 0xDC00
        position += len(text.encode("utf-8", "surrogateescape"))
        bad += int(escaped.sum())
        characters += int((codes > 0x7F).sum() - escaped.sum())
    if first and characters > bad:
        place, byte = first
        raise UserError(
            f"data.path={path}: byte 0x{byte:02x} at {place:,} (from 0) is no UTF-8, but the rest of the file is"
            f" ({bad:,} bad bytes in all); fix: mend the file, name its encoding by data.encoding=NAME, or"
            " data.tokens=bytes"
        )


def _check_western(path: Path, start: bytes) -> None:
    """Raise UserError if letters beyond ASCII stand side by side, as in Cyrillic, Greek or Chinese, not in French."""
    beyond = within = 0
    for chunk in _chunks(path):
        is_beyond = BEYOND_ASCII[np.frombuffer(chunk, np.uint8)]
        beyond += int(is_beyond.sum())
        within += int((is_beyond[:-2] & is_beyond[1:-1] & is_beyond[2:]).sum())
    if within <= RUNS_SHARE * beyond:
        return
    possible = [name for name in OTHERS if _decodes([start], name, final=False)]
    raise UserError(
        f"data.path={path}: is no UTF-8, and looks like no language of Western Europe; fix: name its encoding by"
        f" data.encoding=NAME (its bytes are possible in {', '.join(possible)}), or data.tokens=bytes"
    )


def read_characters(path: Path, encoding: str) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the file's code points, uint32, in chunks, each with the number of bytes read so far.

    A byte-order mark is dropped, and every line ends in \\n.

    Raises:
        UserError: the encoding does not exist, or the file is not in it.
    """
    allowed = "allowed: auto, the name of the file's encoding, such as utf-8 or latin-1, or data.tokens=bytes"
    try:
        # newline=None turns \r\n and \r into \n, also across chunks.
        with open_content(path) as content, io.TextIOWrapper(content, encoding, newline=None) as file:
            mark = "\ufeff"
            while chunk := file.read(CHUNK):
                codes = chunk.removeprefix(mark).encode("utf-32-le")  # raises for lone surrogates: no characters
                yield np.frombuffer(codes, "<u4"), bytes_read(content)
                mark = ""
    except UnicodeError as error:
        raise UserError(f"data.encoding={encoding}: {path} is not in it ({error}); {allowed}") from error
    except (LookupError, ValueError) as error:
        raise UserError(f"data.encoding={encoding}: there is no such encoding; {allowed}") from error
