"""Test that downloaded files are complete or reported in one line. No test uses the network."""

import hashlib
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lightning_dl2.builtin.data_path import BY_HAND
from lightning_dl2.builtin.graph_data import HETEROPHILOUS, WITH_ATTRIBUTES
from lightning_dl2.common.errors import UserError
from lightning_dl2.data import downloads as fetching
from lightning_dl2.data.graph_files import downloads
from lightning_dl2.data.graph_files.downloads import ATTRIBUTES, HASHES, URLS, fetch_graphs
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graph_files.planetoid import PARTS, read_planetoid
from lightning_dl2.data.graph_files.ten_fold import read_ten_fold
from lightning_dl2.data.graphs.load_sets import load_graph_set
from tests.graph_files import REAL, needs

FILES = {"toy.txt": b"1\n1 0\n0 0\n", "folds/test.txt": b"0\n"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve the set `toy` on this machine; yield its address."""
    folder = tmp_path / "served"
    for file, content in FILES.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setitem(URLS, "toy", url)
    monkeypatch.setitem(HASHES, "toy", {file: hashlib.sha256(content).hexdigest() for file, content in FILES.items()})
    yield url
    server.shutdown()
    server.server_close()


def test_attributes_are_fetched_beside_a_set(served, tmp_path, monkeypatch):
    """The set toy, two graphs of a node each in DGCNN's format, gets the numbers of its nodes from another file."""
    graphs, numbers = b"2\n1 0\n0 0\n1 1\n0 0\n", b"0.5, 2\n-1, 3\n"
    for name, content in (("enzymes.txt", graphs), ("numbers.txt", numbers)):
        (tmp_path / "served" / name).write_bytes(content)
    known = [hashlib.sha256(content).hexdigest() for content in (graphs, numbers)]
    monkeypatch.setitem(URLS, "enzymes", served)
    monkeypatch.setitem(HASHES, "enzymes", {"enzymes.txt": known[0]})
    monkeypatch.setitem(ATTRIBUTES, "enzymes", (f"{served}/numbers.txt", known[1]))
    load = partial(load_graph_set, "enzymes", None, sizes={}, cache=str(tmp_path / "cache"))
    assert load().node_features is None
    assert load(reading=Reading(node_attributes=True)).node_features.tolist() == [[0.5, 2], [-1, 3]]
    text = str(tmp_path / "served" / "enzymes.txt")
    with pytest.raises(UserError, match="data.node_attributes=true: .*enzymes.txt is in DGCNN's format"):
        load_graph_set("enzymes", text, sizes={}, cache=None, reading=Reading(node_attributes=True))


def test_a_cache_without_room_for_the_directory_is_told(tmp_path):
    (tmp_path / "cora").touch()
    for cache in (tmp_path, Path("/proc")):
        with pytest.raises(UserError, match=f"data.cache_dir={cache}: {cache}/cora.* cannot be made: .*; fix: "):
            fetch_graphs("cora", cache)


def test_files_are_fetched_once(served, tmp_path, monkeypatch):
    directory = fetch_graphs("toy", tmp_path / "cache")
    assert directory == tmp_path / "cache" / "toy"
    assert {file: (directory / file).read_bytes() for file in FILES} == FILES
    monkeypatch.setattr(fetching, "urlopen", None)
    assert fetch_graphs("toy", tmp_path / "cache") == directory


def test_only_what_is_damaged_is_fetched_again(served, tmp_path, monkeypatch):
    directory = fetch_graphs("toy", tmp_path)
    (directory / "folds/test.txt").write_bytes(b"")
    asked, urlopen = [], fetching.urlopen
    monkeypatch.setattr(fetching, "urlopen", lambda url, timeout: asked.append(url) or urlopen(url, timeout=timeout))
    fetch_graphs("toy", tmp_path)
    assert asked == [f"{served}/folds/test.txt"] and (directory / "folds/test.txt").read_bytes() == b"0\n"


def test_another_file_than_the_expected_is_refused(served, tmp_path):
    (tmp_path / "served/toy.txt").write_bytes(b"2\n")
    with pytest.raises(UserError) as caught:
        fetch_graphs("toy", tmp_path)
    message, path = str(caught.value), tmp_path / "toy" / "toy.txt"
    assert message.startswith(
        f"data.name=toy: {served}/toy.txt has the SHA-256 {hashlib.sha256(b'2' + bytes([10])).hexdigest()} instead of"
    )
    assert message.endswith(f"put the file there by hand as {path}, or data.path=DIR with all files")
    assert not path.exists()


def test_a_git_hash_is_checked_too(served, tmp_path, monkeypatch):
    """The git hash equals git's definition computed by hand, and git's own result if git is installed."""
    content = FILES["toy.txt"]
    known = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if shutil.which("git"):
        answer = subprocess.run(["git", "hash-object", "--stdin"], input=content, capture_output=True, check=True)
        assert answer.stdout.decode().strip() == known
    monkeypatch.setitem(HASHES, "toy", {"toy.txt": known})
    assert (fetch_graphs("toy", tmp_path / "a") / "toy.txt").read_bytes() == content
    monkeypatch.setitem(HASHES, "toy", {"toy.txt": "0" * 40})
    with pytest.raises(UserError, match=f"has the git hash {known} instead of {'0' * 40}; fix: put the file there"):
        fetch_graphs("toy", tmp_path / "b")


def test_without_network_the_message_says_what_to_do(offline, tmp_path):
    with pytest.raises(UserError) as caught:
        fetch_graphs("citeseer", tmp_path)
    message = str(caught.value)
    assert "\n" not in message and f"{downloads.PLANETOID_FILES}/ind.citeseer.x cannot be downloaded" in message
    assert f"put the file there by hand as {tmp_path}/citeseer/ind.citeseer.x, or data.path=DIR" in message


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in ("cora", "mutag", "proteins")])
def test_the_table_knows_the_real_files(offline, tmp_path, name):
    """Files placed by hand are read without network."""
    shutil.copytree(REAL / name, tmp_path / name)
    directory = fetch_graphs(name, tmp_path)
    shutil.rmtree(directory / "tu_format", ignore_errors=True)
    if name == "cora":
        assert read_planetoid(directory, name).num_nodes == 2708
    else:
        assert len(read_ten_fold(directory)) == {"mutag": 188, "proteins": 1113}[name]


