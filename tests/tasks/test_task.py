"""Test what all tasks share: logging, clipping, non-finite numbers, and schedules by step."""

from typing import Any

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.loggers.logger import DummyLogger
from torch.nn import functional as F

from lightning_dl2 import GraphNet, SequenceClassifier, TextGenerator
from lightning_dl2.tasks.task import MAX_SKIPPED, NonFiniteError
from tests.small import small_data, small_task, small_trainer


class Rows(DummyLogger):
    """Keep what Lightning logs, as (step, metrics)."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((int(step), metrics))

    def values(self, name: str) -> dict[int, float]:
        """Return step to value; fail if a step was logged twice."""
        found = [(step, metrics[name]) for step, metrics in self.rows if name in metrics]
        assert len(dict(found)) == len(found), f"{name} logged twice: {found}"
        return dict(found)


class Updates(Callback):
    """Record the parameters before, and the gradients within, each update, as lists by step."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_before_zero_grad(self, trainer, pl_module, optimizer) -> None:
        gradients = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
        if gradients:
            self.norms.append(torch.stack(gradients).norm().item())


def fit(optimizer: dict[str, Any] | None = None, data=None, **options: Any):
    data = data or small_data()
    task, rows = small_task(data, optimizer=optimizer), Rows()
    small_trainer(logger=rows, **{"log_every_n_steps": 1} | options).fit(task, data)
    return task, rows


@pytest.mark.slow
def test_logged_steps_are_optimiser_steps_counted_from_one():
    _, rows = fit(max_steps=20, log_every_n_steps=3, val_check_interval=5, check_val_every_n_epoch=None)
    assert list(rows.values("train/loss")) == [3, 6, 9, 12, 15, 18]
    assert list(rows.values("val/loss")) == [5, 10, 15, 20]
    train = {key for _, metrics in rows.rows for key in metrics if key.startswith("train/")}
    assert train == {"train/loss", "train/accuracy", "train/learning_rate", "train/gradient_norm"}


class Seen(Callback):
    """Keep the undivided result of training_step for each batch."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.losses.append(outputs["loss"].item() * trainer.accumulate_grad_batches)


@pytest.mark.slow
def test_of_an_accumulated_step_all_batches_are_logged():
    """With seven batches an epoch and three a step, the third step has one batch; each step logs all its batches."""
    seen = Seen()
    _, rows = fit(max_steps=5, accumulate_grad_batches=3, callbacks=[seen])
    steps = [seen.losses[begin:end] for begin, end in ((0, 3), (3, 6), (6, 7), (7, 10), (10, 13))]
    assert list(rows.values("train/loss").values()) == pytest.approx([sum(step) / len(step) for step in steps])
    every = fit(max_steps=5, accumulate_grad_batches=3, log_every_n_steps=2)[1].values("train/loss")
    assert every == {step: rows.values("train/loss")[step] for step in (2, 4)}


class Adds(Callback):
    """Add a plain number to what the task logs, as the curriculum does."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        outputs["number"] = 5


def test_numbers_of_callbacks_are_logged_from_the_modules_device():
    _, rows = fit(max_steps=2, callbacks=[Adds()])
    assert rows.values("train/number") == {1: 5.0, 2: 5.0}
    task = small_task(small_data()).to("meta")
    assert task._mean([5.0, 6.0]).device.type == "meta"  # NCCL cannot reduce tensors of the CPU


