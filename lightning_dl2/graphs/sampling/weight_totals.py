"""Sum the weights of edges at each node, by which a layer normalises them also in a sampled block.

Shapes: N nodes, E edges.
"""

import torch
from torch import Tensor

from lightning_dl2.graphs.graph import Graph

LEAVING, ENTERING, LOOPS, LOOP, DRAWABLE = range(5)  # the columns


def weight_totals(graph: Graph, weights: Tensor, drawable: Tensor | None = None) -> Tensor:
    """Return five numbers of each node, float64 [N, 5].

    They are the sums of the weights of the edges that leave it and that enter it, self-loops apart; the sum of those of
    its self-loops, and the weight of the last of these (NaN: there is none); the number of in-edges that can be drawn.

    Args:
        weights: [E].
        drawable: bool [E]; None: all edges can.
    """
    wide, loops = weights.double(), graph.src == graph.dst
    found = torch.zeros(graph.num_nodes, 5, dtype=torch.float64)
    others = wide.masked_fill(loops, 0)
    found[:, LEAVING].index_add_(0, graph.src, others)
    found[:, ENTERING].index_add_(0, graph.dst, others)
    found[:, LOOPS].index_add_(0, graph.dst, wide - others)
    found[:, LOOP] = torch.nan
    found[graph.dst[loops], LOOP] = wide[loops]
    counted = torch.ones_like(wide) if drawable is None else drawable.double()
    found[:, DRAWABLE].index_add_(0, graph.dst, counted)
    return found


def totals_without(totals: Tensor, graph: Graph, weights: Tensor, drawable: Tensor | None, numbers: Tensor) -> Tensor:
    """Return the totals without the edges of these numbers, int64, each once."""
    src, dst = graph.src[numbers], graph.dst[numbers]
    if bool((src == dst).any()):  # which self-loop is the last one then, only the others tell
        kept = torch.ones(graph.num_edges, dtype=torch.bool)
        kept[numbers] = False
        rest = Graph(graph.src[kept], graph.dst[kept], graph.num_nodes, checked=False)
        return weight_totals(rest, weights[kept], None if drawable is None else drawable[kept])
    found, lost = totals.clone(), -weights[numbers].double()
    found[:, LEAVING].index_add_(0, src, lost)
    found[:, ENTERING].index_add_(0, dst, lost)
    counted = torch.ones_like(lost) if drawable is None else drawable[numbers].double()
    found[:, DRAWABLE].index_add_(0, dst, -counted)
    return found.clamp(min=0)
