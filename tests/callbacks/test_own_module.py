"""Test what is told of a LightningModule that is no task of the package: NaN, and metrics of one rank alone."""

import json

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.demos.boring_classes import BoringDataModule, BoringModel, ManualOptimBoringModel

import lightning_dl2
from lightning_dl2.callbacks import OwnModule
from lightning_dl2.tasks.task import MAX_SKIPPED, NonFiniteError
from tests.small import small_data, small_task, small_trainer


class Diverges(BoringModel):
    """Its loss is NaN at the fourth step, with a finite gradient, as torch.where can make it."""

    def step(self, batch):
        loss = super().step(batch)
        return loss + float("nan") if self.training and self.global_step == 3 else loss


class DivergesByHand(Diverges, ManualOptimBoringModel):
    pass


class Explodes(BoringModel):
    def training_step(self, batch, batch_idx):
        loss = self.step(batch)
        return {"loss": loss * (float("inf") if self.global_step == 3 else 1)}


def fit(module, **options):
    pl.seed_everything(0, verbose=False)
    small_trainer(callbacks=[OwnModule()], **options).fit(module, BoringDataModule())
    return module


@pytest.mark.slow
@pytest.mark.parametrize("module", [Diverges, DivergesByHand, Explodes])
def test_a_bad_number_stops_before_the_update(module):
    pl.seed_everything(0, verbose=False)
    good, bad = module(), module()
    bad.load_state_dict(good.state_dict())
    fit(good, max_steps=3)
    says = r"^step 4, batch 3: loss (nan|inf) on rank 0, gradient norm .*no update was made.*a lower learning rate, "
    with pytest.raises(NonFiniteError, match=says):
        fit(bad)
    assert bad.global_step == 3
    assert all(torch.equal(a, b) for a, b in zip(good.parameters(), bad.parameters(), strict=True))


class SkipsBadUpdates(Diverges):
    skips = True

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)["loss"]
        self.last = loss * float("inf") if self.global_step == 3 else loss
        return self.last

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
        def closure():
            loss = optimizer_closure()
            if self.skips and not self.last.isfinite():
                optimizer.zero_grad(set_to_none=False)
            return loss

        optimizer.step(closure=closure)


@pytest.mark.slow
def test_a_module_that_mends_its_updates_is_stopped_only_where_it_does_not():
    assert fit(SkipsBadUpdates()).global_step == 6
    module = SkipsBadUpdates()
    module.skips = False
    with pytest.raises(NonFiniteError, match=r"^step 4: layer\.weight is NaN or infinite after the update"):
        fit(module)


def test_of_what_fp16_skips_only_a_long_row_is_an_error():
    """Only a long row of updates that the fp16 scaler skips is an error. The scaler is made up."""
    module, callback = BoringModel(), OwnModule()
    trainer = small_trainer(max_steps=1)
    trainer.fit(module, BoringDataModule())
    trainer.precision_plugin.scaler = object()

    def step(value):
        for parameter in module.parameters():
            parameter.grad = torch.full_like(parameter, value)
        callback.on_before_backward(trainer, module, torch.tensor(1.0))
        callback.on_before_optimizer_step(trainer, module, trainer.optimizers[0])

    for value in [float("inf")] * MAX_SKIPPED + [1.0] + [float("inf")] * MAX_SKIPPED:
        step(value)
    with pytest.raises(NonFiniteError, match="gradient norm inf"):
        step(float("inf"))


def test_a_large_norm_of_half_precision_is_no_bad_number():
    parameter = torch.nn.Parameter(torch.zeros(3, dtype=torch.float16))
    parameter.grad = torch.full((3,), 60000.0, dtype=torch.float16)
    module, callback, optimizer = BoringModel(), OwnModule(), torch.optim.SGD([parameter], 0.1)
    trainer = small_trainer(max_steps=1)
    callback.on_before_backward(trainer, module, torch.tensor(1.0))
    callback.on_before_optimizer_step(trainer, module, optimizer)


class Logs(BoringModel):
    def validation_step(self, batch, batch_idx):
        self.log("val/alone", self.step(batch))
        self.log("val/shared", self.step(batch), sync_dist=True)
        self.log("val/first", self.step(batch), rank_zero_only=True)


def pretend_two_ranks(monkeypatch, trainer):
    monkeypatch.setattr(pl.Trainer, "world_size", 2)
    monkeypatch.setattr(type(trainer._accelerator_connector), "is_distributed", True)  # or sync_dist counts as False


@pytest.mark.slow
def test_a_metric_of_one_rank_is_told_once(monkeypatch, capsys):
    trainer = small_trainer(callbacks=[OwnModule()], limit_val_batches=1, use_distributed_sampler=False)
    pretend_two_ranks(monkeypatch, trainer)
    for _ in range(2):
        trainer.validate(Logs(), BoringDataModule(), verbose=False)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert line.startswith("note: val/alone: logged without sync_dist=True, so it is of the share of process 0 of 2")


@pytest.mark.slow
def test_a_task_and_a_single_process_are_told_nothing(monkeypatch, capsys):
    trainer = small_trainer(callbacks=[OwnModule()], limit_val_batches=1, max_steps=2)
    trainer.validate(Logs(), BoringDataModule(), verbose=False)
    trainer.fit(task := small_task(data := small_data()), data)
    pretend_two_ranks(monkeypatch, trainer)
    trainer.validate(task, data, verbose=False)
    assert "note: " not in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_fails_with_its_last_good_checkpoint(tmp_path):
    with pytest.raises(NonFiniteError, match="^step 4, "):
        lightning_dl2.fit(
            Diverges(),
            BoringDataModule(),
            root=str(tmp_path),
            name="diverges",
            trainer={"max_steps": 8, "num_threads": 1},
            overrides=[f"callbacks.checkpoint.{word}" for word in ("monitor=null", "every_n_steps=1")],
        )
    (found,) = tmp_path.rglob("result.json")
    result = json.loads(found.read_text())
    assert (result["status"], result["steps"]) == ("failed", 3) and result["error"].startswith("NonFiniteError: step 4")
    state = torch.load(found.parent / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 3 and all(value.isfinite().all() for value in state["state_dict"].values())
