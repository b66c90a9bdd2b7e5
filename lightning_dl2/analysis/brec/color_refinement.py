"""Tell graphs apart without any training, by the colour refinement of Weisfeiler and Leman.

Shapes: n nodes.
"""

from typing import Any

import numpy as np

from lightning_dl2.graphs import Graph

Colors = np.ndarray[Any, np.dtype[np.uint64]]
# Colours are hashes of 64 bits: two different multisets get one colour with a chance of about 2^-64.
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))  # of SplitMix64 (Steele, Lea and Flood 2014)
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)


def tells_apart(method: str, first: Graph, second: Graph) -> bool:
    """Tell whether the refinement ends with other colours for two graphs.

    Args:
        method: "1-wl", which bounds message passing (Xu et al. 2019); or "3-wl", the folklore test of pairs of nodes
            (2-FWL), as strong as the test of triples (Cai, Fuerer and Immerman 1992).
    """
    if first.num_nodes != second.num_nodes:
        return True
    refine = {"1-wl": _refine_nodes, "3-wl": _refine_pairs}[method]
    colors = [_first_colors(method, graph) for graph in (first, second)]
    count = 0
    while True:
        if not np.array_equal(np.sort(colors[0], None), np.sort(colors[1], None)):
            return True
        found = len(np.unique(colors[0]))
        if found == count:  # no class was split: the colours are stable
            return False
        count = found
        colors = [refine(color, graph) for color, graph in zip(colors, (first, second), strict=True)]


def _first_colors(method: str, graph: Graph) -> Colors:
    """Return equal colours of all nodes [n]; or those of pairs [n, n]: a node with itself, neighbours, others."""
    if method == "1-wl":
        return np.zeros(graph.num_nodes, np.uint64)
    return _adjacency(graph) + np.eye(graph.num_nodes, dtype=np.uint64) * np.uint64(2)


def _adjacency(graph: Graph) -> Colors:
    found = np.zeros((graph.num_nodes, graph.num_nodes), np.uint64)
    found[graph.src.numpy(), graph.dst.numpy()] = 1
    return found


def _refine_nodes(colors: Colors, graph: Graph) -> Colors:
    """c(v) <- hash(c(v), multiset of c(u) over the neighbours u of v)."""
    return _mix(_FIRST * colors + _mix(_adjacency(graph) @ _mix(colors + _SECOND)))


def _refine_pairs(colors: Colors, graph: Graph) -> Colors:
    """c(u, v) <- hash(c(u, v), multiset of (c(u, w), c(w, v)) over all nodes w)."""
    found, after = np.empty_like(colors), _SECOND * colors
    for node, row in enumerate(colors):
        found[node] = _mix(_FIRST * row[:, None] + after).sum(0)
    return _mix(_FIRST * colors + _mix(found))


def _mix(values: Colors) -> Colors:
    for shift, factor in _STEPS:
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))
