"""Test that best.ckpt is the first of the best, and last.ckpt the state after every nth step and at the end."""

import errno
import os
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.strategies import SingleDeviceStrategy

from lightning_dl2.common.files import WriteError, read_rows
from lightning_dl2.loggers.metrics_csv import MetricsCSV
from lightning_dl2.resume import checkpoint_file
from lightning_dl2.resume.checkpoint_file import is_whole, write
from lightning_dl2.resume.exact_resume import ExactResume
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from tests.small import fit_scripted, small_data, small_task, small_trainer


def loaded(path):
    return torch.load(path, weights_only=True)


def keep(directory, *, every_n_steps=100, monitor="val/accuracy", mode="max"):
    return KeepCheckpoints(directory, every_n_steps=every_n_steps, monitor=monitor, mode=mode)


@pytest.fixture
def saved(monkeypatch):
    """Record all later writes as (file, step)."""
    files = []

    def notes(path, content, previous=None):
        files.append((path.name, loaded(BytesIO(content))["global_step"]))
        write(path, content, previous)

    monkeypatch.setattr(checkpoint_file, "write", notes)
    return files


@pytest.mark.slow
@pytest.mark.parametrize(("monitor", "mode"), [("val/accuracy", "max"), ("val/loss", "min")])
def test_best_follows_the_monitor_and_is_the_first_of_equals(tmp_path, monitor, mode, saved):
    kept = keep(tmp_path, monitor=monitor, mode=mode, every_n_steps=1)
    fit_scripted([0.25, 0.75, 0.5, 0.75, 0.875, 0.875], kept)
    assert [step for name, step in saved if name == "best.ckpt"] == [2, 4, 10]
    assert (kept.best_step, kept.best) == (10, {"val/accuracy": 0.875, "val/loss": 0.125})


@pytest.mark.slow
def test_best_waits_for_last(tmp_path, saved):
    """best.ckpt is written once for all improvements since last.ckpt, and before the next last.ckpt."""
    fit_scripted([0.25, 0.5, 0.75, 0.5, 0.5], keep(tmp_path, every_n_steps=4))
    assert saved == [("best.ckpt", 4), ("last.ckpt", 4), ("best.ckpt", 6), ("last.ckpt", 8), ("last.ckpt", 10)]
    assert loaded(tmp_path / "best.ckpt")["callbacks"]["KeepCheckpoints"] == {
        "best": {"val/accuracy": 0.75, "val/loss": 0.25},
        "best_step": 6,
    }


@pytest.mark.slow
def test_last_is_written_every_n_steps_and_at_the_end(tmp_path, saved):
    for every, expected in ((3, [3, 6, 8]), (4, [4, 8])):  # the end is not written twice
        saved.clear()
        fit_scripted([0.5] * 4, keep(tmp_path, every_n_steps=every))
        assert [step for name, step in saved if name == "last.ckpt"] == expected


@pytest.mark.slow
def test_previous_is_the_last_before(tmp_path):
    fit_scripted([0.5] * 4, keep(tmp_path, every_n_steps=3))
    assert [loaded(tmp_path / f"{name}.ckpt")["global_step"] for name in ("last", "previous", "best")] == [8, 6, 2]
    assert all(is_whole(tmp_path / f"{name}.ckpt") for name in ("last", "previous", "best"))


@pytest.mark.slow
def test_a_damaged_last_does_not_become_the_previous(tmp_path):
    fit_scripted([0.5] * 2, keep(tmp_path, every_n_steps=2), ExactResume(0))
    (tmp_path / "last.ckpt").write_bytes(b"damage")
    fit_scripted([0.5] * 3, keep(tmp_path, every_n_steps=3), ExactResume(0), resume=tmp_path / "previous.ckpt")
    assert [loaded(tmp_path / f"{name}.ckpt")["global_step"] for name in ("last", "previous")] == [6, 3]


@pytest.mark.slow
def test_a_damaged_last_leaves_the_previous_as_it_is(tmp_path):
    fit_scripted([0.5] * 2, keep(tmp_path, every_n_steps=2), ExactResume(0))
    (tmp_path / "last.ckpt").write_bytes(b"damage")
    fit_scripted([0.5] * 2, keep(tmp_path), ExactResume(0), resume=tmp_path / "previous.ckpt")
    assert is_whole(tmp_path / "previous.ckpt")
    assert [loaded(tmp_path / f"{name}.ckpt")["global_step"] for name in ("last", "previous")] == [4, 2]


