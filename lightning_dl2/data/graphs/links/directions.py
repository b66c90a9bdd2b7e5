"""Join the two directions of an undirected edge that a file lists both.

Shapes: R rows, P pairs of nodes, T targets.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Joined(NamedTuple):
    """Rows of the same two nodes as one item."""

    items: Tensor  # int64 [R], the item of each row
    first: Tensor  # int64 [P], the first row of each item
    labels: Tensor  # [P] or [P, T], known where one of its rows knows it


def join_directions(pairs: Tensor, labels: Tensor, num_nodes: int) -> Joined | None:
    """Join rows of the same two nodes, else a label of the test would stand in training in the other direction.

    Args:
        pairs: int64 [R, 2].
        labels: [R] or [R, T]; -1, or NaN of floating numbers, is unknown.

    Returns:
        None: rows of the same two nodes have different labels, so that the order of the ends counts.
    """
    keys, inverse = (pairs.amin(1) * num_nodes + pairs.amax(1)).unique(return_inverse=True)
    rows = torch.arange(len(pairs))
    first, order = torch.full((len(keys),), len(pairs)).scatter_reduce(0, inverse, rows, "amin").sort()
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    items = rank[inverse]
    values = labels.double().reshape(len(labels), -1)
    known = ~values.isnan() if labels.is_floating_point() else values >= 0
    at, extremes = items[:, None].expand_as(values), []
    for sign in (1, -1):
        start = torch.full((len(keys), values.shape[1]), -torch.inf, dtype=torch.float64)
        extremes.append(sign * start.scatter_reduce(0, at, torch.where(known, sign * values, -torch.inf), "amax"))
    highest, lowest = extremes
    if bool((lowest < highest).any()):
        return None
    unknown = torch.nan if labels.is_floating_point() else -1
    found = torch.where(highest.isinf(), unknown, highest).to(labels.dtype).reshape(len(keys), *labels.shape[1:])
    return Joined(items, first, found)
