"""Test that unusable paths are refused before any work."""

import errno
from pathlib import Path

import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.paths import out_directory, out_file, user_path, write_to


def test_a_full_disk_is_no_wrong_input(tmp_path):
    with pytest.raises(OSError) as error:
        write_to(Path("/dev/full"), "text")
    assert error.value.errno == errno.ENOSPC
    with pytest.raises(UserError, match="^out=.*: cannot be written: Is a directory"):
        write_to(tmp_path, "text")


def test_a_file_must_be_writable_where_it_is_named(tmp_path):
    assert out_file("-") is None and out_file(str(tmp_path / "x.csv")) == tmp_path / "x.csv"
    for out in ("", str(tmp_path), str(tmp_path / "nowhere" / "x.csv"), "x" * 5000, "a\0b"):
        with pytest.raises(UserError, match="cannot be written"):
            out_file(out)


def test_a_directory_that_stays_empty_is_removed(tmp_path):
    with out_directory(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a").exists()
    with out_directory(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").touch()
    assert (tmp_path / "a" / "b" / "file").exists()


def test_a_users_home_is_looked_up():
    assert user_path("data.path", "~/x") == Path.home() / "x"
    with pytest.raises(UserError, match=r"^data.path=~nobody_at_all/x: is not a path"):
        user_path("data.path", "~nobody_at_all/x")
