"""Test texts of several files: which are read, in which order, as which tokens, and what is told of the others."""

import gzip
import os
import signal
import tracemalloc
from pathlib import Path

import pytest

from lightning_dl2.builtin import text_files
from lightning_dl2.builtin.text_files import find_texts, read_digests
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.text import encodings, token_file
from lightning_dl2.data.text.module import TextDataModule
from lightning_dl2.data.text.token_file import tokenize
from tests.processes import ForkedProcess

SMALL = {"sequence_length": 2, "batch_size": 2, "evaluation_batch_size": 2, "evaluation_warmup": 2, "cold_window": 4}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return `folder({name: content, ...})`, which writes the files into `texts/`, in the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cache").mkdir()

    def written(contents: dict[str, str | bytes]) -> Path:
        for name, content in contents.items():
            path = tmp_path / "texts" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / "texts"

    return written


def read(path: str | list[str], tokens: str = "characters", splits: str = "position") -> str:
    """Return all that is read from `path`."""
    found = tokenize(find_texts(path, splits), tokens, "auto", Path("cache"))
    assert sum(found.sizes) == len(found.tokens) and len(found.sizes) == len(found.texts.files)
    return found.vocabulary.decode(found.tokens.tolist())


def data_of(path: str | list[str], **options) -> TextDataModule:
    return TextDataModule("text", path, cache_dir="cache", **SMALL | options)


