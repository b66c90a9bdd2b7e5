"""Draw so many entries of each row of compressed sparse rows, for all rows at once.

A row's entries are `begin` to `begin + degree` in one long array. Every function maps rows to places in that array.

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
) -> Ints:
    """Draw `count` entries of each row independently, int64 [R, K]; no row may be empty.

    Args:
        weights: positive; an entry's share of its row's sum is its probability. None: all entries are as likely.
    """
    if weights is None:
        return begin[:, None] + (rng.random((len(begin), count)) * degree[:, None]).astype(np.int64)
    places = np.empty((len(begin), count), np.int64)
    for rows, entries, inside in _by_width(begin, degree):
        sums = np.cumsum(np.where(inside, weights(entries), 0.0), axis=1)
        targets = rng.random((len(rows), count)) * sums[:, -1:]  # below the row's sum
        # A binary search counts the sums that do not exceed the target: the row's width is a power of two.
        found = np.zeros(targets.shape, np.int64)
        step = entries.shape[1] // 2
        while step:
            found += step * (np.take_along_axis(sums, found + step - 1, axis=1) <= targets)
            step //= 2
        places[rows] = begin[rows, None] + found
    return places


def draw_without_replacement(
    begin: Ints, degree: Ints, count: int, rng: np.random.Generator, weights: WeightsAt | None
) -> Ints:
    """Draw `count` different entries of each row, int64 [R, K]; every row must have more than `count`.

    Without weights each set of entries is as likely. With weights the draws follow one another, each among the entries
    that are left, with probabilities in proportion to the weights.

    Args:
        weights: positive.
    """
    if weights is None and count < MANY:
        return begin[:, None] + _floyd(degree, count, rng).T
    places = np.empty((len(begin), count), np.int64)
    for rows, entries, inside in _by_width(begin, degree):
        # The smallest of exponential variables, divided by weights, are such a sequence (Efraimidis & Spirakis 2006).
        keys: Any = rng.standard_exponential(entries.shape)
        if weights is not None:
            keys /= weights(entries)
        keys[~inside] = np.inf
        smallest = np.argpartition(keys, count - 1, axis=1)[:, :count]
        places[rows] = begin[rows, None] + np.sort(smallest, axis=1)  # partitions have another order on another CPU
    return places


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
