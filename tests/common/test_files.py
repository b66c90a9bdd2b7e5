"""Test that a file is either complete or absent."""

import errno
import os
import pickle

import pytest

from lightning_dl2.common.files import WriteError, remove_temporaries, replacing, write_text, writing


def test_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and path.read_text() == "old"


def test_success_takes_its_place(tmp_path):
    write_text(tmp_path / "a", "old")
    write_text(tmp_path / "a", "ü")
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_text() == "ü"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO])
def test_what_the_disk_answers_is_told_with_the_file(tmp_path, number):
    with pytest.raises(WriteError, match=f"^{tmp_path}/a cannot be written: {os.strerror(number)}") as told:
        with writing(tmp_path / "a", 12345):
            raise OSError(number, os.strerror(number))
    assert "12,345 bytes are needed" in str(told.value) and told.value.errno == number
    again = pickle.loads(pickle.dumps(told.value))  # as sent from another process
    assert (str(again), again.errno) == (str(told.value), number)
    assert ("bytes are free" in str(told.value)) == (number == errno.ENOSPC)


def test_what_is_not_the_disks_fault_stays_what_it_is(tmp_path):
    with pytest.raises(ConnectionResetError), replacing(tmp_path / "a"):
        raise ConnectionResetError(errno.ECONNRESET, "")
    assert not issubclass(ConnectionResetError, WriteError)


def test_a_path_that_cannot_be_written_is_told_as_it_is(tmp_path):
    """The error names the path that cannot be written, not the cleanup of the half-written file."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path, number in (("none/a", errno.ENOENT), ("file/a", errno.ENOTDIR), ("folder", errno.EISDIR)):
        with pytest.raises(WriteError, match=f"^{tmp_path / path} cannot be written: {os.strerror(number)}$"):
            write_text(tmp_path / path, "a")


def test_temporaries_of_two_machines_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        assert one != other
        one.touch(), other.touch()


def test_temporaries_are_removed_and_nothing_else(tmp_path):
    kept = [tmp_path / "a.tmp", tmp_path / ".lock", tmp_path / "b" / "last.ckpt"]
    for path in (*kept, tmp_path / ".a.1a.tmp", tmp_path / "b" / ".last.ckpt.2b.tmp"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    remove_temporaries(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
