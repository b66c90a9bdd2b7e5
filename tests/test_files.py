"""A file is whole or not there."""

import zipfile

import pytest

from lightning_dl2.files import file_digest, is_whole, replacing, sidecar, write_text


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


def test_digest_decides(tmp_path):
    path = tmp_path / "a.ckpt"
    assert not is_whole(path)
    path.write_bytes(b"1234")
    sidecar(path).write_text(file_digest(path) + "\n")
    assert is_whole(path)
    path.write_bytes(b"1235")
    assert not is_whole(path)


def test_without_a_digest_a_cut_archive_is_seen(tmp_path):
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", b"0" * 4096)
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert not is_whole(path)
    path.write_bytes(b"")
    assert not is_whole(path)
