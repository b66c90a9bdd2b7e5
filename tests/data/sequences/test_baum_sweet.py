"""Test the Baum-Sweet task: the probabilities of its numbers and the shares of its labels."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from lightning_dl2.data.sequences import baum_sweet


def term(number):
    return all(len(zeros) % 2 == 0 for zeros in f"{number:b}".split("1"))


def draw(length, n):
    bits, terms = baum_sweet.draw(np.random.default_rng(1), n, length)
    assert bits.shape == (n, 4 * length) and terms.shape == (n,)
    numbers = [int("".join(map(str, row)), base=2) for row in bits.astype(int).tolist()]
    assert terms.tolist() == list(map(term, numbers))
    return numbers, terms


# The course's own figures seem to be estimates or truncated; the exact values are 0.8226, 0.6710 and 0.5041.
@pytest.mark.slow
@pytest.mark.parametrize(("length", "course", "tolerance"), [(4, 0.822, 1e-3), (5, 0.674, 4e-3), (6, 0.504, 1e-3)])
def test_probability_of_one_by_brute_force(length, course, tolerance):
    ones = sum(map(term, range(10, 10**length + 1)))
    zeros = (10**length - 9 - ones) * Fraction("0.016724")
    probability = baum_sweet.probability_of_one(length)
    assert probability == ones / (ones + zeros)
    assert float(max(probability, 1 - probability)) == pytest.approx(course, abs=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("length", [2, 3, 4])
def test_probability_of_every_number_is_exact(length):
    """The probability of each number is the product along its bits, also for numbers outside of [10, 10^L]."""
    probabilities, successors = baum_sweet._tables(length)
    ones = [number for number in range(10, 10**length + 1) if term(number)]
    total = len(ones) + (10**length - 9 - len(ones)) * 0.016724
    for number, bits in enumerate(product((0, 1), repeat=4 * length)):
        state, found = baum_sweet.START, 1.0
        for position, bit in enumerate(bits):
            one = probabilities[position, state]
            found *= one if bit else 1 - one
            if found == 0:
                break
            state = successors[position, 2 * state + bit]
        inside = 10 <= number <= 10**length
        expected = inside * (1 if term(number) else 0.016724) / total
        assert found == pytest.approx(expected, rel=1e-9, abs=0)


def test_numbers_fill_a_range_beyond_int64():
    numbers, terms = draw(length=30, n=4000)
    assert not terms.any()
    assert len(set(numbers)) == 4000 and max(numbers) <= 10**30
    # All have term 0, so they are uniform: mean 1/2, standard error 0.0046.
    assert np.mean([number / 10**30 for number in numbers]) == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_both_terms_occur_as_often_as_they_should():
    _, terms = draw(length=6, n=20_000)
    assert terms.mean() == pytest.approx(float(baum_sweet.probability_of_one(6)), abs=0.015)
