"""best.ckpt is the first of the best, last.ckpt the state after every nth step and at the end."""

import pytest
import torch

from lightning_dl2.callbacks import ExactResume, KeepCheckpoints, MetricsCSV
from lightning_dl2.callbacks.metrics_csv import read_rows
from tests.small import fit_scripted, small_data, small_task, small_trainer


class Kept(KeepCheckpoints):
    """Notes what it saves: (file, step)."""

    def __init__(self, directory, *, every_n_steps=100, monitor="val/accuracy", mode="max"):
        super().__init__(directory, every_n_steps=every_n_steps, monitor=monitor, mode=mode)
        self.saved = []

    def _save(self, trainer, name):
        super()._save(trainer, name)
        assert torch.load(self.directory / name, weights_only=True)["global_step"] == trainer.global_step
        self.saved.append((name, trainer.global_step))

    def steps(self, name):
        return [step for file, step in self.saved if file == name]


@pytest.mark.parametrize(("monitor", "mode"), [("val/accuracy", "max"), ("val/loss", "min")])
def test_best_follows_the_monitor_and_is_the_first_of_equals(tmp_path, monitor, mode):
    kept = Kept(tmp_path, monitor=monitor, mode=mode)
    fit_scripted([0.25, 0.75, 0.5, 0.75, 0.875, 0.875], kept)
    assert kept.steps("best.ckpt") == [2, 4, 10]
    assert (kept.best_step, kept.best) == (10, {"val/accuracy": 0.875, "val/loss": 0.125})


def test_last_is_written_every_n_steps_and_at_the_end(tmp_path):
    kept = Kept(tmp_path, every_n_steps=3)
    fit_scripted([0.5] * 4, kept)
    assert kept.steps("last.ckpt") == [3, 6, 8]
    kept = Kept(tmp_path, every_n_steps=4)
    fit_scripted([0.5] * 4, kept)
    assert kept.steps("last.ckpt") == [4, 8]  # the end is not written twice


def test_last_is_never_written_while_gradients_are_accumulated(tmp_path):
    kept, data = Kept(tmp_path, every_n_steps=1), small_data(batches_per_epoch=30)
    trainer = small_trainer(callbacks=[kept, ExactResume(0)], accumulate_grad_batches=3, max_steps=5)
    processed = []
    kept.on_save_checkpoint = lambda trainer, *_: processed.append(
        trainer.fit_loop.epoch_loop.batch_progress.total.processed
    )
    trainer.fit(small_task(data), data)
    last = [count for count, (name, _) in zip(processed, kept.saved, strict=True) if name == "last.ckpt"]
    assert last == [3, 6, 9, 12, 15]


def test_a_resumed_run_remembers_the_best(tmp_path):
    first, second = Kept(tmp_path), Kept(tmp_path)
    fit_scripted([0.25, 0.75], first)
    fit_scripted([0.25, 0.75, 0.5, 0.75, 1.0], second, resume=tmp_path / "last.ckpt")
    assert second.saved == [("best.ckpt", 10), ("last.ckpt", 10)]
    assert second.best_step == 10


def test_metrics_are_on_the_disk_before_the_checkpoint(tmp_path):
    """Else a killed run would go on from a step whose metrics are lost."""
    data, seen = small_data(), []

    class Kept(KeepCheckpoints):
        def on_save_checkpoint(self, trainer, pl_module, checkpoint):
            seen.append((trainer.global_step, int(read_rows(tmp_path / "metrics.csv")[-1]["step"])))

    kept = Kept(tmp_path, every_n_steps=2, monitor="val/accuracy", mode="max")
    logger = MetricsCSV(tmp_path / "metrics.csv", 0)
    small_trainer(callbacks=[kept], logger=logger, log_every_n_steps=1).fit(small_task(data), data)
    assert [step for step, _ in seen if step % 2 == 0] == [2, 4, 6]
    assert all(step == logged for step, logged in seen)
