"""Integrated gradients (Sundararajan, Taly and Yan 2017): divide an answer among its inputs.

The attribution of input i is (x_i - b_i) times the integral of df/dx_i along the straight line from a baseline b to x.
Attributions add up to f(x) - f(b), the completeness axiom. Here the axiom also steers the integration: over any piece
of the line, the sum must be the difference of f between its ends, so that the error of each piece is known.
"""

import heapq
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

NODES = 4  # of Gauss-Legendre, in each piece


class Attributions(NamedTuple):
    """Attributions of each input, and what the sum of them is to be compared with.

    Attributes:
        values: one tensor for each input, of its shape.
        answer, baseline: f at x and at the baseline.
        evaluations: of the gradient.
    """

    values: list[Tensor]
    answer: float
    baseline: float
    evaluations: int

    @property
    def residual(self) -> float:
        """Return the sum of all attributions less f(x) - f(b): 0 but for the integration."""
        return sum(float(each.sum()) for each in self.values) - (self.answer - self.baseline)


def integrate_gradients(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], tolerance: float, limit: int
) -> Attributions:
    """Attribute function(*inputs), a scalar, to its inputs; the baseline of each is 0.

    The piece with the largest error is halved until the errors are within `tolerance`: their sum, so that attributions
    are complete, and the root of their summed squares, so that no two large ones cancel.

    Args:
        function: differentiable; of float64 inputs, or a small tolerance cannot be met.
        tolerance: of the sum of the attributions, in the unit of the answer.
        limit: evaluations of the gradient, after which the best attributions so far are returned.
    """
    points, shares = np.polynomial.legendre.leggauss(NODES)
    nodes, weights = ((points + 1) / 2).tolist(), (shares / 2).tolist()

    def value(share: float) -> float:
        with torch.no_grad():
            return float(function(*(share * x for x in inputs)))

    # Where an input is 0 its attribution is, too: a bag of words is kept as the few words that it has.
    places = [x.nonzero(as_tuple=True) for x in inputs]

    def piece(start: float, stop: float, rise: float) -> tuple[float, list[Tensor]]:
        total = [torch.zeros_like(x[place]) for x, place in zip(inputs, places, strict=True)]
        for node, weight in zip(nodes, weights, strict=True):
            at = [((start + (stop - start) * node) * x).requires_grad_() for x in inputs]
            slopes = torch.autograd.grad(function(*at), at, allow_unused=True, materialize_grads=True)
            for each, x, slope, place in zip(total, inputs, slopes, places, strict=True):
                each += weight * (stop - start) * x[place] * slope[place]
        return sum(float(each.sum()) for each in total) - rise, total

    ends, order = {0.0: value(0.0), 1.0: value(1.0)}, count()
    error, total = piece(0.0, 1.0, ends[1.0] - ends[0.0])
    pieces, evaluations = [(-abs(error), next(order), error, 0.0, 1.0, total)], NODES
    while evaluations < limit and _error(pieces) > tolerance:
        *_, start, stop, _ = heapq.heappop(pieces)
        middle = (start + stop) / 2
        ends[middle] = value(middle)
        for left, right in ((start, middle), (middle, stop)):
            error, total = piece(left, right, ends[right] - ends[left])
            heapq.heappush(pieces, (-abs(error), next(order), error, left, right, total))
        evaluations += 2 * NODES
    sums = [torch.stack(parts).sum(0) for parts in zip(*(each[-1] for each in pieces), strict=True)]
    values = [torch.zeros_like(x) for x in inputs]
    for found, place, each in zip(values, places, sums, strict=True):
        found[place] = each
    return Attributions(values, ends[1.0], ends[0.0], evaluations)


def _error(pieces: list[Any]) -> float:
    errors = [error for _, _, error, *_ in pieces]
    return max(abs(sum(errors)), sum(error**2 for error in errors) ** 0.5)
