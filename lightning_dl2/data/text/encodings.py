"""Detect the encoding of a text file, and read its characters one chunk after the other."""

import codecs
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lightning_dl2.common.errors import UserError

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

# Letters beyond ASCII, by byte: not the space and the quotes that French puts side by side.
BEYOND_ASCII = np.isin(np.arange(256), list(set(range(128, 256)) - {0xA0, 0xAB, 0xBB}))
RUNS_SHARE = 0.1  # of them, at most, have such neighbours on both sides in Western Europe; Russian has 0.6
OTHERS = (
    *("gb18030", "gbk", "big5", "shift_jis", "euc_jp", "euc_kr"),
    *("cp1251", "koi8_r", "iso8859_7", "cp1253", "cp1255", "cp1256", "latin-1"),
)  # those that may be meant instead; in the last one every byte is possible
ISO_2022 = (b"\x1b$B", b"\x1b$@", b"\x1b$)C", b"\x1b$)A")  # ASCII until then, and so UTF-8 to the byte
COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
}  # how the files begin


def detect_encoding(path: Path) -> str:
    """Detect by the byte-order mark; without one UTF-8 if the whole file is; else an encoding of Western Europe.

    Every file is something in Latin-1. Where it has control characters there, Windows-1252 has the quotes and dashes of
    Western Europe: the file is in that one where all of them are such.

    Raises:
        UserError: the file is not text, all but some bytes are UTF-8, or the language is none of Western Europe: the
            encodings of the others cannot be told apart with certainty.
    """
    with open(path, "rb") as file:
        start = file.read(LOOKED_AT)
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    if any(0 in chunk for chunk in _chunks(path)):
        raise _no_text(path)
    encoding = next((name for name in ("utf-8", "cp1252") if _is_in(path, name)), "latin-1")
    if encoding == "cp1252" and not _has_more_than_latin1(path):
        encoding = "latin-1"
    codes = np.frombuffer(start, np.uint8)
    kinds = ASCII_CONTROLS | ISO_CONTROLS if encoding == "latin-1" else ASCII_CONTROLS
    if encoding != "utf-8":
        _check_not_damaged(path)
        if ASCII_CONTROLS[codes].mean() <= CONTROL_SHARE / 2:  # else it is no text in any script
            _check_western(path, start)
    elif any(escape in start for escape in ISO_2022):
        raise UserError(
            f"data.path={path}: has the escapes of ISO 2022, of Japanese, Korean or Chinese; fix: name its encoding by"
            " data.encoding=NAME, such as iso2022_jp, or data.tokens=bytes"
        )
    if kinds[codes].sum() > CONTROL_SHARE * len(start):
        raise _no_text(path)
    return encoding


def _no_text(path: Path) -> UserError:
    return UserError(
        f"data.path={path}: is not text in any encoding that can be told by looking; "
        "allowed: a text file, data.encoding=NAME, or data.tokens=bytes"
    )


def check_not_compressed(path: Path) -> None:
    """Raises UserError, naming the format, if the file is an archive or compressed."""
    with open(path, "rb") as file:
        start = file.read(8)
    for magic, name in COMPRESSED.items():
        if start.startswith(magic):
            raise UserError(f"data.path={path}: is compressed ({name}); fix: unpack it, or data.tokens=bytes")


def _chunks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _has_more_than_latin1(path: Path) -> bool:
    """Whether there is a byte that Windows-1252 reads as another character."""
    return any(ISO_CONTROLS[np.frombuffer(chunk, np.uint8)].any() for chunk in _chunks(path))


def _is_in(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _check_not_damaged(path: Path) -> None:
    """Raises UserError, naming the first bad byte, where more characters beyond ASCII are UTF-8 than bytes are not."""
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
            f" ({bad:,} such in all); fix: mend the file, name its encoding by data.encoding=NAME, or data.tokens=bytes"
        )


def _check_western(path: Path, start: bytes) -> None:
    """Raises UserError where letters beyond ASCII stand side by side, as in Cyrillic, Greek, Chinese, not in French."""
    beyond = within = 0
    for chunk in _chunks(path):
        is_beyond = BEYOND_ASCII[np.frombuffer(chunk, np.uint8)]
        beyond += int(is_beyond.sum())
        within += int((is_beyond[:-2] & is_beyond[1:-1] & is_beyond[2:]).sum())
    if within <= RUNS_SHARE * beyond:
        return
    possible = [name for name in OTHERS if _decodes(start, name)]
    raise UserError(
        f"data.path={path}: is no UTF-8, and looks like no language of Western Europe; fix: name its encoding by"
        f" data.encoding=NAME (its bytes are possible in {', '.join(possible)}), or data.tokens=bytes"
    )


def _decodes(start: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(start)  # not final: `start` may end within a character
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
                yield np.frombuffer(codes, "<u4"), file.buffer.tell()  # type: ignore[attr-defined]  # typeshed's has none
                mark = ""
    except UnicodeError as error:
        raise UserError(f"data.encoding={encoding}: {path} is not in it ({error}); {allowed}") from error
    except (LookupError, ValueError) as error:
        raise UserError(f"data.encoding={encoding}: there is no such encoding; {allowed}") from error
