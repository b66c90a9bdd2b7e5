"""Test that text files become token ids completely, once, and equally for all chunk sizes."""

import errno
import gzip
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lightning_dl2.builtin.text_files import ALLOWED, SUFFIXES, find_texts
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.text import encodings, token_file
from lightning_dl2.data.text.token_file import TokenFile
from tests.processes import ForkedProcess

KINDS = f"*{', *'.join(SUFFIXES)}, or .gz"


@pytest.fixture
def book(tmp_path):
    def written(content: bytes, name: str = "book.txt"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return written


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def tokenize(path: Path, tokens: str, encoding: str, cache: Path) -> TokenFile:
    return token_file.tokenize(find_texts(str(path)), tokens, encoding, cache)


def tokens_of(path, cache) -> tuple[int, str]:
    read = tokenize(path, "characters", "auto", cache)
    return len(read.tokens), read.vocabulary.characters


def check_tokens(path: Path, cache: Path) -> None:
    assert tokens_of(path, cache) == (2_200_000, "\naceioprtö")


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Eén coöperatie\r\n👩‍🚀 日本\r".encode("utf-8-sig"), "Eén coöperatie\n👩‍🚀 日本\n"),
        ("caf\xe9 \\section{\xa3}\n".encode("latin-1"), "café \\section{£}\n"),
        ("naïef\n".encode("utf-16"), "naïef\n"),
        (b"aaaa", "aaaa"),
    ],
)
def test_characters(book, cache, monkeypatch, content, text, chunk):
    monkeypatch.setattr(encodings, "CHUNK", chunk)
    read = tokenize(book(content), "characters", "auto", cache)
    tokens, vocabulary = read.tokens, read.vocabulary
    assert isinstance(tokens, np.memmap) and tokens.dtype == np.uint8 and not tokens.flags.writeable
    assert vocabulary.plain == {"tokens": "characters", "characters": "".join(sorted(set(text)))}
    assert vocabulary.decode(tokens.tolist()) == text


def test_bytes_are_those_of_the_file(book, cache):
    content = "\ufeffé\r\n\0".encode() + b"\xff"
    read = tokenize(book(content), "bytes", "no-such", cache)
    assert read.tokens.tobytes() == content and read.tokens.dtype == np.uint8 and len(read.vocabulary) == 256


def spoil_header(content):
    return lambda tokens: tokens.with_suffix(".json").write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        *map(spoil_header, (b"", b"null", b"[]", b"{", b"\xff", b'{"vocabulary": {}, "sha256": ""}', b'{"sha256": 3}')),
        lambda tokens: tokens.write_bytes(b""),
        lambda tokens: os.truncate(tokens, 2),
        lambda tokens: tokens.write_bytes(b"\2\1\0"),  # another file of the same size
        lambda tokens: tokens.unlink(),
        lambda tokens: (tokens.unlink(), os.mkfifo(tokens)),
        lambda tokens: (tokens.with_suffix(".json").unlink(), os.mkfifo(tokens.with_suffix(".json"))),
    ],
)
def test_what_is_not_whole_is_made_anew(book, cache, spoil):
    path = book(b"abc")
    first = tokenize(path, "characters", "auto", cache)
    spoil(cache / os.path.basename(first.tokens.filename))
    again = tokenize(path, "characters", "auto", cache)
    assert again.tokens.tolist() == [0, 1, 2] and again.vocabulary.plain == first.vocabulary.plain


@pytest.mark.parametrize(("size", "dtype"), [(256, np.uint8), (257, np.uint16), (65536, np.uint16), (65537, np.uint32)])
def test_integers_are_as_small_as_can_be(book, cache, size, dtype):
    text = "".join(map(chr, range(0x10000, 0x10000 + size)))
    read = tokenize(book(text.encode()), "characters", "utf-8", cache)
    tokens, vocabulary = read.tokens, read.vocabulary
    assert tokens.dtype == dtype and tokens.tolist() == list(range(size)) and vocabulary.characters == text


