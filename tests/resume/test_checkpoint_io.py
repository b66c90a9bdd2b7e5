"""Test that a checkpoint is complete or refused, and that the old one stays until the new one is complete."""

import errno
import os
from pathlib import Path

import pytest
import torch

from lightning_dl2.resume.checkpoint_file import sidecar
from lightning_dl2.resume.checkpoint_io import VerifiedCheckpointIO
from tests.small import small_data, small_task, small_trainer

OLD, NEW = {"weights": torch.zeros(1000)}, {"weights": torch.ones(1000)}


@pytest.fixture
def io():
    return VerifiedCheckpointIO()


@pytest.fixture
def path(tmp_path, io):
    path = tmp_path / "deep" / "last.ckpt"
    io.save_checkpoint(OLD, path)
    return path


def holds(io, path, checkpoint) -> bool:
    return torch.equal(io.load_checkpoint(path)["weights"], checkpoint["weights"])


def test_what_was_saved_is_loaded(io, path):
    assert holds(io, path, OLD)
    io.save_checkpoint(NEW, path)
    assert holds(io, path, NEW)
    assert {file.name for file in path.parent.iterdir()} == {"last.ckpt", "last.ckpt.sha256"}


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "append"])
def test_a_damaged_file_is_refused(io, path, damage):
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes({"truncate": content[:-100], "empty": b"", "append": content + b"\0"}.get(damage, content))
    with pytest.raises(OSError, match="last.ckpt is damaged: it differs from the digest beside it"):
        io.load_checkpoint(path)


def test_a_file_without_digest_is_unverified_not_damaged(io, path):
    sidecar(path).unlink()
    assert holds(io, path, OLD)


def test_an_empty_file_is_refused_even_without_digest(io, path):
    sidecar(path).unlink()
    path.write_bytes(b"")
    with pytest.raises(OSError, match="damaged"):
        io.load_checkpoint(path)


@pytest.mark.parametrize("where", ["in the middle of the file", "fsync", "replace", "digest"])
def test_a_failed_write_leaves_a_file_that_loads(io, path, monkeypatch, where):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fails(*args):
        raise full

    def half(file, content):
        with open(file, "wb") as out:
            out.write(content[: len(content) // 2])
        raise full

    if where == "in the middle of the file":
        monkeypatch.setattr(Path, "write_bytes", half)
    elif where == "digest":
        monkeypatch.setattr("lightning_dl2.resume.checkpoint_file.write_text", fails)
    else:
        monkeypatch.setattr(os, where, fails)
    with pytest.raises(OSError, match="No space left"):
        io.save_checkpoint(NEW, path)
    monkeypatch.undo()
    assert holds(io, path, NEW if where == "digest" else OLD)
    assert not list(path.parent.glob(".*"))  # no half-written file remains


def test_removing_takes_the_digest_along(io, path):
    io.remove_checkpoint(path)
    assert not list(path.parent.iterdir())


def test_code_in_a_checkpoint_is_not_run(io, path):
    """A checkpoint with code is refused, because loading uses weights_only."""
    torch.save({"weights": print}, path)
    sidecar(path).unlink()
    with pytest.raises(Exception, match="[Ww]eights.only"):
        io.load_checkpoint(path)


@pytest.mark.slow
def test_lightnings_own_checkpointing_goes_through_it(tmp_path):
    data = small_data()
    trainer = small_trainer(
        plugins=[VerifiedCheckpointIO()],
        enable_checkpointing=True,
        default_root_dir=tmp_path,
        max_epochs=3,
        max_steps=-1,
    )
    trainer.fit(small_task(data), data)
    (kept,) = tmp_path.rglob("*.ckpt")  # the last of three remains
    assert list(tmp_path.rglob("*.sha256")) == [sidecar(kept)]