def test_no_process_goes_on_before_the_first_has_saved(tmp_path, saved, monkeypatch):
    """No rank continues or ends before the first has saved, so a restart finds one checkpoint on all ranks."""
    events = []

    class Notes(Callback):
        def on_train_batch_start(self, trainer, *_):
            trainer.strategy.barrier = lambda *_: events.append(("barrier", len(saved)))

        def on_train_batch_end(self, trainer, *_):
            events.append(("step", trainer.global_step))

    fit_scripted([0.5] * 2, Notes(), keep(tmp_path, every_n_steps=2))
    assert [name for name, _ in saved] == ["best.ckpt", "last.ckpt", "last.ckpt"]
    expected = [("step", 1), ("step", 2), ("barrier", 2), ("step", 3), ("step", 4), ("barrier", 3)]
    assert [event for event in events if event in expected] == expected


@pytest.mark.slow
def test_last_is_never_written_while_gradients_are_accumulated(tmp_path, saved):
    kept, data = keep(tmp_path, every_n_steps=1), small_data(batches_per_epoch=30)
    trainer = small_trainer(callbacks=[kept, ExactResume(0)], accumulate_grad_batches=3, max_steps=5)
    processed = []
    kept.on_save_checkpoint = lambda trainer, *_: processed.append(
        trainer.fit_loop.epoch_loop.batch_progress.total.processed
    )
    trainer.fit(small_task(data), data)
    assert processed == [3, 6, 9, 12, 15]
    assert saved == [*(("last.ckpt", step) for step in range(1, 5)), ("best.ckpt", 5), ("last.ckpt", 5)]


@pytest.mark.slow
def test_a_resumed_run_remembers_the_best(tmp_path, saved):
    fit_scripted([0.25, 0.75], keep(tmp_path))
    saved.clear()
    second = keep(tmp_path)
    fit_scripted([0.25, 0.75, 0.5, 0.75, 1.0], second, resume=tmp_path / "last.ckpt")
    assert saved == [("best.ckpt", 10), ("last.ckpt", 10)]
    assert second.best_step == 10


@pytest.mark.slow
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_validation_that_is_no_number_is_not_the_best(tmp_path, bad):
    kept = keep(tmp_path, monitor="val/loss", mode="min")
    fit_scripted([bad, 0.25, bad, 0.5, bad], kept)
    assert (kept.best_step, kept.best["val/loss"]) == (8, 0.5)
    kept = keep(tmp_path / "none")
    fit_scripted([bad, bad], kept)
    assert (kept.best, kept.best_step) == ({}, 0)
    assert loaded(tmp_path / "none" / "best.ckpt")["global_step"] == 4  # without a better one, the last


class Fails(Callback):
    def __init__(self, step, error):
        self.step, self.error = step, error

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.step:
            raise self.error


@pytest.mark.slow
def test_the_best_of_a_run_that_fails_is_kept_and_the_resumed_run_finds_it_again(tmp_path, saved):
    values = [0.25, 0.75, 0.5, 0.5, 0.5]
    with pytest.raises(ValueError):
        fit_scripted(values, keep(tmp_path, every_n_steps=3), Fails(5, ValueError()), ExactResume(0))
    assert saved == [("best.ckpt", 2), ("last.ckpt", 3), ("best.ckpt", 4)]
    second = keep(tmp_path, every_n_steps=3)
    fit_scripted(values, second, ExactResume(0), resume=tmp_path / "last.ckpt")
    assert (second.best_step, second.best["val/accuracy"]) == (4, 0.75)
    assert loaded(tmp_path / "best.ckpt")["global_step"] == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt(), WriteError("full")])
def test_who_is_told_to_stop_now_or_has_no_room_writes_nothing_more(tmp_path, saved, error):
    with pytest.raises((SystemExit, KeyboardInterrupt, WriteError)):
        fit_scripted([0.25, 0.75], keep(tmp_path), Fails(3, error))
    assert saved == []


@pytest.mark.parametrize("damage", ["damaged", "lost"])
def test_without_its_best_a_resumed_run_says_so_and_seeks_another(tmp_path, capsys, damage):
    fit_scripted([0.75, 0.5], keep(tmp_path))
    best = tmp_path / "best.ckpt"
    best.write_bytes(b"damage") if damage == "damaged" else best.unlink()
    kept = keep(tmp_path)
    fit_scripted([0.75, 0.5, 0.625], kept, resume=tmp_path / "last.ckpt")
    assert capsys.readouterr().err == f"warning: {best} is {damage}; the best is sought from here on\n"
    assert (kept.best_step, loaded(best)["global_step"]) == (6, 6)