def test_tokens_are_made_once(book, cache, monkeypatch):
    first = tokenize(book(b"abc"), "characters", "auto", cache)
    monkeypatch.setattr(token_file, "_write", None)
    again = tokenize(book(b"abc", "other.txt"), "characters", "auto", cache)
    assert again.tokens.filename == first.tokens.filename and again.digest == first.digest
    assert again.vocabulary.plain == first.vocabulary.plain and again.tokens.tolist() == [0, 1, 2]


def test_other_content_tokens_or_encoding_are_other_files(book, cache):
    path = book("é".encode())
    found = [
        tokenize(path, *how, cache) for how in (("characters", "auto"), ("characters", "latin-1"), ("bytes", "auto"))
    ]
    assert [one.tokens.tolist() for one in found] == [[0], [1, 0], [0xC3, 0xA9]]
    assert found[1].vocabulary.characters == "©Ã" and len({one.digest for one in found}) == 1
    assert tokenize(book(b"ba"), "characters", "auto", cache).tokens.tolist() == [1, 0]


def test_what_was_left_half_done_is_made_anew(book, cache):
    path = book(b"abc")
    file = tokenize(path, "characters", "auto", cache).tokens.filename
    os.remove(file)
    assert tokenize(path, "characters", "auto", cache).tokens.tolist() == [0, 1, 2]


@pytest.mark.slow
def test_processes_that_make_them_at_once_do_no_harm(book, cache):
    path = book("coöperatie\n".encode() * 200_000)
    # Forked from a process of one thread: a fork of this one may wait for ever for a lock that a thread here holds.
    processes = [ForkedProcess(target=check_tokens, args=(path, cache)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    assert len(list(cache.iterdir())) == 2


def test_a_full_disk(book, cache, monkeypatch):
    @contextmanager
    def replacing(path):
        yield path
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(token_file, "replacing", replacing)
    with pytest.raises(UserError, match=r"data.cache_dir=.*cannot be written \(No space left on device\); allowed: "):
        tokenize(book(b"abc"), "characters", "auto", cache)


def test_a_failure_leaves_nothing_behind(book, cache):
    with pytest.raises(UserError, match="data.encoding=ascii"):
        tokenize(book("é".encode()), "characters", "ascii", cache)
    assert not list(cache.iterdir())


def test_files_that_cannot_be_read(book, cache, tmp_path):
    def message(path, tokens: str = "characters") -> str:
        with pytest.raises(UserError) as caught:
            tokenize(path, tokens, "auto", cache)
        return str(caught.value)

    nothing = tmp_path / "nothing.txt"
    assert message(nothing) == f"data.path={nothing}: there is no such file; allowed: {ALLOWED}"
    assert message(tmp_path / "cache") == f"data.path={cache}: holds no text, is empty; allowed: files {KINDS}"
    for content in (b"", "\ufeff".encode()):
        assert "is empty; allowed: a text file with something in it" in message(book(content))
    assert "is empty" in message(book(b""), "bytes")
    assert "cannot detect the text encoding" in message(book(b"\x7fELF\0\0"))
    assert "is compressed (gzip)" in message(book(gzip.compress(b"abc")))
    assert tokenize(book(gzip.compress(b"abc")), "bytes", "auto", cache).encoding is None
    os.mkfifo(tmp_path / "fifo")
    assert f"fifo: is a FIFO; allowed: {ALLOWED}" in message(tmp_path / "fifo")
    assert message(Path("/dev/null")).startswith("data.path=/dev/null: is a device; ")


@pytest.mark.parametrize(
    ("content", "given", "taken"),
    [("café".encode(), "auto", "utf-8"), (b"caf\xe9", "auto", "latin-1"), (b"a", "ascii", "ascii")],
)
def test_the_encoding_taken_is_known(book, cache, content, given, taken):
    for _ in ("made", "found"):
        assert tokenize(book(content), "characters", given, cache).encoding == taken


def test_what_takes_long_says_so(book, cache, monkeypatch, capsys):
    monkeypatch.setattr("lightning_dl2.common.progress.DELAY", 0.0)
    tokenize(book(b"abc"), "characters", "auto", cache)
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1] == "making tokens of book.txt ..."