def test_the_table():
    others = {"cora", "citeseer", "pubmed", "mutag", "proteins", "enzymes", "nci1", "exp", "cexp", "brec"}
    assert set(HASHES) == set(URLS) == others | set(HETEROPHILOUS)
    assert all(set(HASHES[name]) == {f"{name}.npz"} for name in HETEROPHILOUS)
    for name in ("cora", "citeseer", "pubmed"):
        assert set(HASHES[name]) == {f"ind.{name}.{part}" for part in PARTS}
    for name in ("mutag", "proteins", "enzymes", "nci1"):
        folds = {f"10fold_idx/{part}_idx-{fold}.txt" for part in ("train", "test") for fold in range(1, 11)}
        assert set(HASHES[name]) == folds | {f"{name.upper()}.txt"}
    hashes = {(name, file): found for name, files in HASHES.items() for file, found in files.items()}
    by_git = {file for (_, file), found in hashes.items() if len(found) == 40}
    assert by_git == {"ind.pubmed.allx", "questions.npz", "roman_empire.npz", "amazon_ratings.npz"}
    assert all(int(found, 16) and len(found) in (40, 64) for found in hashes.values())
    assert len(set(hashes.values())) == len(hashes)
    assert set(ATTRIBUTES) == set(WITH_ATTRIBUTES) and all(len(found) == 64 for _, found in ATTRIBUTES.values())
    for url in (*URLS.values(), *(url for url, _ in ATTRIBUTES.values())):
        commit = url.split("/")[5]
        assert url.startswith("https://raw.githubusercontent.com/") and len(commit) == 40 and int(commit, 16)


@pytest.mark.parametrize("name", BY_HAND)
def test_what_cannot_be_fetched_says_where_it_is(name, tmp_path):
    with pytest.raises(UserError) as caught:
        fetch_graphs(name, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"data.path=null: data.name={name} cannot be downloaded; fix: set data.path to the ")
    assert "https://" in message and "\n" not in message and not list(tmp_path.iterdir())


def test_an_unknown_name(tmp_path):
    with pytest.raises(UserError, match="data.name=protein: cannot be downloaded; did you mean proteins"):
        fetch_graphs("protein", tmp_path)
