"""Draw random numbers in binary and their terms of the Baum-Sweet sequence, without rejection.

The term of a number is 1 iff its binary form has no block of consecutive zeros of odd length
(https://oeis.org/A086747). Numbers are uniform in [10, 10^L], but those with term 0 are kept with probability 0.016724
only. As L grows, numbers with term 1 become exponentially rare, and drawing until one is kept would take forever.
Instead, an automaton counts exactly the numbers that begin with a given prefix, and each bit is drawn with its
conditional probability.

Shapes: B numbers, W = 4 L bits, S = 16 states of the automaton.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import product

import numpy as np

# Relative frequencies with which numbers with term 1 and 0 are kept.
WEIGHTS = (1_000_000, 16_724)

# State of a prefix: whether it equals that of the lower and of the upper bound, and the zeros at its end. DEAD, past
# the last state, is outside of the bounds.
LEADING, EVEN, ODD, FAILED = range(4)
NEXT_ZEROS = {LEADING: (LEADING, EVEN), EVEN: (ODD, EVEN), ODD: (EVEN, FAILED), FAILED: (FAILED, FAILED)}
STATES = list(product((False, True), (False, True), (LEADING, EVEN, ODD, FAILED)))
START = STATES.index((True, True, LEADING))
DEAD = len(STATES)
HAS_TERM_ONE = np.array([zeros == EVEN for _, _, zeros in STATES])


def draw(rng: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw `n` independent numbers: their bits, highest first, bool [B, W], and their terms, bool [B]."""
    probabilities, successors = _tables(length)
    uniform = rng.random((4 * length, n))
    bits = np.empty(uniform.shape, bool)
    state = np.full(n, START)
    for position in range(4 * length):
        np.less(uniform[position], probabilities[position].take(state), out=bits[position])
        state = successors[position].take(2 * state + bits[position])
    return bits.T, HAS_TERM_ONE[state]


@lru_cache(maxsize=64)
def probability_of_one(length: int) -> Fraction:
    """Return the exact probability that a drawn number has the term 1."""
    *_, (_, _, with_term_one) = _sum_backwards(length, (1, 0))
    ones = with_term_one[START]
    zeros = 10**length - 9 - ones
    return Fraction(WEIGHTS[0] * ones, WEIGHTS[0] * ones + WEIGHTS[1] * zeros)


@lru_cache(maxsize=8)
def _tables(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability that a bit is 1 given the state before it, [W, S], and the states after it, [W, 2 S]."""
    probabilities, successors = [], []
    for states, after, before in _sum_backwards(length, WEIGHTS):
        # Python rounds a quotient of integers of any length correctly.
        probabilities.append([a / b if b else 0.0 for a, b in zip(after[1::2], before, strict=True)])
        successors.append(states)
    return np.array(probabilities[::-1]), np.array(successors[::-1])


def _sum_backwards(length: int, weights: tuple[int, int]) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """Sum the weights of all numbers that each state allows, from the last bit to the first.

    Yields for each bit: the states after it, [2 S]; their sums, [2 S]; the sums of the states before it, [S].
    """
    lower, upper = (map(int, reversed(format(bound, f"0{4 * length}b"))) for bound in (10, 10**length))
    before = [weights[0] if term else weights[1] for term in HAS_TERM_ONE]
    for states in map(_successors, lower, upper):
        sums = [*before, 0]  # 0 for DEAD
        after = [sums[state] for state in states]
        before = [zero + one for zero, one in zip(after[::2], after[1::2], strict=True)]
        yield states, after, before


@lru_cache
def _successors(lower: int, upper: int) -> list[int]:
    """Return the state after state s and bit b, at 2 s + b, where the bounds have the bits `lower` and `upper`."""

    def successor(at_lower: bool, at_upper: bool, zeros: int, bit: int) -> int:
        if (at_lower and bit < lower) or (at_upper and bit > upper):
            return DEAD
        return STATES.index((at_lower and bit == lower, at_upper and bit == upper, NEXT_ZEROS[zeros][bit]))

    return [successor(*state, bit) for state in STATES for bit in (0, 1)]