def message(path: str | list[str], **options) -> str:
    with pytest.raises(UserError) as caught:
        data_of(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_directory_is_read_in_natural_order_at_any_depth(folder):
    folder(
        {
            "10.txt": "ten\n",
            "2.TXT": "two\n",
            "b/1.md": "b\n",
            "a2/x.tex": "a2\n",
            "a10/x.raw": "a10\n",
            "B.tokens": "B\n",
        }
    )
    assert read("texts") == "two\nten\nB\na2\na10\nb\n"
    os.symlink("..", "texts/b/up")
    assert read("texts/") == "two\nten\nB\na2\na10\nb\n"


def test_a_list_keeps_its_order_and_a_pattern_is_sorted(folder):
    folder({"a.py": "a\n", "b.py": "b\n", "c/d.py": "d\n", "[x]*.py": "x\n"})
    assert read(["texts/b.py", "texts/a.py"]) == "b\na\n"
    assert read("texts/?.py") == "a\nb\n" and read("texts/**/*.py") == "x\na\nb\nd\n"
    assert read(["texts/c/*", "texts/[x]*.py"]) == "d\nx\n"  # a file of this name is no pattern


def test_files_are_joined_by_line_ends_and_bytes_by_nothing(folder):
    contents = {"1.txt": "one", "2.txt": "two\r\n", "3.txt": "\ufeffthree", "4.txt": "four"}
    folder(contents)
    assert read("texts") == "one\ntwo\nthree\nfour"
    assert read("texts", "bytes") == "".join(contents.values())
    folder({"2.txt": "\u00e9"})
    assert read(["texts/1.txt", "texts/2.txt"]) == "one\n\u00e9"  # a line end that no file has


def test_a_gz_is_its_content(folder):
    text = "na\u00efef\r\n" * 50
    folder({"a.txt": text, "b.txt.gz": gzip.compress(text.encode()[:99]) + gzip.compress(text.encode()[99:])})
    plain, packed = (
        tokenize(find_texts(f"texts/{name}"), "characters", "auto", Path("cache")) for name in ("a.txt", "b.txt.gz")
    )
    assert plain.digest == packed.digest and plain.tokens.filename == packed.tokens.filename
    assert read("texts/b.txt.gz", "bytes") == text and read("texts") == 2 * text.replace("\r", "")


def test_the_digest_is_of_contents_and_their_order(folder):
    def digest(path, splits="position") -> str:
        return read_digests(find_texts(path, splits)).digest

    folder({"train.txt": "a", "valid.txt": "b", "test.txt": "c", "x.csv": "no"})
    one = digest("texts/train.txt")
    assert one == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"  # that of "a"
    several = {digest("texts"), digest("texts", "files"), digest(["texts/train.txt", "texts/valid.txt"])}
    assert len({one, digest(["texts/valid.txt", "texts/train.txt"]), *several}) == 5
    before = digest("texts")
    os.rename("texts", "moved")
    Path("moved/x.csv").write_bytes(b"yes")
    assert digest("moved") == before and digest(["moved"]) == before
    Path("moved/valid.txt").write_bytes(b"B")
    assert digest("moved") != before


def test_each_file_has_its_encoding_and_a_note_says_which(folder):
    text = "caf\u00e9 au lait\n" * 5
    encodings = {"1.txt": "utf-8", "2.txt": "latin-1", "3.txt": "utf-16", "4.txt": "latin-1"}
    folder({name: f"{text}{name}\n".encode(encoding) for name, encoding in encodings.items()})
    data = data_of("texts")
    assert read("texts") == "".join(f"{text}{name}\n" for name in encodings) and data.encoding == "latin-1,utf-16,utf-8"
    says = "data.path=texts: 2 read as latin-1 (2.txt, 4.txt), 1 read as utf-16 (3.txt); fix: if that is wrong, set"
    assert data.note == f"{says} data.encoding=NAME"
    assert data_of("texts/2.txt").note == (
        "data.path=texts/2.txt: was read as latin-1; fix: if that is wrong, set data.encoding=NAME"
    )
    assert data_of("texts/1.txt").note is None


def test_what_is_not_read_or_read_twice_is_told(folder):
    folder({"a.txt": "text\n" * 9, "b.txt.gz": gzip.compress(b"text\n" * 9), "empty.txt": "", "mark.md": "\ufeff"})
    folder({"picture.txt": b"\x89PNG\0\1", ".hidden.txt": "no", ".git/x.txt": "no", "c.csv": "no", "d/e": "no"})
    os.mkfifo("texts/fifo.txt")
    note = (
        "data.path=texts: not read: 1 binary (picture.txt), 2 empty (empty.txt, mark.md), 2 hidden (.git/,"
        " .hidden.txt), 1 no regular file (fifo.txt), 2 with another suffix (c.csv, d/e); 1 with the content of"
        " another (b.txt.gz); fix: name others by data.path, remove copies"
    )
    assert data_of("texts").note == note  # the tokens are made
    assert data_of("texts").note == note  # and found
    assert data_of("texts/*", tokens="bytes").note.count("(d, fifo.txt)") == 1  # a folder is no file


def test_files_are_the_splits_that_they_name(folder):
    folder({"ptb.valid.txt": "vvvv", "ptb.test.txt": "tttt\n", "train/1.txt": "aaaa", "train/2_test.txt": "bbbb"})
    folder({"README.md": "no"})
    data = data_of("texts", splits="files")
    found = {split: data.vocabulary.decode(tokens.tolist()) for split, tokens in data.splits.items()}
    assert found == {"train": "aaaa\nbbbb", "val": "vvvv", "test": "tttt\n"}
    assert data.note == (
        "data.path=texts: not read: 1 without train, val or test in the name (README.md); fix: name others by data.path"
    )
    named = ["texts/ptb.test.txt", "texts/train", "texts/ptb.valid.txt"]
    assert read(named, splits="files") == "aaaa\nbbbbvvvvtttt\n"  # nothing between two splits
    assert "README.md is without train, val or test in the name; fix" in message(
        [*named, "texts/README.md"], splits="files"
    )
    assert "no file of data.path=texts/train has train or training as" in message("texts/train", splits="files")
    folder({"train_test.txt": "x"})
    assert "has the words of several splits in its name; fix: rename it" in message("texts", splits="files")
    folder({"ptb.valid.txt": "v"})
    assert message(named, splits="files").startswith("data.splits=files: the validation split has 1 characters for 1 ")


def test_errors_name_the_file(folder):
    whole = gzip.compress(os.urandom(3000))
    folder({"a.txt": "text", "empty.txt": "", "cut.txt.gz": whole[:1500], "no.gz": "text", "x.bz2": b"BZh9"})
    folder(
        {"picture.png": b"\x89PNG\0", "bad/1.txt": "caf\u00e9 " * 9, "bad/2.txt": "caf\u00e9 ".encode() * 9 + b"\xff"}
    )
    (folder({}) / "none").mkdir()
    assert "data.path=nowhere: there is no such file; allowed: " in message(["texts/a.txt", "nowhere"])
    assert "data.path=texts/*.py: no file matches; allowed: " in message("texts/*.py")
    assert message("texts/none") == (
        "data.path=texts/none: holds no text, is empty; allowed: files"
        " *.txt, *.text, *.md, *.rst, *.tex, *.tokens, *.raw, or .gz"
    )
    assert "data.path=texts/*.png: holds no text, its files are 1 binary (picture.png); " in message("texts/*.png")
    assert "data.path=texts/picture.png: cannot detect the text" in message(["texts/a.txt", "texts/picture.png"])
    assert "data.path=texts/empty.txt: is empty; allowed: " in message(["texts/a.txt", "texts/empty.txt"])
    assert "texts/cut.txt.gz: is no whole .gz file (Compressed file ended before" in message("texts/cut.txt.gz")
    assert "texts/no.gz: is no whole .gz file (Not a gzipped file" in message("texts/no.gz")
    assert "x.bz2: is compressed (bzip2); allowed: a .gz file, one that is" in message("texts/x.bz2")
    assert "texts/bad/2.txt: byte 0xff at " in message("texts/bad")
    assert message(["texts/a.txt", "texts/a.txt"]) == (
        "data.path=[texts/a.txt,texts/a.txt]: names texts/a.txt twice; fix: name each file once"
    )
    os.symlink("a.txt", "texts/link.txt")
    assert "names texts/link.txt twice, as texts/a.txt too; fix" in message(["texts/a.txt", "texts/link.txt"])
    os.symlink("nothing", "texts/none/link.txt")
    assert "data.path=texts/none/link.txt: cannot be read (No such file or directory); " in message("texts/none")
    assert not list(Path("cache").iterdir())


def test_a_folder_that_may_not_be_read_is_named(folder, monkeypatch):
    folder({"a.txt": "a", "b/c.txt": "c"})
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert message("texts").startswith("data.path=texts/b: cannot be read (Permission denied); allowed: ")


def test_a_file_that_changes_meanwhile_is_refused(folder, monkeypatch):
    folder({"a.txt": "one\n", "b.txt": "two\n"})
    texts = find_texts("texts")
    folder({"b.txt": "three\n"})
    with pytest.raises(UserError, match="data.path=texts/b.txt: has changed while it was read; fix: start again"):
        tokenize(texts, "characters", "auto", Path("cache"))
    assert not list(Path("cache").iterdir())


def read_until_killed(directory: Path) -> None:
    os.chdir(directory)
    token_file.stamp_of = lambda path: os.kill(os.getpid(), signal.SIGKILL)  # after the tokens of the first file
    read("texts")


@pytest.mark.slow
def test_what_a_killed_process_leaves_does_no_harm(folder, monkeypatch):
    folder({"a.txt": "one\n", "b.txt": "two\n"})
    process = ForkedProcess(target=read_until_killed, args=(Path.cwd(),))
    process.start(), process.join(60)
    (left,) = Path("cache").iterdir()
    assert process.exitcode == -signal.SIGKILL and left.suffix == ".tmp"
    assert read("texts") == "one\ntwo\n" and left.exists()  # it may be that of a process that still writes
    for path in Path("cache").glob("*.*"):
        path.unlink() if path != left else os.utime(path, (0, 0))
    assert read("texts") == "one\ntwo\n" and not left.exists() and len(list(Path("cache").iterdir())) == 2


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(folder, monkeypatch):
    for module in (text_files, encodings, token_file):
        monkeypatch.setattr(module, "CHUNK", 1 << 14)
    size = 8 << 20
    folder({"1.txt.gz": gzip.compress(b"text\n" * (size // 5), 1), "2.txt": b"text\n" * (size // 10)})
    tracemalloc.start()
    found = tokenize(find_texts("texts"), "characters", "utf-8", Path("cache"))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.tokens) == size // 5 * 5 + size // 10 * 5 and most < 6 << 20
