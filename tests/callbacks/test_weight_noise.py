"""Test that the noise acts on matrices in training steps alone, follows from seed and batch, and leaves no trace."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from torch.utils.data import DataLoader

from lightning_dl2.callbacks import WeightAveraging, WeightNoise
from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.random_numbers import step_seed
from tests.small import small_data, small_task, small_trainer


class Recorder(Callback):
    """Record the weights of each training step, of each update and of each validation, and the gradients."""

    def __init__(self):
        self.used, self.grads, self.updated, self.validated = [], [], [], []

    def on_before_backward(self, trainer, module, loss):
        self.used.append(weights_of(module))

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.grads.append({name: w.grad.clone() for name, w in module.net.named_parameters()})

    def on_train_batch_end(self, trainer, module, *_):
        self.updated.append(weights_of(module))

    def on_validation_batch_start(self, trainer, module, *_):
        self.validated.append(weights_of(module))


def weights_of(module):
    return {name: w.detach().clone() for name, w in module.net.named_parameters()}


def fit(*callbacks, steps=4, **options):
    data = small_data(validation_size=8)
    task, recorder = small_task(data, optimizer={"name": "torch.optim.SGD", "learning_rate": 0.1}), Recorder()
    before = weights_of(task)
    trainer = small_trainer(
        max_steps=steps, val_check_interval=4, check_val_every_n_epoch=None, callbacks=[recorder, *callbacks], **options
    )
    trainer.fit(task, data)
    return before, recorder


def noisy(weights, std, seed, batch):
    """Return the weights with the noise that the docstring of WeightNoise names."""
    generator = torch.Generator().manual_seed(step_seed("noise", seed, batch))
    return {
        name: w + std * w.square().mean().sqrt() * torch.randn(w.shape, generator=generator) if w.dim() > 1 else w
        for name, w in weights.items()
    }


def assert_equal(left, right, exactly=False):
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], **({"rtol": 0, "atol": 0} if exactly else {}))


def test_steps_use_noisy_matrices_and_update_the_exact_ones():
    before, seen = fit(WeightNoise(std=0.5, start_step=1, seed=3))
    matrices = [name for name, w in before.items() if w.dim() > 1]
    assert 0 < len(matrices) < len(before)
    exact = before
    for batch, (used, grads, updated) in enumerate(zip(seen.used, seen.grads, seen.updated, strict=True)):
        assert_equal(used, noisy(exact, 0.5, 3, batch) if batch else exact)
        # the step starts from the exact weights, by the gradient at the noisy ones
        assert_equal(updated, {name: w - 0.1 * grads[name] for name, w in exact.items()})
        exact = updated
    assert_equal(seen.validated[0], exact, exactly=True)
    same = {name: w for name, w in seen.used[2].items() if name not in matrices}
    assert_equal(same, {name: seen.updated[1][name] for name in same}, exactly=True)


def test_noise_depends_on_the_seed_and_the_batch_alone():
    _, seen = fit(WeightNoise(std=0.5, start_step=0, seed=3))
    torch.rand(7)
    _, again = fit(WeightNoise(std=0.5, start_step=0, seed=3))
    _, other = fit(WeightNoise(std=0.5, start_step=0, seed=4))
    assert_equal(seen.used[3], again.used[3], exactly=True)
    matrix = next(name for name, w in seen.used[0].items() if w.dim() > 1)
    assert not torch.equal(seen.used[0][matrix], other.used[0][matrix])


def test_each_batch_of_an_accumulated_step_has_noise_of_its_own():
    before, seen = fit(WeightNoise(std=0.5, start_step=0, seed=3), steps=2, accumulate_grad_batches=2)
    assert_equal(seen.used[0], noisy(before, 0.5, 3, 0))
    assert_equal(seen.used[1], noisy(before, 0.5, 3, 1))
    assert_equal(seen.updated[0], before, exactly=True)


class Plain(pl.LightningModule):
    """Train one matrix; skip the batches of `skipped`, or go backwards twice by hand."""

    def __init__(self, skipped=(), by_hand=False):
        super().__init__()
        self.linear, self.skipped, self.automatic_optimization = torch.nn.Linear(2, 2), skipped, not by_hand

    def training_step(self, batch, batch_idx):
        if batch_idx in self.skipped:
            return None
        loss = self.linear(batch).square().mean()
        if self.automatic_optimization:
            return loss
        for _ in range(2):
            self.manual_backward(self.linear(batch).square().mean())
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def train_dataloader(self):
        return DataLoader(torch.ones(12, 2), batch_size=3)


class Saver(Callback):
    """Save a checkpoint at the start of each batch."""

    def __init__(self, path):
        self.path, self.seen = path, []

    def on_train_batch_start(self, trainer, module, *_):
        trainer.save_checkpoint(self.path)
        self.seen.append((torch.load(self.path, weights_only=True), weights_of(module)))


@pytest.mark.parametrize("averaged", [False, True])
def test_a_checkpoint_of_the_start_of_a_batch_has_exact_weights(tmp_path, averaged):
    noise, saver = WeightNoise(std=0.5, start_step=0, seed=3), Saver(tmp_path / "a.ckpt")
    before, seen = fit(noise, *([WeightAveraging(decay=0.8, start_step=0)] if averaged else []), saver)
    matrix = next(name for name, w in before.items() if w.dim() > 1)
    for number, (checkpoint, noisy_weights) in enumerate(saver.seen):
        exact = seen.updated[number - 1] if number else before
        saved = checkpoint["current_model_state" if averaged else "state_dict"]
        assert not torch.equal(noisy_weights[matrix], exact[matrix])
        assert_equal({name: saved[f"net.{name}"] for name in exact}, exact, exactly=True)


def test_a_skipped_batch_keeps_the_exact_weights():
    module = Plain(skipped=range(4))
    before = module.linear.weight.detach().clone()
    small_trainer(max_steps=3, callbacks=[WeightNoise(0.5, 0, 0)]).fit(module)
    assert torch.equal(module.linear.weight, before)


def test_several_backward_passes_of_a_batch_are_refused():
    module = Plain(by_hand=True)
    before = module.linear.weight.detach().clone()
    with pytest.raises(UserError, match="WeightNoise: a batch has several backward passes"):
        small_trainer(max_steps=3, callbacks=[WeightNoise(0.5, 0, 0)]).fit(module)
    assert torch.equal(module.linear.weight, before)


def test_an_error_within_a_step_leaves_the_exact_weights():
    module = Plain()
    before = module.linear.weight.detach().clone()
    module.training_step = lambda batch, batch_idx: 1 / 0
    with pytest.raises(ZeroDivisionError):
        small_trainer(max_steps=3, callbacks=[WeightNoise(0.5, 0, 0)]).fit(module)
    assert torch.equal(module.linear.weight, before)
