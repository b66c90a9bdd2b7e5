"""Test that callbacks work with other Trainers and modules, or name in one line what they need."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from lightning_dl2 import callbacks
from lightning_dl2.callbacks import (
    Curves,
    FinalValidation,
    GradientFlow,
    LengthCurriculum,
    OwnModule,
    ProgressBar,
    Samples,
    Stopwatch,
    StopWhenSolved,
    StopWhenStalled,
    WeightAveraging,
    WeightNoise,
)
from lightning_dl2.common.errors import UserError
from lightning_dl2.loggers.metrics_csv import MetricsCSV
from lightning_dl2.resume.exact_resume import ExactResume
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from lightning_dl2.resume.preemption import Preemption
from tests.small import small_data, small_task, small_trainer

FIX = "; fix: call fit.task, datamodule. with a "


class Plain(pl.LightningModule):
    """A foreign module without spec and net, whose step returns a chosen value."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        loss = self.layer(*batch).square().mean()
        self.log("train/loss", loss)
        return {"loss": loss, "outputs": self.layer(*batch), "name": "x"}

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.layer(*batch).square().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.randn(32, 4)), 4)

    val_dataloader = train_dataloader


def made(name, path):
    keep = KeepCheckpoints(path, every_n_steps=4, monitor="val/loss", mode="min")
    sizes = {"prompts": ["a"], "length": 4, "temperatures": [1.0], "num_greedy": 1, "greedy_length": 4}
    return {
        "Curves": lambda: [Curves(path / "metrics.csv", path), keep],
        "ExactResume": lambda: [ExactResume(0)],
        "FinalValidation": lambda: [keep, FinalValidation(keep)],
        "GradientFlow": lambda: [GradientFlow(path / "flow.csv", path, every_n_steps=2)],
        "KeepCheckpoints": lambda: [keep],
        "LengthCurriculum": lambda: [LengthCurriculum()],
        "OwnModule": lambda: [OwnModule()],
        "Preemption": lambda: [keep, Preemption(keep, None)],
        "ProgressBar": lambda: [ProgressBar(True)],
        "Samples": lambda: [Samples(path, **sizes)],
        "StopWhenSolved": lambda: [StopWhenSolved("val/loss", threshold=1e9, times=2)],
        "StopWhenStalled": lambda: [StopWhenStalled("val/loss", patience=9)],
        "Stopwatch": lambda: [Stopwatch()],
        "WeightAveraging": lambda: [WeightAveraging(0.9, 0)],
        "WeightNoise": lambda: [WeightNoise(0.1, 0, 0)],
    }[name]()


def fit(path, callbacks, task=None, *data):
    trainer = small_trainer(
        callbacks=callbacks, logger=[MetricsCSV(path / "metrics.csv", 0)], val_check_interval=3, log_every_n_steps=1
    )
    trainer.fit(task or Plain(), *data)
    return trainer


NEEDS = {
    "GradientFlow": f"GradientFlow: Plain has no net{FIX}SequenceClassifier or TextGenerator",
    "LengthCurriculum": f"LengthCurriculum: was given no data module{FIX}SequenceDataModule that has a curriculum",
    "Samples": f"Samples: Plain has no net{FIX}TextGenerator and a TextDataModule",
}
PUBLIC = sorted(name for name, value in vars(callbacks).items() if isinstance(value, type))


@pytest.mark.parametrize("name", PUBLIC)
def test_in_a_trainer_of_somebody_else(tmp_path, name):
    if name in NEEDS:
        with pytest.raises(UserError, match=NEEDS[name]):
            fit(tmp_path, made(name, tmp_path))
        return
    parts = made(name, tmp_path)
    for part in parts:
        if isinstance(part, ProgressBar):
            part.interval = 0.0
    trainer = fit(tmp_path, parts)
    assert trainer.global_step == 6
    if any(isinstance(part, KeepCheckpoints) for part in parts):
        assert (tmp_path / "last.ckpt").exists()
    assert (name == "Curves") == (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("name", ["LengthCurriculum", "Samples"])
def test_with_a_data_module_of_another_kind(tmp_path, name):
    data = small_data()
    lacks = {"LengthCurriculum": "SequenceDataModule has no curriculum", "Samples": "SequenceDataModule has no vocab"}
    with pytest.raises(UserError, match=lacks[name]):
        fit(tmp_path, made(name, tmp_path), small_task(data), data)


@pytest.mark.parametrize("rule", [StopWhenSolved("val/f1", threshold=0.5, times=1), "KeepCheckpoints"])
def test_a_metric_that_is_not_logged_is_told(tmp_path, rule):
    if rule == "KeepCheckpoints":
        rule = KeepCheckpoints(tmp_path, every_n_steps=4, monitor="val/f1", mode="max")
    with pytest.raises(UserError, match="monitor=val/f1: the validation logs no such metric; allowed: val/loss"):
        fit(tmp_path, [rule])
