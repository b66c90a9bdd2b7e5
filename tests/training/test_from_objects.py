"""Test that objects of a script train in a run directory, with the same promises as a configuration."""

import pytest
import torch
from pytorch_lightning import Callback, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lightning_dl2
from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.preemption import Interrupted
from lightning_dl2.run.directory import Run
from lightning_dl2.training.from_objects import _config


class Net(LightningModule):
    def __init__(self, hidden_size: int = 4, saves: bool = True) -> None:
        super().__init__()
        if saves:
            self.save_hyperparameters(ignore=["saves"])
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Linear(2, hidden_size), nn.Dropout(0.3), nn.Linear(hidden_size, 2))

    def loss(self, batch):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def training_step(self, batch, batch_idx):
        return self.loss(batch)

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Stop(Callback):
    """Interrupt training at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            raise Interrupted("a test", 75)


def loader() -> DataLoader:
    inputs = torch.arange(40.0).reshape(20, 2).sin()
    return DataLoader(TensorDataset(inputs, (inputs[:, 0] > 0).long()), batch_size=4, shuffle=True)


TRAINER = {"max_steps": 12, "val_check_interval": 4, "num_threads": 1}
QUIET = ("callbacks.progress_bar=false", "callbacks.curves=false", "callbacks.checkpoint.every_n_steps=3")


def fit(root, task=None, **arguments):
    arguments = {"name": "mine", "trainer": TRAINER, "overrides": QUIET} | arguments
    return lightning_dl2.fit(task or Net(), WithValidation(), root=str(root), **arguments)


class WithValidation(lightning_dl2.MapStyleDataModule):
    def __init__(self) -> None:
        super().__init__(train=loader().dataset, val=loader().dataset, batch_size=4)


@pytest.mark.slow
def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(tmp_path):
    result, objects = fit(tmp_path / "whole")
    assert result["status"] == "completed" and result["steps"] == 12 and "val/loss" in result["metrics"]
    with pytest.raises(Interrupted):
        fit(tmp_path / "stopped", callbacks=[Stop(7)])
    resumed, _ = fit(tmp_path / "stopped")
    assert resumed["metrics"] == result["metrics"]
    runs = [Run(next((tmp_path / name).rglob("config.yaml")).parent) for name in ("whole", "stopped")]
    first, second = (run.load(run.last) for run in runs)
    assert all(torch.equal(first["state_dict"][name], second["state_dict"][name]) for name in first["state_dict"])
    again, kept = fit(tmp_path / "whole")  # complete: nothing is trained
    assert again == result
    best = objects["run"].load(objects["run"].best)["state_dict"]
    assert all(torch.equal(value, best[name]) for name, value in kept["task"].state_dict().items())


@pytest.mark.slow
def test_what_cannot_be_a_run_is_one_line(tmp_path):
    for arguments, says in (
        ({"task": nn.Linear(1, 1)}, "fit: task is a Linear; allowed: a pytorch_lightning.LightningModule"),
        ({"task": Net(saves=False), "name": None}, "fit: Net has saved no plain hyperparameters"),
        ({"trainer": {"max_stepps": 3}}, "trainer.max_stepps=3: there is no key trainer.max_stepps; did you mean"),
        ({"trainer": {"devices": 2}}, "trainer.devices=2: fit has the objects of this process alone"),
        ({"overrides": ["seed"]}, "seed: is not of the form key=value"),
    ):
        with pytest.raises(UserError, match=f"^{says}"):
            fit(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_another_net_has_another_directory(tmp_path):
    runs = [Run.of(_config(Net(size), WithValidation(), str(tmp_path), "mine", 0, [])) for size in (4, 5)]
    assert runs[0].path != runs[1].path and runs[0].path.parent.parent == tmp_path / "mine"