def test_a_full_disk_is_told_and_leaves_the_last_whole(tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fit_scripted([0.5], keep(tmp_path))
    with monkeypatch.context() as patch, pytest.raises(WriteError, match="last.ckpt cannot be written: No space left"):
        patch.setattr(os, "fsync", full)
        fit_scripted([0.5, 0.25], keep(tmp_path), resume=tmp_path / "last.ckpt")
    assert loaded(tmp_path / "last.ckpt")["global_step"] == 2 and is_whole(tmp_path / "last.ckpt")
    assert {path.name for path in tmp_path.iterdir()} == {
        "best.ckpt", "last.ckpt", "best.ckpt.sha256", "last.ckpt.sha256"
    }  # fmt: skip


def test_metrics_are_on_the_disk_before_the_checkpoint(tmp_path, saved, monkeypatch):
    """Metrics are synced before the checkpoint, so that a resumed run never lacks rows."""
    data, seen, flushed = small_data(), [], []
    fsync = os.fsync

    def notes(file):
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        flushed.append((path.name, len(saved), path.stat().st_size))
        fsync(file)

    monkeypatch.setattr(os, "fsync", notes)

    class Kept(KeepCheckpoints):
        def on_save_checkpoint(self, trainer, pl_module, checkpoint):
            if trainer.global_step:  # before, the content is only tried
                seen.append((trainer.global_step, int(read_rows(tmp_path / "metrics.csv")[-1]["step"])))

    kept = Kept(tmp_path, every_n_steps=2, monitor="val/accuracy", mode="max")
    logger = MetricsCSV(tmp_path / "metrics.csv", 0)
    small_trainer(callbacks=[kept], logger=logger, log_every_n_steps=1).fit(small_task(data), data)
    assert [step for step, _ in seen if step % 2 == 0] == [2, 4, 6]
    assert all(step == logged for step, logged in seen)
    lasts = [index for index, (name, _) in enumerate(saved) if name == "last.ckpt"]
    flushes = [written for name, written, size in flushed if name == "metrics.csv" and size]
    assert len(lasts) == 3
    for before, index in zip([-1, *lasts], lasts, strict=False):
        assert any(before < written <= index for written in flushes)


@pytest.mark.slow
def test_a_resumed_run_does_not_write_what_is_there(tmp_path, saved):
    """A resumed run does not write last.ckpt again, which would make previous.ckpt a copy of it."""
    fit_scripted([0.25, 0.5], keep(tmp_path, every_n_steps=2))
    saved.clear()
    fit_scripted([0.25, 0.5, 0.5], keep(tmp_path, every_n_steps=2), resume=tmp_path / "last.ckpt")
    assert saved == [("last.ckpt", 6)]
    assert loaded(tmp_path / "previous.ckpt")["global_step"] == 4


def test_a_validation_outside_of_training_is_none(tmp_path):
    kept = keep(tmp_path)
    trainer = fit_scripted([0.25], kept)
    trainer.lightning_module.script[2] = 1.0
    trainer.validate(trainer.lightning_module, small_data(), verbose=False)
    assert (kept.best["val/accuracy"], kept.best_step) == (0.25, 2)


def test_no_rank_goes_on_before_the_checkpoint_is_written(tmp_path, monkeypatch, saved):
    """All ranks wait for each write, including best.ckpt at the end."""
    met = []

    def barrier(self, name=None):
        if name is None:  # Lightning's own barriers have names
            met.append(saved[-1])

    monkeypatch.setattr(SingleDeviceStrategy, "barrier", barrier)
    fit_scripted([0.25, 0.5, 0.75], keep(tmp_path, every_n_steps=2))
    assert met == [("last.ckpt", step) for step in (2, 4, 6)] and saved[-2:] == [("best.ckpt", 6), ("last.ckpt", 6)]


def test_all_ranks_take_what_the_first_has_found(tmp_path, monkeypatch):
    """Rank 0 alone reads best.ckpt, and its clock alone decides whether the next validation may be abandoned."""
    there = {"val/accuracy": 1.0}, 7
    strategy = SimpleNamespace(broadcast=lambda value: there)
    progress = SimpleNamespace(total=SimpleNamespace(processed=9))
    fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    trainer = SimpleNamespace(is_global_zero=False, global_step=9, strategy=strategy, fit_loop=fit_loop)
    monkeypatch.setattr("lightning_dl2.resume.keep_checkpoints.check_loadable", lambda trainer: None)
    for told in ("replace_lost_best", "on_train_start"):
        kept = keep(tmp_path)
        getattr(kept, told)(trainer, *[None][: told == "on_train_start"])
        assert (kept.best, kept.best_step) == there
    monkeypatch.setattr(SingleDeviceStrategy, "broadcast", lambda _, value, src=0: value is False or value)
    kept = keep(tmp_path)
    fit_scripted([0.5, 0.5], kept)
    assert kept._validation_is_long
