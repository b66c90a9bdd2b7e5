"""Test that a checkpoint is complete or refused, also if a process is killed or another one saves."""

import os
import signal
import threading
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from lightning_dl2.common.files import WriteError, file_digest, remove_temporaries, write_text
from lightning_dl2.resume import checkpoint_file
from lightning_dl2.resume.checkpoint_file import is_whole, open_whole, sidecar, write


def archive(text):
    """Return a file in the form that torch.save writes."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as out:
        out.writestr("data", text * 4096)
    return content.getvalue()


OLDER, OLD, NEW, NEWER = (archive(text) for text in "abcd")


def test_digest_decides(tmp_path):
    path = tmp_path / "a.ckpt"
    assert not is_whole(path)
    path.write_bytes(b"1234")
    sidecar(path).write_text(file_digest(path) + "\n")
    assert is_whole(path)
    path.write_bytes(b"1235")
    assert not is_whole(path)


@pytest.mark.parametrize("digest", [b"", b"\x80\xff", b"0" * 64])
def test_a_damaged_digest_is_another_one(tmp_path, digest):
    path = tmp_path / "a.ckpt"
    path.write_bytes(OLD)
    sidecar(path).write_bytes(digest)
    assert not is_whole(path)


@pytest.mark.parametrize("stage", ["no digest yet", "all is done"])
def test_what_is_replaced_while_it_is_looked_at_is_not_taken_for_damaged(tmp_path, monkeypatch, stage):
    """A file replaced while it is read is not called damaged, as when a run saves during `evaluate`."""
    path = tmp_path / "a.ckpt"
    write(path, OLD)

    original = checkpoint_file.hashlib.file_digest

    def replaced_before(content, kind):
        monkeypatch.setattr(checkpoint_file.hashlib, "file_digest", original)
        write(path, NEW)
        if stage == "no digest yet":
            sidecar(path).unlink()
        return original(content, kind)

    monkeypatch.setattr(checkpoint_file.hashlib, "file_digest", replaced_before)
    with open_whole(path) as content:  # the opened file is still complete
        assert content.read() == OLD
    assert is_whole(path) and path.read_bytes() == NEW


def test_between_the_renames_of_a_run_that_saves_it_is_waited_for(tmp_path, monkeypatch):
    path, coming = tmp_path / "a.ckpt", tmp_path / ".a.ckpt.1a2b3c4d.tmp"
    assert not is_whole(path)
    coming.write_bytes(NEW)
    monkeypatch.setattr(checkpoint_file.time, "sleep", lambda seconds: os.replace(coming, path))
    with open_whole(path) as content:
        assert content.read() == NEW


@pytest.mark.slow
def test_a_reader_never_sees_damage_where_a_run_saves_each_step(tmp_path):
    path, ended = tmp_path / "a.ckpt", threading.Event()
    write(path, OLD)

    def saves():
        while not ended.is_set():
            for content in (NEW, OLD):
                write(path, content, tmp_path / "previous.ckpt")

    writer = threading.Thread(target=saves)
    writer.start()
    try:
        for _ in range(300):
            with open_whole(path) as content:
                assert content.read() in (OLD, NEW)
    finally:
        ended.set()
        writer.join()


def test_without_a_digest_the_archives_own_sums_decide(tmp_path):
    path = tmp_path / "a.ckpt"
    path.write_bytes(OLD)
    assert is_whole(path)
    path.write_bytes(OLD[:-100])
    assert not is_whole(path)
    for place in range(0, len(OLD), 97):
        path.write_bytes(OLD[:place] + bytes([OLD[place] ^ 4]) + OLD[place + 1 :])
        assert not is_whole(path) or zipfile.ZipFile(path).read("data") == b"b" * 4096
    path.write_bytes(b"")
    assert not is_whole(path)


def test_the_one_before_is_kept_with_its_digest(tmp_path):
    path, previous = tmp_path / "last", tmp_path / "previous"
    for content in (OLDER, OLD, NEW):
        write(path, content, previous)
    assert (path.read_bytes(), previous.read_bytes()) == (NEW, OLD)
    for file in (path, previous):
        assert sidecar(file).read_text().strip() == file_digest(file)
    write(path, NEWER)
    assert (path.read_bytes(), previous.read_bytes()) == (NEWER, OLD) and is_whole(previous)
    assert len(list(tmp_path.iterdir())) == 4


STAGES = ((os, "replace"), (os, "fsync"), (Path, "unlink"), (Path, "write_bytes"), (Path, "write_text"))


def killed_before(stage, path, previous):
    """Write NEW in a process that is killed before its nth disk operation; return whether it was killed."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == signal.SIGKILL
    count = 0

    def counted(function):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == stage:
                if function.__name__.startswith("write"):  # writes half of the content
                    with open(args[0], "wb") as file:
                        file.write(args[1][: len(args[1]) // 2].encode() if isinstance(args[1], str) else args[1][:99])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for place, name in STAGES:
        setattr(place, name, counted(getattr(place, name)))
    try:
        write(path, NEW, previous)
    finally:
        os._exit(0)


@pytest.mark.slow
def test_killed_at_any_stage_one_is_whole_and_none_is_taken_for_damaged(tmp_path):
    states, stage = set(), 1
    while True:
        directory = tmp_path / str(stage)
        path, previous = directory / "last", directory / "previous"
        for content in (OLDER, OLD):
            write(path, content, previous)
        killed = killed_before(stage, path, previous)
        there = [file for file in (path, previous) if file.exists()]
        assert there and all(is_whole(file) for file in there), stage
        newest = there[0].read_bytes()
        assert newest in (OLD, NEW)
        states.add((path in there, newest == NEW))
        remove_temporaries(directory)
        write(path, NEWER, previous)
        assert path.read_bytes() == NEWER and is_whole(path) and is_whole(previous)
        assert previous.read_bytes() in (OLDER, OLD, NEW)
        assert len(list(directory.iterdir())) - sidecar(previous).exists() == 3  # no half-written file remains
        if not killed:
            break
        stage += 1
    assert stage > 12 and states == {(True, False), (False, False), (True, True)}


def test_a_file_in_the_place_of_a_directory_is_told(tmp_path):
    (tmp_path / "checkpoints").touch()
    with pytest.raises(WriteError, match=f"^{tmp_path}/checkpoints/last.ckpt cannot be written: "):
        write(tmp_path / "checkpoints" / "last.ckpt", NEW)


@pytest.mark.parametrize(
    "write", [write_text, lambda path, _: checkpoint_file.write(path, NEW)], ids=["text", "verified"]
)
def test_what_takes_the_place_is_on_the_disk_and_then_so_is_its_name(tmp_path, monkeypatch, write):
    """The content is synced before the name and the directory after it, so that a power cut leaves a whole file."""
    calls, fsync, replace = [], os.fsync, os.replace

    def flushes(file):
        calls.append("directory" if os.path.isdir(f"/proc/self/fd/{file}") else "content")
        fsync(file)

    def moves(*paths):
        calls.append("name")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", flushes)
    monkeypatch.setattr(os, "replace", moves)
    write(tmp_path / "a.ckpt", "text")
    places = [index for index, call in enumerate(calls) if call == "name"]
    assert places and all(calls[index - 1 : index + 2] == ["content", "name", "directory"] for index in places)


def test_a_checkpoint_is_on_the_disk_before_the_one_before_is_moved(tmp_path, monkeypatch):
    path, calls, fsync, replace = tmp_path / "last", [], os.fsync, os.replace
    write(path, OLD)

    def flushes(file):
        calls.append(Path(os.readlink(f"/proc/self/fd/{file}")).suffix)
        fsync(file)

    def moves(source, target):
        calls.append((Path(source).name, Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", flushes)
    monkeypatch.setattr(os, "replace", moves)
    write(path, NEW, tmp_path / "previous")
    assert calls[:2] == [".tmp", ("last", "previous")]
