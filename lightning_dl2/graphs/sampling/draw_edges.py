"""Draw so many entries of each row of compressed sparse rows, for all rows at once.

A row's entries are `begin` to `begin + degree` in one long array. Every function maps rows to places in that array.

With weights, the draws come with estimates: the sum of estimate * x over the drawn entries is, in the mean over all
draws, the sum of weight * x over the row.

Shapes: R rows, K entries drawn from each.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
WeightsAt = Callable[[Ints], Floats]  # places -> their weights, of the same shape

MANY = 64  # from so many entries on, random keys of all entries are cheaper than Floyd's comparisons


def all_places(begin: Ints, degree: Ints) -> Ints:
    """Return the places of all entries, one row after the other, int64 [sum of degree]."""
    first = np.cumsum(degree) - degree
    return np.arange(degree.sum()) + np.repeat(begin - first, degree)


def draw_with_replacement(
    begin: Ints, degree: Ints, count: int, rng: np.random.Generator, weights: WeightsAt | None
) -> tuple[Ints, Floats | None]:
    """Draw `count` entries of each row independently, int64 [R, K]; no row may be empty.

    Args:
        weights: positive; an entry's share of its row's sum is its probability. None: all entries are as likely.

    Returns:
        the places, and with weights an estimate for each, [R, K].
    """
    if weights is None:
        return begin[:, None] + (rng.random((len(begin), count)) * degree[:, None]).astype(np.int64), None
    places, estimates = np.empty((len(begin), count), np.int64), np.empty((len(begin), count))
    for rows, entries, inside in _by_width(begin, degree):
        sums = np.cumsum(np.where(inside, weights(entries), 0.0), axis=1)
        targets = rng.random((len(rows), count)) * sums[:, -1:]  # below the row's sum
        # A binary search counts the sums that do not exceed the target: the row's width is a power of two.
        found = np.zeros(targets.shape, np.int64)
        step = entries.shape[1] // 2
        while step:
            found += step * (np.take_along_axis(sums, found + step - 1, axis=1) <= targets)
            step //= 2
        places[rows], estimates[rows] = begin[rows, None] + found, sums[:, -1:] / count
    return places, estimates


def draw_without_replacement(
    begin: Ints, degree: Ints, count: int, rng: np.random.Generator, weights: WeightsAt | None
) -> tuple[Ints, Floats | None]:
    """Draw `count` different entries of each row, int64 [R, K]; every row must have more than `count`.

    Without weights each set of entries is as likely. With weights the draws follow one another, each among the entries
    that are left, with probabilities in proportion to the weights.

    Args:
        weights: positive.

    Returns:
        the places, and with weights an estimate for each, [R, K].
    """
    if weights is None and count < MANY:
        return begin[:, None] + _floyd(degree, count, rng).T, None
    places, estimates = np.empty((len(begin), count), np.int64), np.empty((len(begin), count))
    for rows, entries, inside in _by_width(begin, degree):
        # The smallest of exponential variables, divided by weights, are such a sequence (Efraimidis & Spirakis 2006).
        keys: Any = rng.standard_exponential(entries.shape)
        if weights is not None:
            keys /= weights(entries)
        keys[~inside] = np.inf
        order = np.argpartition(keys, count, axis=1)
        drawn = np.sort(order[:, :count], axis=1)  # partitions have another order on another CPU
        places[rows] = begin[rows, None] + drawn
        if weights is not None:
            # Given the next larger key, each entry was drawn with probability 1 - exp(-weight * key)
            # (Cohen & Kaplan 2007, "Summarizing data using bottom-k sketches").
            own, bound = weights(places[rows]), np.take_along_axis(keys, order[:, count, None], axis=1)
            estimates[rows] = own / -np.expm1(-own * bound)
    return places, None if weights is None else estimates


def _floyd(degree: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Draw `count` different numbers below each degree, int64 [K, R], by Floyd's algorithm (Bentley & Floyd 1987).

    Step i draws a number of 0 to degree - count + i. If it was drawn before, the largest of them takes its place.
    """
    uniform = rng.random((count, len(degree)))
    chosen = np.empty(uniform.shape, np.int64)
    for step in range(count):
        largest = degree - (count - step)
        drawn = (uniform[step] * (largest + 1)).astype(np.int64)
        before = (chosen[:step] == drawn).any(0)
        chosen[step] = np.where(before, largest, drawn)
    return chosen


def _by_width(begin: Ints, degree: Ints) -> Iterator[tuple[Ints, Ints, NDArray[np.bool_]]]:
    """Yield rows of like degree as a rectangle: their numbers, the places [rows, width], and which are the row's own.

    The width is the next power of two. A place beyond the row's end is that of its first entry.
    """
    widths = np.frexp(degree - 1)[1]  # the number of bits
    for width in np.unique(widths):
        rows = np.flatnonzero(widths == width)
        numbers = np.arange(1 << width)
        inside = numbers < degree[rows, None]
        yield rows, begin[rows, None] + np.where(inside, numbers, 0), inside
