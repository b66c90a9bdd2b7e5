"""Test stopping after consecutive good or bad validations, also across a resume."""

import pytest

from lightning_dl2.callbacks import StopWhenSolved, StopWhenStalled
from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from tests.small import fit_scripted

GOOD, BAD = 0.875, 0.5


def solved(times=2):
    return StopWhenSolved("val/accuracy", threshold=GOOD, times=times)


def stalled():
    return StopWhenStalled("val/accuracy", patience=2, mode="max", check_on_train_epoch_end=False)


def keeper(path):
    return KeepCheckpoints(path, every_n_steps=100, monitor="val/accuracy", mode="max")


@pytest.mark.parametrize(
    ("times", "values", "steps", "solved_at"),
    [
        (1, [BAD, GOOD, BAD], 4, 4),
        (2, [BAD, GOOD, GOOD, BAD], 6, 4),  # solved at the first of the two
        (2, [GOOD, BAD, GOOD, BAD, GOOD, GOOD], 12, 10),  # a bad one starts the count anew
        (3, [GOOD, GOOD, BAD, GOOD, GOOD], 10, None),
    ],
)
def test_solved(times, values, steps, solved_at):
    callback = solved(times)
    trainer = fit_scripted(values, callback)
    assert (trainer.global_step, callback.solved_at) == (steps, solved_at)


def test_solved_by_a_low_value():
    callback = StopWhenSolved("val/loss", mode="min", threshold=1 - GOOD, times=1)
    assert fit_scripted([BAD, GOOD, BAD], callback).global_step == 4


def test_an_unknown_metric_is_one_line():
    with pytest.raises(UserError, match="StopWhenStalled: monitor=val/f1: the validation logs no such metric; allowed"):
        fit_scripted([BAD], StopWhenStalled("val/f1", mode="max"))


@pytest.mark.slow
def test_the_count_goes_on_after_a_resume(tmp_path):
    fit_scripted([BAD, GOOD], solved(), keeper(tmp_path))
    callback = solved()
    trainer = fit_scripted([BAD, GOOD, GOOD, BAD], callback, keeper(tmp_path), resume=tmp_path / "last.ckpt")
    assert (trainer.global_step, callback.solved_at) == (6, 4)


def test_solved_stays_solved(tmp_path):
    fit_scripted([GOOD, GOOD, BAD], solved(), keeper(tmp_path))
    callback = solved()
    trainer = fit_scripted([GOOD, GOOD, BAD, BAD], callback, keeper(tmp_path), resume=tmp_path / "last.ckpt")
    assert (trainer.global_step, callback.solved_at) == (4, 2)


@pytest.mark.slow
def test_stalled():
    callback = stalled()
    trainer = fit_scripted([0.25, 0.5, 0.5, 0.75, 0.75, 0.5, 1.0], callback)
    assert trainer.global_step == 12 and callback.stalled
    callback = stalled()
    trainer = fit_scripted([0.25, 0.5, 0.5, 0.75, 0.75], callback)
    assert trainer.global_step == 10 and not callback.stalled


@pytest.mark.slow
def test_stalled_stays_stalled(tmp_path):
    fit_scripted([0.5, 0.5, 0.5], stalled(), keeper(tmp_path))
    callback = stalled()
    trainer = fit_scripted([0.5, 0.5, 0.5, 0.5], callback, keeper(tmp_path), resume=tmp_path / "last.ckpt")
    assert trainer.global_step == 6 and callback.stalled


@pytest.mark.slow
def test_no_number_is_neither_solved_nor_an_improvement_nor_the_end():
    nan = float("nan")
    solved = StopWhenSolved("val/accuracy", threshold=0.5, times=2)
    stalled = StopWhenStalled("val/loss", mode="min", patience=2, check_on_train_epoch_end=False)
    trainer = fit_scripted([nan, 0.75, nan, 0.75, nan, nan, 0.75], solved, stalled)
    assert solved.solved_at is None and stalled.stalled
    assert (trainer.global_step, stalled.best_score.item()) == (8, 0.25)


@pytest.mark.slow
def test_solved_stays_solved_beside_what_has_not_stalled(tmp_path):
    fit_scripted([GOOD, GOOD], solved(), stalled(), keeper(tmp_path))
    both = solved(), stalled()
    trainer = fit_scripted([GOOD, GOOD, GOOD], *both, keeper(tmp_path), resume=tmp_path / "last.ckpt")
    assert trainer.global_step == 4 and both[0].solved_at == 2 and not both[1].stalled
