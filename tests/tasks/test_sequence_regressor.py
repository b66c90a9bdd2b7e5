"""Test the sequence regressor: numbers in the unit of the target, metrics, constant answers, ranks, resume."""

import numpy as np
import pytest
import torch

from lightning_dl2 import SequenceRegressor, compose, evaluate, predict, train
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.formal.recall import AddingProblem
from lightning_dl2.nets.recurrent.gradient_flow import fixed_batch, gradient_flow
from tests.comparison import checkpoint_differences, metrics_differences
from tests.conftest import TINY
from tests.data.sequences.test_module import on_rank
from tests.small import small_data, small_trainer

ADDING = (*TINY, "experiment=own", "data=adding_problem", "task=sequence_regressor", "task.encoding=none")


def adding(**options):
    return small_data("adding_problem", 6, **{"test_lengths": [4, 9], "length_test_size": 6} | options)


def regressor(data, **options):
    torch.manual_seed(0)
    return SequenceRegressor(spec=data.spec, **{"cell": "gru", "hidden_size": 8, "encoding": "none"} | options)


def test_the_target_is_the_sum_of_the_marked_numbers_one_in_each_half():
    steps, totals = AddingProblem().draw(np.random.default_rng(0), 500, 7)
    for (values, markers), total in zip(steps.transpose(0, 2, 1), totals, strict=True):
        (first, second) = np.flatnonzero(markers)
        assert first < 3 <= second and set(markers) == {0, 1} and 0 <= values.min() <= values.max() < 1
        assert total == pytest.approx(values[first] + values[second])
    assert {*steps[:, :, 1].argmax(1)} == {0, 1, 2}
    many = AddingProblem().draw(np.random.default_rng(1), 20000, 2)[1]
    assert many.mean() == pytest.approx(1, abs=0.01) and many.var() == pytest.approx(1 / 6, abs=0.005)


def test_metrics_are_errors_in_the_unit_of_the_target():
    data = adding()
    task = regressor(data)
    (test,) = small_trainer().test(task, data, verbose=False)
    errors, targets = [], []
    for batch in data.evaluation_batches("test"):
        with torch.no_grad():
            errors.append(task.eval()(batch.tokens, batch.lengths) - batch.labels)
        targets.append(batch.labels)
    error, target = torch.cat(errors), torch.cat(targets)
    squared = error.square().mean().item()
    assert test["test/mean_squared_error"] == pytest.approx(squared, rel=1e-5)
    assert test["test/mean_absolute_error"] == pytest.approx(error.abs().mean().item(), rel=1e-5)
    mean, scale = data.spec["target_mean"], data.spec["target_scale"]
    assert mean == pytest.approx(1, abs=0.03) and scale**2 == pytest.approx(1 / 6, abs=0.02)
    assert test["test/loss"] == pytest.approx(squared / scale**2, rel=1e-5)
    assert test["test/mean_baseline"] == pytest.approx((target - mean).square().mean().item(), rel=1e-4)
    assert test["test/median_baseline"] == pytest.approx((target - 1).abs().mean().item(), abs=0.02)
    for at, found in data.sets_at.items():
        with torch.no_grad():
            wrong = (task(found.tokens) - found.labels).square().mean().item()
        assert test[f"test/mean_squared_error_at_{at}"] == pytest.approx(wrong, rel=1e-5)
    assert test["test/mean_squared_error_beyond"] == test["test/mean_squared_error_at_9"]


@pytest.mark.slow
def test_a_net_of_zeros_answers_the_mean_of_training_and_has_a_loss_of_about_one():
    data = adding(test_size=2000)
    task = regressor(data)
    torch.nn.init.zeros_(task.net.output.weight)
    torch.nn.init.zeros_(task.net.output.bias)
    assert task(data.train_batch(0).tokens).tolist() == pytest.approx([data.spec["target_mean"]] * 8)
    (test,) = small_trainer().test(task, data, verbose=False)
    assert test["test/mean_squared_error"] == pytest.approx(test["test/mean_baseline"], rel=1e-4)
    assert test["test/loss"] == pytest.approx(1, abs=0.08)


def test_the_mean_over_ranks_is_the_loss_of_one_process():
    lengths = {"shortest_length": 2}
    whole = adding(batch_size=8, **lengths).train_batch(2)
    assert whole.lengths is not None and whole.tokens.dtype == torch.float32
    task = regressor(adding())
    parts = [on_rank(adding(batch_size=4, **lengths), rank, 2).train_batch(2) for rank in range(2)]
    losses = [task.training_step(part, 0)["loss"] for part in parts]
    torch.testing.assert_close(sum(losses) / 2, task.training_step(whole, 0)["loss"])


def test_the_gradient_flow_is_that_of_the_squared_error():
    data = adding()
    task, (vectors, targets) = regressor(data), fixed_batch(data.evaluation_batches("val"), 3)
    flow = gradient_flow(task.net, vectors, targets)["h"][0, 0]
    outputs, _ = task.net.recurrent(vectors)
    last = outputs[:, -1].detach().requires_grad_()
    (gradient,) = torch.autograd.grad((task.net.answer(last) - targets).square().sum() / 128, last)
    assert flow.shape == (6,) and flow[-1].item() == pytest.approx(gradient.norm(dim=1).mean().item(), rel=1e-4)


@pytest.mark.slow
def test_what_does_not_fit_is_one_line():
    for words, says in (
        (["task=sequence_classifier"], "task=sequence_classifier: allowed with data=adding_problem: task=sequence_reg"),
        (["task.encoding=embedding"], "task.encoding=embedding: data=adding_problem are real vectors; allowed: none"),
        (["task.label_smoothing=0.1"], "task.label_smoothing=0.1: .*sequence_regressor"),
        (["data.sequence_length=1"], "data.sequence_length=1: adding_problem allowed: 2 or more"),
        (["callbacks.checkpoint.monitor=val/accuracy"], "monitor=val/accuracy: .*val/mean_squared_error"),
    ):
        with pytest.raises(UserError, match=says):
            compose(*ADDING, *words)
    with pytest.raises(ValueError, match="spec has no 'target_mean'"):
        SequenceRegressor(spec=small_data().spec, encoding="one_hot")


@pytest.mark.slow
def test_a_run_resumes_to_the_same_bits_is_evaluated_and_predicts(tmp_path):
    words = [*ADDING, "data.test_lengths=[9]", "trainer.val_check_interval=6"]
    whole = train(compose(*words, f"root={tmp_path}/whole", "trainer.max_steps=12"))[1]["run"]
    for steps in (5, 12):
        run = train(compose(*words, f"root={tmp_path}/parts", f"trainer.max_steps={steps}"))[1]["run"]
    assert checkpoint_differences(whole, run) == [] and metrics_differences(whole, run) == []
    metrics = run.result()["metrics"]
    assert evaluate(run) == {name: value for name, value in metrics.items() if name.startswith("test/")}
    rows = predict(run)
    assert [list(row) for row in rows] == [["id", "split", "target", "prediction"]] * 32
    squared = sum((row["target"] - row["prediction"]) ** 2 for row in rows) / 32
    assert squared == pytest.approx(metrics["test/mean_squared_error"], rel=1e-5)
