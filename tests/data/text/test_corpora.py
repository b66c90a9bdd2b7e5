"""Test that a named text is the right file or reported in one line. No test uses the network."""

import errno
import hashlib
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import WriteError
from lightning_dl2.data import downloads
from lightning_dl2.data.downloads import cache_dir
from lightning_dl2.data.text import corpora
from lightning_dl2.data.text.corpora import CORPORA, Corpus, download

CONTENT = "De reis om de wereld: coöperatie\n".encode() * 5000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Return `served(sha256)`, which serves CONTENT as tiny_shakespeare on this machine and returns its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "input.txt").write_bytes(CONTENT)
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def serve(sha256: str = hashlib.sha256(CONTENT).hexdigest(), file: str = "input.txt") -> str:
        url = f"http://127.0.0.1:{server.server_address[1]}/{file}"
        monkeypatch.setitem(CORPORA, "tiny_shakespeare", Corpus(url, sha256))
        return url

    yield serve
    server.shutdown()
    server.server_close()


def test_a_download_is_kept(served, tmp_path, monkeypatch):
    served()
    path = download("tiny_shakespeare", tmp_path)
    assert path == tmp_path / "tiny_shakespeare.txt" and path.read_bytes() == CONTENT
    monkeypatch.setattr(downloads, "urlopen", None)
    assert download("tiny_shakespeare", tmp_path) == path


def test_a_file_cut_short_is_fetched_again(served, tmp_path):
    served()
    (tmp_path / "tiny_shakespeare.txt").write_bytes(CONTENT[:100])
    assert download("tiny_shakespeare", tmp_path).read_bytes() == CONTENT


def test_another_file_than_the_expected_is_refused(served, tmp_path):
    url = served(sha256="0" * 64)
    with pytest.raises(UserError) as caught:
        download("tiny_shakespeare", tmp_path)
    message = str(caught.value)
    assert message.startswith(f"data.name=tiny_shakespeare: {url} has the SHA-256 ") and "0" * 64 in message
    assert [path.name for path in tmp_path.iterdir()] == ["served"]


def test_an_error_of_the_server(served, tmp_path):
    url = served(file="nothing.txt")
    with pytest.raises(UserError) as caught:
        download("tiny_shakespeare", tmp_path)
    assert f"{url} cannot be downloaded (HTTP Error 404: File not found)" in str(caught.value)


def test_without_network_the_message_says_what_to_do(offline, tmp_path):
    with pytest.raises(UserError) as caught:
        download("grimms_fairy_tales", tmp_path)
    message = str(caught.value)
    assert "\n" not in message and CORPORA["grimms_fairy_tales"].url in message
    assert "(<urlopen error Name or service not known>)" in message
    assert message.endswith(f"put the file there by hand as {tmp_path}/grimms_fairy_tales.txt, or data.path=FILE")


def test_a_file_put_there_by_hand_needs_no_network(offline, tmp_path, monkeypatch):
    monkeypatch.setitem(CORPORA, "darwin_dutch", Corpus("http://nowhere", hashlib.sha256(CONTENT).hexdigest()))
    (tmp_path / "darwin_dutch.txt").write_bytes(CONTENT)
    assert download("darwin_dutch", tmp_path).read_bytes() == CONTENT


def test_python_docs_need_no_network(offline, tmp_path):
    path = download("python_docs", tmp_path)
    text = path.read_text(encoding="utf-8")
    assert len(text) > 300_000 and 'The "assert" statement' in text
    assert download("python_docs", tmp_path) == path
    path.write_text("something else")
    assert download("python_docs", tmp_path).read_text(encoding="utf-8") == text


def test_addresses_cannot_change_their_content():
    for corpus in filter(None, CORPORA.values()):
        commit = corpus.url.split("/")[5]
        assert corpus.url.startswith("https://raw.githubusercontent.com/") and " " not in corpus.url
        assert len(commit) == 40 and int(commit, 16)
        assert len(corpus.sha256) == 64 and int(corpus.sha256, 16)


def test_the_cache_is_the_given_directory_or_the_users(tmp_path, monkeypatch):
    assert cache_dir(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir(None) == tmp_path / "home" / ".cache" / "lightning_dl2"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir(None) == tmp_path / "xdg" / "lightning_dl2"


def test_a_home_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()  # no user can create anything under a file
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(downloads, "gettempdir", lambda: str(tmp_path / "temporary"))
    found = cache_dir(None)
    assert found.parent == tmp_path / "temporary" and found.is_dir()
    monkeypatch.setattr(downloads, "gettempdir", lambda: str(tmp_path / "file"))
    with pytest.raises(UserError, match="data.cache_dir=null: neither .* can be written"):
        cache_dir(None)
    with pytest.raises(UserError, match="data.cache_dir=.*file/a: cannot be written; allowed: a directory"):
        cache_dir(str(tmp_path / "file" / "a"))
    with pytest.raises(UserError, match="data.cache_dir=~nobody-of-that-name/a: cannot be written"):
        cache_dir("~nobody-of-that-name/a")


@pytest.mark.parametrize("other", ["owner", "mode", "link"])
def test_a_temporary_directory_of_others_is_not_taken(tmp_path, monkeypatch, other):
    """A cache directory of another user is refused, because its owner could change the text."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(downloads, "gettempdir", lambda: str(tmp_path))
    taken = tmp_path / f"lightning_dl2_{os.getuid()}"
    if other == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        taken.symlink_to(tmp_path / "elsewhere")
    else:
        taken.mkdir()
        taken.chmod(0o777 if other == "mode" else 0o700)
    if other == "owner":
        user = os.getuid()
        monkeypatch.setattr(downloads.os, "getuid", lambda: user + 1)
        taken.rename(tmp_path / f"lightning_dl2_{os.getuid()}")
    with pytest.raises(UserError, match="data.cache_dir=null: .*file/lightning_dl2 cannot be written, and others can"):
        cache_dir(None)


def test_a_cache_that_can_only_be_read(tmp_path, monkeypatch):
    """A read-only cache serves a complete text; otherwise the error says what cannot be written."""
    monkeypatch.setattr(downloads.os, "access", lambda path, mode: not mode & os.W_OK)
    assert cache_dir(str(tmp_path)) == tmp_path
    whole = download("python_docs", tmp_path)

    def refuse(path, text):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(corpora, "write_text", refuse)
    assert download("python_docs", tmp_path) == whole
    whole.unlink()
    with pytest.raises(UserError, match="data.cache_dir=.*python_docs_.* cannot be written there: Permission denied"):
        download("python_docs", tmp_path)


def test_what_is_missing_on_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(path, text):
        raise WriteError(f"{path} cannot be written: No space left on device, 70000 bytes needed, 9 free")

    monkeypatch.setattr(corpora, "write_text", full)
    with pytest.raises(UserError, match="cannot be written there: .*: No space left on device, 70000 bytes needed, 9"):
        download("python_docs", tmp_path)


def test_a_directory_without_permission_is_not_writable(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        cache_dir(str(tmp_path))
