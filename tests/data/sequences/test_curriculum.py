"""Test that the length grows when the moving accuracy passes the threshold; (length, accuracy) is all its state."""

import pytest

from lightning_dl2.data.sequences.curriculum import Curriculum
from tests.small import CURRICULUM


def build(target=20, **options):
    rule = {key: value for key, value in CURRICULUM.items() if key != "enabled"}
    return Curriculum(target, **rule | options)


def lengths(curriculum, accuracies):
    found = []
    for accuracy in accuracies:
        curriculum.update(accuracy)
        found.append(curriculum.length)
    return found


def test_grows_by_the_factor_by_one_at_least_and_not_beyond_the_target():
    assert lengths(build(smoothing=0.0), [1.0] * 8) == [3, 4, 6, 9, 13, 19, 20, 20]


def test_the_threshold_belongs_to_the_growing_side():
    assert lengths(build(smoothing=0.0), [0.8999, 0.9, 0.0, 0.9]) == [2, 3, 3, 4]


def test_one_lucky_batch_is_not_enough_and_each_length_starts_from_nothing():
    # The moving accuracy of perfect batches is 1/2, 3/4, 7/8, 15/16, so the fourth passes.
    assert lengths(build(), [1.0] * 9) == [2, 2, 2, 3, 3, 3, 3, 4, 4]
    assert lengths(build(), [1.0, 0.0] * 20)[-1] == 2


@pytest.mark.parametrize("smoothing", [0.8, 0.9, 0.95, 0.99])
def test_perfect_batches_reach_a_threshold_of_one(smoothing):
    """Perfect batches reach a threshold of 1, although rounding may keep the moving average at 0.9999999999999994."""
    assert lengths(build(smoothing=smoothing, threshold=1.0), [1.0] * 2500)[-1] > 2
    assert lengths(build(smoothing=smoothing, threshold=1.0), [0.999] * 2500)[-1] == 2


def test_starts_at_the_target_if_that_is_shorter():
    curriculum = build(target=5, start=11)
    assert curriculum.length == 5
    assert {curriculum.draw_length(0, step) for step in range(20)} == {5}


def test_lengths_are_drawn_between_the_share_and_the_whole():
    curriculum = build(shortest=0.5, start=3)
    curriculum.length = 10
    drawn = [curriculum.draw_length(0, step) for step in range(200)]
    assert set(drawn) == set(range(5, 11))
    assert drawn == [curriculum.draw_length(0, step) for step in range(200)]
    assert drawn != [curriculum.draw_length(1, step) for step in range(200)]
    curriculum.length = 4
    assert {curriculum.draw_length(0, step) for step in range(50)} == {3, 4}  # never below the start


@pytest.mark.parametrize(
    ("tokens_per_batch", "num_tokens", "expected"), [(None, 1000, 64), (320, 2, 64), (320, 10, 32), (320, 1000, 4)]
)
def test_batch_size(tokens_per_batch, num_tokens, expected):
    assert build(tokens_per_batch=tokens_per_batch).batch_size(64, num_tokens) == expected


def test_the_state_is_all_there_is_to_know():
    accuracies = [0.3, 1.0, 1.0, 0.95, 1.0, 1.0, 1.0, 0.9, 1.0, 1.0, 1.0, 1.0]
    whole = lengths(build(), accuracies)
    assert len(set(whole)) > 2
    for stop in range(len(accuracies)):
        first, second = build(), build()
        before = lengths(first, accuracies[:stop])
        second.load_state_dict(first.state_dict())
        assert before + lengths(second, accuracies[stop:]) == whole


def test_the_rate_falls_with_the_root_of_the_length_and_at_the_end():
    curriculum = build(target=20, smoothing=0.0, full_rate_length=5, final_steps=10)
    factors = {}
    for _ in range(30):
        curriculum.update(1.0)
        factors.setdefault(curriculum.length, curriculum.rate_factor())
    assert factors[4] == 1.0
    assert factors[20] == pytest.approx((5 / 20) ** 0.5)
    assert curriculum.rate_factor() == pytest.approx(0.5 * 0.01)
    curriculum.steps_at_target = 5
    assert curriculum.rate_factor() == pytest.approx(0.5 * (0.01 + 0.99 * 0.5))


def test_without_a_rule_the_rate_stays():
    curriculum = build(target=3, smoothing=0.0)
    for _ in range(5):
        curriculum.update(1.0)
    assert (curriculum.length, curriculum.rate_factor()) == (3, 1.0)
