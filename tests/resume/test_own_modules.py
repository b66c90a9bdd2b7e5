"""Test that modules and data of strangers resume to the bits of the run that never stopped, with a plain Trainer."""

import functools

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from pytorch_lightning.demos.boring_classes import BoringDataModule, BoringModel, ManualOptimBoringModel
from pytorch_lightning.demos.transformer import LightningTransformer
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric

from lightning_dl2.common.errors import UserError
from lightning_dl2.resume import exact_resume
from lightning_dl2.resume.data import MapStyleDataModule, adapt
from tests.comparison import differing
from tests.resume.own_modules import Augmented, Tokens, differences, trained


class Net(BoringModel):
    """Dropout, a metric, means of an epoch, a schedule that follows the validation, hooks that see the epoch."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(32, 2))
        self.mean, self.epochs = MeanMetric(), []

    def training_step(self, batch, batch_idx):
        loss = self.step(batch)
        self.mean.update(loss)
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log("mean", self.mean, on_step=False, on_epoch=True)
        self.log("largest", loss, on_step=False, on_epoch=True, reduce_fx="max")
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("loss/val", self.step(batch), sync_dist=True)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch + torch.randn(()) if self.training else batch

    def on_train_epoch_end(self):
        self.log("epoch", float(self.current_epoch))

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), 1e-2)
        schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "loss/val"}}


class Plain(pl.LightningDataModule):
    """A data module that is not adapted."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def train_dataloader(self):
        return DataLoader(self.rows)


class Accumulates(Net):
    """Two optimisers, stepped by hand after every third batch, with gradients that wait in between."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.manual_backward(loss / 3)
        if (batch_idx + 1) % 3 == 0:
            for optimizer in self.optimizers():
                optimizer.step()
                optimizer.zero_grad()
            self.lr_schedulers().step()

    def configure_optimizers(self):
        optimizers = [torch.optim.SGD([parameter], 0.1, momentum=0.9) for parameter in self.layer.parameters()]
        return optimizers, [StepLR(optimizers[0], 2, 0.5)]


def augmented(workers=0):
    return MapStyleDataModule(Augmented(18), batch_size=3, validation_fraction=0.2, num_workers=workers)


def boring():
    pl.seed_everything(2, verbose=False)
    return adapt(BoringDataModule(), seed=0)


def tokens():
    return MapStyleDataModule(Tokens(10), Tokens(4), batch_size=2)


# Epochs of 5 batches: kills within one, at its end and start, and between the batches of a step.
KILLS = (2, 4, 5, 9)
RUNS = {
    "plateau": (Net, augmented, {}),
    "accumulation": (Net, augmented, {"accumulate_grad_batches": 2, "val_check_interval": 3}),
    "validation across epochs": (Net, augmented, {"check_val_every_n_epoch": None, "val_check_interval": 4}),
    "steps": (Net, augmented, {"max_steps": 13, "max_epochs": -1}),
    "seldom saved": (Net, augmented, {"every_n_steps": 3}),
    "manual": (Accumulates, augmented, {}),
    "averaged": (Net, augmented, {"callbacks": lambda: [EMAWeightAveraging(decay=0.9)]}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_ends_with_the_bits_of_the_whole_one(name, tmp_path):
    module, data, options = RUNS[name]
    assert not list(differences(module, data, directory=tmp_path, kills=KILLS, **options))


@pytest.mark.slow
def test_any_number_of_workers_ends_with_the_same_bits(tmp_path):
    whole = trained(Net, augmented, tmp_path / "whole")
    parts = trained(Net, functools.partial(augmented, 2), tmp_path / "parts", (4, 8))
    assert not differing(whole, parts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "data", "kills"),
    [
        (BoringModel, boring, (3, 64)),
        (ManualOptimBoringModel, boring, (3, 64)),
        (lambda: LightningTransformer(vocab_size=30), tokens, (2, 5)),
    ],
    ids=["BoringModel", "ManualOptimBoringModel", "LightningTransformer"],
)
def test_lightnings_own_examples(module, data, kills, tmp_path, monkeypatch):
    monkeypatch.setattr(LightningTransformer, "prepare_data", lambda self: None)  # a download
    options = {"max_epochs": 2, "limit_val_batches": 2}
    assert not list(differences(module, data, directory=tmp_path, kills=kills, **options))


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["step_seed", "restore_epoch_state", "resume_quietly"])
def test_comparison_can_fail(broken, tmp_path, monkeypatch):
    """The negative control: a resume without its random numbers, means or quiet counters is noticed."""
    whole = trained(Net, augmented, tmp_path / "whole")
    replacement = (lambda *numbers: 1) if broken == "step_seed" else (lambda *args, **kwargs: None)
    if broken == "step_seed":
        trained(Net, augmented, tmp_path / "parts", (7,), max_epochs=1)
    monkeypatch.setattr(exact_resume, broken, replacement)
    parts = trained(Net, augmented, tmp_path / "parts", (7,))
    assert any("state_dict" in place or "logged" in place for place in differing(whole, parts))


class Unloadable(BoringModel):
    def __init__(self, loss):
        super().__init__()
        self.save_hyperparameters()


class Keeps(pl.Callback):
    def state_dict(self):
        return {"path": functools.partial(print)}


@pytest.mark.parametrize(
    ("module", "callbacks", "says"),
    [
        (
            lambda: Unloadable(torch.nn.MSELoss()),
            list,
            r"hyper_parameters.loss: a checkpoint with the type torch.nn.modules.loss.MSELoss could not be loaded;"
            r' fix: call self.save_hyperparameters\(ignore=\["loss"\]\) in the module',
        ),
        (BoringModel, lambda: [Keeps()], "callbacks.Keeps.path: .* functools.partial .* fix: let state_dict"),
    ],
)
def test_what_would_make_a_checkpoint_useless_is_told_before_the_first_step(module, callbacks, says, tmp_path):
    with pytest.raises(UserError, match=says):
        trained(module, lambda: adapt(DataLoader(torch.ones(4, 32)), seed=0), tmp_path, callbacks=callbacks)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exact_is_told(tmp_path, capsys):
    def averaging():
        return [StochasticWeightAveraging(0.1)]

    plain = {"max_epochs": 1, "limit_val_batches": 0, "callbacks": averaging}
    trained(BoringModel, lambda: Plain(torch.ones(2, 32)), tmp_path, **plain)
    first, second = capsys.readouterr().err.splitlines()[-2:]
    assert first.startswith("note: the batches of a plain DataLoader") and "StochasticWeightAveraging" in second
