"""Find the edge in the other direction of each edge."""

import torch
from torch import Tensor

from lightning_dl2.graphs.graph import Graph


def reverse_edges(graph: Graph) -> Tensor:
    """Return for each edge u -> v the number of an edge v -> u, int64 [E]; -1 where there is none.

    Of parallel edges the i-th from u to v and the i-th from v to u belong together. A self-loop is its own reverse.
    """
    forward = torch.argsort(graph.src * graph.num_nodes + graph.dst, stable=True)
    backward = torch.argsort(graph.dst * graph.num_nodes + graph.src, stable=True)
    return _match(
        (graph.src * graph.num_nodes + graph.dst)[forward],
        forward,
        (graph.dst * graph.num_nodes + graph.src)[backward],
        backward,
    )


def _match(keys: Tensor, numbers: Tensor, wanted: Tensor, places: Tensor) -> Tensor:
    """Give the places the number of their wanted key: both sorted, the i-th of equal ones to the i-th; -1: none."""
    first = torch.searchsorted(keys, wanted)
    rank = torch.arange(len(wanted), device=wanted.device) - torch.searchsorted(wanted, wanted)
    at = (first + rank).clamp(max=max(len(keys) - 1, 0))
    found = keys[at] == wanted
    result = torch.full_like(places, -1)
    result[places] = torch.where(found, numbers[at], -1)
    return result
