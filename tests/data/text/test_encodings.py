"""Test that the encoding of a file is detected, or that one line says that it is not text."""

import bz2
import gzip
import lzma
import os
from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.text import encodings
from lightning_dl2.data.text.encodings import check_not_compressed, detect_encoding, read_characters

DUTCH = "Eén coöperatie 👩‍🚀\nnaïef\n"


@pytest.fixture
def file(tmp_path):
    def written(content: bytes):
        path = tmp_path / "book.txt"
        path.write_bytes(content)
        return path

    return written


def read(path, encoding: str) -> str:
    return "".join(chr(code) for chunk, _ in read_characters(path, encoding) for code in chunk)


def zipped(content: bytes) -> bytes:
    archive = BytesIO()
    with ZipFile(archive, "w") as file:
        file.writestr("book.txt", content)
    return archive.getvalue()


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (DUTCH.encode(), "utf-8"),
        (DUTCH.encode("utf-8-sig"), "utf-8-sig"),
        (DUTCH.encode("utf-16"), "utf-16"),
        (b"\xfe\xff" + DUTCH.encode("utf-16-be"), "utf-16"),
        (DUTCH.encode("utf-32"), "utf-32"),
        (b"\x00\x00\xfe\xff" + DUTCH.encode("utf-32-be"), "utf-32"),
    ],
)
def test_marks_and_utf8(file, content, encoding):
    path = file(content)
    assert detect_encoding(path) == encoding
    assert read(path, encoding) == DUTCH


@pytest.mark.parametrize("chunk", [4, 1 << 20])
def test_what_is_not_utf8_is_latin1_or_windows_1252(file, monkeypatch, chunk):
    monkeypatch.setattr(encodings, "CHUNK", chunk)
    path = file("\\section{Café} £\f\n".encode("latin-1"))
    assert detect_encoding(path) == "latin-1"
    path = file("\\section{Café} £ % “quoted” – so\f\n".encode("cp1252"))
    assert detect_encoding(path) == "cp1252"
    assert read(path, "cp1252").startswith("\\section{Café} £ % “quoted” – so")
    assert detect_encoding(file("é ".encode("latin-1") * 50 + b"\x81")) == "latin-1"  # not in windows-1252


def test_utf8_is_checked_to_the_end(file, monkeypatch):
    monkeypatch.setattr(encodings, "CHUNK", 8)
    assert detect_encoding(file(b"a" * 21 + "é".encode() + b"b" * 20)) == "utf-8"
    with pytest.raises(UserError, match="cannot detect the text encoding"):
        detect_encoding(file(b"a" * 50 + b"\0"))  # nor is a NUL passed over, however late it comes


@pytest.mark.parametrize("chunk", [4, 1 << 20])
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"\xff", r"byte 0xff at 100 \(from 0\) is no UTF-8"),
        (b"\xc3 ", "byte 0xc3 at 100 "),
        (b"\xe2\x80", "byte 0xe2 at 100 .*2 bad bytes in all"),
    ],
)
def test_a_byte_that_is_no_utf8_is_named(file, monkeypatch, bad, says, chunk):
    monkeypatch.setattr(encodings, "CHUNK", chunk)
    path = file("é".encode() * 50 + bad + "é".encode() * (not bad.startswith(b"\xe2")))
    with pytest.raises(UserError, match=rf"^data.path={path}: {says}.*; fix: mend the file"):
        detect_encoding(path)


TEXTS = {
    "Все счастливые семьи похожи друг на друга. И я, и он.\n": ("cp1251", "koi8_r"),
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι.\n": ("iso8859_7", "cp1253"),
    "人人生而自由，在尊严和权利上一律平等。\n": ("gbk", "gb18030"),
    "人人生而自由，在尊嚴和權利上一律平等。\n": ("big5",),
    "すべての人間は、生まれながらにして自由であり、平等である。\n": ("euc_jp", "shift_jis", "iso2022_jp"),
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.\n": ("euc_kr",),
}


@pytest.mark.parametrize("around", ["", "int main() { return 42; }  // a comment\n" * 4])
@pytest.mark.parametrize(("text", "encoding"), [(text, name) for text, names in TEXTS.items() for name in names])
def test_other_scripts_are_not_taken_for_latin1(file, text, encoding, around):
    path = file((around + text).encode(encoding) * 20)
    with pytest.raises(UserError, match=rf"fix: name its encoding by data.encoding=NAME.*\b{encoding}\b.*, or"):
        detect_encoding(path)
    assert read(path, encoding) == (around + text) * 20


@pytest.mark.parametrize(
    "text",
    [
        "«\xa0Étés\xa0» : à la forêt, être déçu; où ça, çà et là\n",
        "Übergröße, Füße und ÄÖÜ: Mädchen hörten schöne Gänse\n",
        "Yöäänestys, hyvää päivää, älä häiritse\n",
        "Þórður æðir í öllum áttum, það er ýmislegt\n",
    ],
)
def test_western_europe_is_taken_for_latin1(file, text):
    assert detect_encoding(file(text.encode("latin-1") * 20)) == "latin-1"


@pytest.mark.parametrize(
    ("pack", "name"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz"), (zipped, "zip")]
)
def test_what_is_compressed_is_named(file, pack, name):
    with pytest.raises(UserError, match=rf"is compressed \({name}\); allowed: a .gz file, one that is"):
        check_not_compressed(file(pack(b"a text")))
    check_not_compressed(file(b"a text"))


@pytest.mark.parametrize(
    "content", [b"text\x00text", os.urandom(4000).replace(b"\x00", b"\x01"), b"\x1b\x01" * 10 + b"a" * 50]
)
def test_what_is_not_text(file, content):
    with pytest.raises(
        UserError, match="data.path=.*book.txt: cannot detect the text encoding; fix: set data.encoding=NAME"
    ):
        detect_encoding(file(content))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
def test_lines_end_alike_wherever_a_chunk_ends(file, monkeypatch, chunk):
    monkeypatch.setattr(encodings, "CHUNK", chunk)
    path = file("\ufeffé\r\nb\r\rc\n😀\r".encode())
    for encoding in ("utf-8", "utf-8-sig"):  # utf-8 drops the byte order mark too
        assert read(path, encoding) == "é\nb\n\nc\n😀\n"


def test_codes_are_code_points(file):
    (chunk, position), *more = read_characters(file("a😀".encode()), "utf-8")
    assert chunk.tolist() == [97, 0x1F600] and chunk.dtype == np.uint32
    assert position == 5 and not more


@pytest.mark.parametrize("encoding", ["no-such", "hex", "a\0b"])
def test_an_encoding_that_does_not_exist(file, encoding):
    with pytest.raises(UserError, match="^data.encoding=.*: there is no such encoding; allowed: auto, "):
        read(file(b"abc"), encoding)


@pytest.mark.parametrize(("encoding", "content"), [("unicode_escape", rb"a\ud800b"), ("utf-7", b"a+2AA-b")])
def test_half_a_character_is_none(file, encoding, content):
    """A text that ends within a character is refused."""
    with pytest.raises(UserError, match=f"^data.encoding={encoding}: .*book.txt is not in it .*surrogates not allowed"):
        read(file(content), encoding)


@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-8"])
def test_an_encoding_that_is_another_one(file, encoding):
    with pytest.raises(UserError, match=f"^data.encoding={encoding}: .*book.txt is not in it .*; allowed: auto, "):
        read(file(b"\xe9bc"), encoding)
