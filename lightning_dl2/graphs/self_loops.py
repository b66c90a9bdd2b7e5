"""Give each node of a graph, or each destination of a block, exactly one self-loop."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lightning_dl2.graphs.graph import Graph


def with_self_loops(graph: "Graph") -> "Graph":
    """Return a graph with exactly one self-loop for each destination, after the other edges, with zero features.

    The structure is made once, and the result returns itself. A block's full degrees become those of its graph with
    these self-loops. Its shares stay: whether a node draws its own self-loop, which the new one replaces, or a
    neighbour in its place, the sum over its neighbours is estimated without bias.
    """
    if graph.has_added_self_loops:
        return graph
    looped: Graph = graph.cached("with_self_loops", lambda: _structure(graph))
    others = _others(graph)
    # Copies share the structure that the first of them made, but not the features.
    zeros = {name: x.new_zeros(graph.num_nodes, *x.shape[1:]) for name, x in graph.edata.items()}
    edata = {name: torch.cat([x[others], zeros[name]]) for name, x in graph.edata.items()}
    return looped.replace(ndata=graph.ndata, edata=edata).using(graph.engine)


def _structure(graph: "Graph") -> "Graph":
    others, loops = _others(graph), torch.arange(graph.num_nodes, device=graph.device)
    degrees = graph.full_degrees
    if degrees is not None:
        before = graph.full_self_loops
        out_loops, in_loops = (0, 0) if before is None else (before, before[: graph.num_nodes])
        degrees = degrees[0] - out_loops + 1, degrees[1] - in_loops + 1
    result = type(graph)(
        torch.cat([graph.src[others], loops]),
        torch.cat([graph.dst[others], loops]),
        graph.num_nodes,
        num_src=graph.num_src if graph.is_block else None,
        batch_num_nodes=graph.batch_num_nodes,
        full_degrees=degrees,
        checked=False,
    )
    result.has_added_self_loops = True
    result.in_shares = None if degrees is None else sampled_shares(graph)
    return result


def _others(graph: "Graph") -> Tensor:
    """Return the numbers of the edges that are no self-loops."""
    others: Tensor = graph.cached("others", lambda: (graph.src != graph.dst).nonzero().squeeze(1))
    return others


def sampled_shares(graph: "Graph") -> Tensor:
    """Return the in-degree in the whole graph over that in this block, float64 [N]; of nodes without edges it is 0."""
    if graph.in_shares is not None:
        return graph.in_shares
    assert graph.full_degrees is not None
    return graph.full_degrees[1].double() / graph.in_degrees.clamp(min=1)