def test_a_fit_that_was_stopped_within_a_step_leaves_nothing_to_the_next():
    data, seen = small_data(batches_per_epoch=30), Seen()
    task, rows = small_task(data), Rows()

    class Stops(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            trainer.should_stop = batch_idx == 5

    options = {"accumulate_grad_batches": 4, "log_every_n_steps": 1}
    small_trainer(max_steps=9, min_steps=None, callbacks=[Stops()], **options).fit(task, data)
    assert len(task.outputs) == 2
    small_trainer(max_steps=1, callbacks=[seen], logger=rows, **options).fit(task, data)
    assert rows.values("train/loss") == {1: pytest.approx(sum(seen.losses) / 4)}


def test_a_trainer_may_log_nothing():
    task, rows = fit(max_steps=3, log_every_n_steps=0)
    assert task.global_step == 3 and rows.values("train/loss") == {}


def test_the_logged_loss_is_that_of_the_step():
    """The first step logs the loss of the untrained net on batch 0."""
    data = small_data()
    tokens, labels = data.train_batch(0)
    expected = F.cross_entropy(small_task(data)(tokens), labels).item()
    _, rows = fit(data=data, max_steps=1)
    assert rows.values("train/loss")[1] == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_accumulation_logs_each_step_once_and_not_a_part_of_the_loss():
    task, rows = fit(max_steps=7, accumulate_grad_batches=3)
    assert list(rows.values("train/loss")) == [1, 2, 3, 4, 5, 6, 7]  # 7 batches an epoch: the third step is of one
    assert all(2.0 < loss < 2.7 for loss in rows.values("train/loss").values())
    _, every_third = fit(max_steps=7, accumulate_grad_batches=3, log_every_n_steps=3)
    assert every_third.values("train/loss") == {step: rows.values("train/loss")[step] for step in (3, 6)}
    assert task.global_step == 7


def test_accumulated_batches_are_one_large_batch():
    def first_step(**options):
        task, rows = fit({"name": "SGD", "learning_rate": 1.0}, max_steps=1, **options)
        return task.state_dict(), rows.values("train/gradient_norm")[1]

    data = small_data(batch_size=8)
    batches = [data.train_batch(step) for step in range(2)]
    large = small_data(batch_size=16)
    large.train_batch = lambda step: tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
    (one, norm), (two, same_norm) = first_step(data=large), first_step(data=data, accumulate_grad_batches=2)
    assert norm == pytest.approx(same_norm, rel=1e-5)
    torch.testing.assert_close(one, two)


@pytest.mark.slow
def test_clipping_cuts_to_the_limit_and_logs_what_was():
    _, unclipped = fit({"name": "SGD"}, max_steps=1)
    norm = unclipped.values("train/gradient_norm")[1]
    for limit, expected in ((norm / 4, norm / 4), (norm * 4, norm)):
        updates = Updates()
        _, rows = fit({"name": "SGD"}, max_steps=2, gradient_clip_val=limit, callbacks=[updates])
        assert rows.values("train/gradient_norm")[1] == norm
        assert updates.norms[0] == pytest.approx(expected, rel=1e-4)
    for none in (None, 0):  # both mean no clipping in Lightning
        updates = Updates()
        fit({"name": "SGD"}, max_steps=2, gradient_clip_val=none, callbacks=[updates])
        assert updates.norms[0] == pytest.approx(norm, rel=1e-6)


@pytest.mark.slow
def test_a_trainer_may_clip_by_value():
    class Largest(Updates):
        def on_before_zero_grad(self, trainer, pl_module, optimizer) -> None:
            gradients = [p.grad.abs().max() for p in pl_module.parameters() if p.grad is not None]
            if gradients:
                self.norms.append(max(gradients).item())

    def largest(**options):
        updates = Largest()
        _, rows = fit({"name": "SGD"}, max_steps=2, callbacks=[updates], **options)
        return updates.norms[0], rows.values("train/gradient_norm")[1]

    value, norm = largest()
    assert largest(gradient_clip_val=value / 2, gradient_clip_algorithm="value") == (pytest.approx(value / 2), norm)
    for algorithm in ("norm", None):
        clipped, _ = largest(gradient_clip_val=norm / 4, gradient_clip_algorithm=algorithm)
        assert clipped == pytest.approx(value / 4, rel=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_gradient_stops_before_the_update(bad):
    """A non-finite gradient stops training with the last good weights, and the message names the parameter."""
    data = small_data()
    good, _ = fit(data=data, max_steps=3)
    task = small_task(data)
    weight = task.net.recurrent.core.weight_hh_l0
    weight.register_hook(lambda gradient: gradient * bad if task.global_step == 3 else gradient)
    says = r"^step 4, batch 3: gradient norm (nan|inf) \(first in net\.\S+weight_hh\S*\); no update was made; what may"
    with pytest.raises(NonFiniteError, match=says):
        small_trainer().fit(task, data)
    assert task.global_step == 3
    assert all(torch.equal(a, b) for a, b in zip(good.parameters(), task.parameters(), strict=True))


def losing(task, bad, at):
    """Make the loss of batch `at` non-finite with a finite gradient, as torch.where can."""
    step = task.training_step

    def training_step(batch, batch_idx):
        outputs = step(batch, batch_idx)
        if task.trainer.fit_loop.epoch_loop.batch_progress.total.processed == at:
            outputs["loss"] = outputs["loss"] + torch.tensor(bad)
        return outputs

    task.training_step = training_step
    return task


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_bad_loss_stops_before_the_update_though_its_gradient_is_good(bad):
    data = small_data()
    good, _ = fit(data=data, max_steps=3)
    task = losing(small_task(data), bad, at=3)
    with pytest.raises(NonFiniteError, match=rf"^step 4, batch 3: loss {bad} on rank 0, gradient norm nan \(first in"):
        small_trainer().fit(task, data)
    assert all(torch.equal(a, b) for a, b in zip(good.parameters(), task.parameters(), strict=True))


def test_of_accumulated_batches_the_one_with_the_bad_loss_is_named():
    data = small_data(batches_per_epoch=5)
    task = losing(small_task(data), float("nan"), at=7)
    with pytest.raises(NonFiniteError, match=r"^step 3, batch 7: loss nan on rank 0"):  # the step has batches 5 to 7
        small_trainer(accumulate_grad_batches=3).fit(task, data)
    task = small_task(data)
    task.net.recurrent.core.weight_hh_l0.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(NonFiniteError, match=r"^step 1, batches 0 to 2: gradient norm nan") as told:
        small_trainer(accumulate_grad_batches=3).fit(task, data)
    assert str(told.value).endswith("a lower optimizer.learning_rate, trainer.gradient_clip_val=1.0 (it is off)")
    with pytest.raises(NonFiniteError, match=r"a lower trainer.gradient_clip_val$"):
        small_trainer(gradient_clip_val=2.0).fit(task, data)


def test_of_what_fp16_skips_only_a_long_row_is_an_error():
    """Only a long row of updates that the fp16 scaler skips is an error. The scaler is made up."""
    task = small_task(small_data())
    trainer = small_trainer(max_steps=1)
    trainer.fit(task, small_data())
    trainer.precision_plugin.scaler = object()
    optimizer = trainer.optimizers[0]

    def step(value):
        for parameter in task.parameters():
            parameter.grad = torch.full_like(parameter, value)
        task.losses = (torch.tensor(1.0),)
        task.configure_gradient_clipping(optimizer)

    for value in [float("inf")] * MAX_SKIPPED + [1.0] + [float("inf")] * MAX_SKIPPED:
        step(value)
    with pytest.raises(NonFiniteError, match="gradient norm inf"):
        step(float("inf"))


def test_the_learning_rate_logged_is_the_one_that_the_step_used():
    schedule = {"name": "linear", "warmup_steps": 2, "total_steps": 6}
    _, rows = fit({"name": "SGD", "learning_rate": 8.0, "schedule": schedule}, max_steps=8)
    assert rows.values("train/learning_rate") == {1: 4, 2: 8, 3: 8, 4: 6, 5: 4, 6: 2, 7: 0, 8: 0}


def test_schedules_count_optimiser_steps_under_accumulation():
    schedule = {"name": "exponential", "decay": 0.5, "decay_every": 1}
    _, rows = fit({"name": "SGD", "learning_rate": 8.0, "schedule": schedule}, max_steps=4, accumulate_grad_batches=2)
    assert rows.values("train/learning_rate") == {1: 8, 2: 4, 3: 2, 4: 1}


@pytest.mark.slow
@pytest.mark.parametrize("sanity", [0, 2])
def test_plateau_steps_on_validations_exactly(sanity):
    """With learning rate 1e-6 the first validation stays the best, and each later one lowers the rate."""
    schedule = {"name": "plateau", "patience": 0, "decay": 0.5}
    task, rows = fit(
        {"name": "SGD", "learning_rate": 1e-6, "schedule": schedule},
        max_steps=18,
        val_check_interval=4,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=sanity,
    )
    rates = {step: rate / 1e-6 for step, rate in rows.values("train/learning_rate").items()}
    expected = {step: 0.5 ** max(0, (step - 1) // 4 - 1) for step in range(1, 19)}
    assert rates == pytest.approx(expected)
    small_trainer().validate(task, small_data(), verbose=False)
    assert task.trainer.state.fn == "validate"  # outside fit there is no scheduler to step


@pytest.mark.slow
def test_mixed_precision_trains():
    data = small_data(batch_size=16)
    task = small_task(data, hidden_size=32, optimizer={"learning_rate": 0.02})
    trainer = small_trainer(
        precision="bf16-mixed", overfit_batches=1, max_steps=120, limit_val_batches=0, gradient_clip_val=1.0
    )
    trainer.fit(task, data)
    assert trainer.callback_metrics["train/loss"].item() < 0.1
    assert all(p.dtype == torch.float32 for p in task.parameters())


def test_it_can_be_validated_before_it_is_trained():
    """A task can be validated before training: Trainer.validate uses inference mode, a fit does not."""
    data = small_data()
    task, trainer = small_task(data), small_trainer(val_check_interval=3)
    (before,) = trainer.validate(task, data, verbose=False)
    trainer.fit(task, data)
    assert trainer.callback_metrics["val/loss"] != before["val/loss"]


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            lambda: SequenceClassifier({}, cell="mamba"),
            "cell is 'mamba'; .* one of rnn, lstm, gru, peephole, .*, bilstm$",
        ),
        (
            lambda: TextGenerator({}, cell="mamba"),
            "cell is 'mamba'; it must be one of rnn, lstm, gru, peephole, .*tape_rnn$",
        ),
        (lambda: GraphNet({"num_classes": 3}), "spec has no 'target'; it must be the `spec` of a data module"),
        (lambda: SequenceClassifier(3), "spec has no 'vocabulary_size'; .* at least vocabulary_size, num_classes"),
        (lambda: TextGenerator({"vocabulary_size": 3, "sequence_length": 9}), "spec has no 'vocabulary'; it must be"),
        (lambda: GraphNet({}, class_weights="all"), "class_weights is 'all'; it must be one of none, balanced"),
    ],
)
def test_a_name_that_is_none_is_told_before_what_else_is_missing(build, says):
    with pytest.raises(ValueError, match=says):
        build()
