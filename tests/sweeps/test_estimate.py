"""Test that the time of missing jobs comes from measured ones."""

from types import SimpleNamespace

import pytest

from lightning_dl2.sweeps.estimate import duration, estimate


class Job(SimpleNamespace):
    """A job that can be a key of a dictionary."""

    __hash__ = object.__hash__

    def __init__(self, seed: int, cell: str, task: str) -> None:
        super().__init__(varies={"seed": str(seed), "task.cell": cell, "experiment": task})


def test_a_job_takes_as_long_as_with_another_seed():
    measured = {Job(0, "rnn", "a"): 10.0, Job(1, "rnn", "a"): 20.0, Job(0, "lstm", "a"): 90.0}
    left = estimate([Job(2, "rnn", "a"), Job(2, "lstm", "a")], measured, at_a_time=2)
    assert left == (pytest.approx((15 + 90) / 2), 3, 2, 2)
    assert str(left) == "about 1 min for 2 jobs to come, 2 of them measured with another seed; from 3 measured jobs"


def test_of_what_was_never_measured_each_value_has_its_share():
    """A cell that takes thrice the mean takes that on a task of twice the mean, too."""
    measured = {Job(0, "rnn", "a"): 10.0, Job(0, "lstm", "a"): 30.0, Job(0, "rnn", "b"): 20.0}
    left = estimate([Job(0, "lstm", "b")], measured, at_a_time=4)
    assert left.seconds == pytest.approx(20 * (30 / 20) * (20 / 20)) and left.similar == 0
    assert estimate([Job(0, "gru", "c")], measured, at_a_time=1).seconds == pytest.approx(20)  # nothing is known of it


def test_nothing_is_guessed():
    assert estimate([Job(0, "rnn", "a")], {}, at_a_time=1) is None
    assert estimate([], {Job(0, "rnn", "a"): 1.0}, at_a_time=1) is None


@pytest.mark.parametrize(("seconds", "text"), [(0.5, "1 min"), (3600, "1 h 0 min"), (36_001, "10 h 1 min")])
def test_durations_are_rounded_up(seconds, text):
    assert duration(seconds) == text
