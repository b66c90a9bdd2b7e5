"""Test which loggers a run gets, and the TensorBoard event files of a killed run."""

import errno
import itertools
import os
from types import SimpleNamespace

import pytest
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_dl2.common.files import WriteError
from lightning_dl2.loggers.build import build_loggers, finish
from lightning_dl2.loggers.metrics_csv import MetricsCSV
from lightning_dl2.loggers.tensorboard import TensorBoard
from lightning_dl2.loggers.wandb_logger import Wandb
from lightning_dl2.run.directory import Run


@pytest.mark.slow
def test_loggers(tiny, tmp_path):
    run = Run(tmp_path)
    assert [type(each) for each in build_loggers(tiny(), run, 0)] == [MetricsCSV]
    both = build_loggers(tiny("logger=tensorboard"), run, 0)
    assert [type(each) for each in both] == [MetricsCSV, TensorBoard]
    both = build_loggers(tiny("logger=wandb"), run, 0)
    assert [type(each) for each in both] == [MetricsCSV, Wandb]
    finish(both, {})  # the logger was never opened
    assert not (tmp_path / "wandb_id").exists()


def scalars(path):
    """Return the values that TensorBoard shows: name to steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(path / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def log_steps(path, last_step, end, test=False):
    """Log like a process that resumes from a checkpoint, with a validation after every third step."""
    logger = TensorBoard(path, last_step)
    logger.log_hyperparams({"width": 3})
    if last_step:
        logger.log_metrics({"val/loss": last_step / 4}, last_step)
    for step in range(last_step + 1, end + 1):
        logger.log_metrics({"train/loss": step / 2, "epoch": 0}, step)
        if step % 3 == 0:
            logger.log_metrics({"val/loss": step / 4}, step)
    if test:
        logger.log_metrics({"test/loss": 1.0}, end)
    # The process is killed, so nothing is finished or closed.


def test_tensorboard_shows_each_step_of_a_killed_run_once(tmp_path, monkeypatch):
    from tensorboard.summary.writer import event_file_writer

    # TensorBoard reads event files in the order of their names, which begin with the second at which they were opened.
    # No two processes of a run open theirs within one second, so each call here gets a second of its own.
    seconds = itertools.count(1_800_000_000)
    monkeypatch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda: next(seconds)))
    for last_step, end in ((0, 2), (0, 5), (3, 8), (6, 6), (6, 10)):
        log_steps(tmp_path / "killed", last_step, end)
    for _ in range(2):  # again within the final test
        log_steps(tmp_path / "killed", 9, 11, test=True)
    log_steps(tmp_path / "whole", 0, 11, test=True)
    shown = scalars(tmp_path / "killed")
    assert shown == scalars(tmp_path / "whole") and [step for step, _ in shown["val/loss"]] == [3, 6, 9]


def test_a_full_disk_is_told_by_tensorboard_too(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    logger = TensorBoard(tmp_path, 0)
    for name in ("log_hyperparams", "log_metrics", "save", "finalize"):
        monkeypatch.setattr(TensorBoardLogger, name, full)
    for call in (lambda: logger.log_metrics({"a": 1.0}, 1), logger.save, lambda: logger.finalize("success")):
        with pytest.raises(WriteError, match="tensorboard cannot be written: No space left on device"):
            call()
    logger.finalize("failed")
    assert "tensorboard cannot be written" in caplog.text
