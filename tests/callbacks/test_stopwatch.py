"""Test that the stopwatch counts seconds of training alone, over all starts of a run.

The clock is scripted: a step takes 1 s, a validation 100 s.
"""

import pytest
from pytorch_lightning import Callback

from lightning_dl2.callbacks import Stopwatch, stopwatch
from lightning_dl2.resume.exact_resume import ExactResume
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from tests.small import fit_scripted


@pytest.fixture
def clock(monkeypatch):
    class Clock(Callback):
        now = 1000.0

        def on_train_batch_end(self, *args):
            self.now += 1

        def on_validation_batch_end(self, *args):
            self.now += 100

    clock = Clock()
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: clock.now)
    return clock


def test_validation_does_not_count(clock):
    watch = Stopwatch()
    fit_scripted([0.5] * 3, watch, clock)
    assert watch.seconds == 6


@pytest.mark.slow
def test_evaluation_without_training_does_not_count(clock):
    watch = Stopwatch()
    trainer = fit_scripted([0.5] * 3, watch, clock)
    trainer.validate(trainer.lightning_module, trainer.datamodule, verbose=False)
    trainer.test(trainer.lightning_module, trainer.datamodule, verbose=False)
    clock.now += 1e6
    assert watch.state_dict() == {"seconds": 6}


@pytest.mark.slow
def test_goes_on_after_a_resume(clock, tmp_path):
    kept = KeepCheckpoints(tmp_path, every_n_steps=3, monitor="val/accuracy", mode="max")
    fit_scripted([0.5] * 2, Stopwatch(), clock, kept, ExactResume(0))
    clock.now += 1e6  # time between the processes
    watch = Stopwatch()
    fit_scripted([0.5] * 4, watch, clock, ExactResume(0), resume=tmp_path / "last.ckpt")
    assert watch.seconds == 8


def test_a_running_watch_can_be_read(clock):
    watch = Stopwatch()
    watch.on_train_start(None, None)
    clock.now += 5
    assert watch.state_dict() == {"seconds": 5}
