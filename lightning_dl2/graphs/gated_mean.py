"""The two steps of GatedGCN: sums at edges, and means of a node's neighbours, weighted by gates of their edges.

The primitives could express both. On either engine they are torch here, with fewer passes over tensors of size [E, F].

Shapes: N destination nodes, S source nodes, E edges, F features.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from lightning_dl2.graphs.graph import Graph
from lightning_dl2.graphs.torch_engine import edges_of, gather, select, times

EPSILON = 1e-6


def edge_sum(graph: Graph, x: Tensor, y: Tensor, e: Tensor) -> Tensor:
    """Return x[src] + y[dst] + e for each edge: [S, F], [N, F], [E, F] -> [E, F]."""
    return gather(graph, x) + select(y, graph, "in") + e


def gated_mean(graph: Graph, x: Tensor, scores: Tensor) -> Tensor:
    """Return sum_u s_uv x_u / (sum_u s_uv + 1e-6) over the edges u -> v, s = sigmoid(scores): [S, F], [E, F] -> [N, F].

    It is computed in float32 at least; the result has the wider dtype of the two, as in `primitives`. An `edge_mask` of
    the graph multiplies the messages s_uv x_u, and leaves their gates in the denominator as they are.
    """
    dtype = torch.promote_types(x.dtype, scores.dtype)
    wide = torch.promote_types(dtype, torch.float32)
    if graph.edge_mask is not None:
        return _composed(graph, x.to(wide), scores.to(wide)).to(dtype)
    return _GatedMean.apply(x.to(wide), scores.to(wide), graph).to(dtype)


def _composed(graph: Graph, x: Tensor, scores: Tensor) -> Tensor:
    gates = torch.sigmoid(scores)
    edges, messages = edges_of(graph, "in", x.dtype), gather(graph, x) * gates
    if graph.edge_mask is not None:
        messages = messages * graph.edge_mask.unsqueeze(1)
    return times(edges, messages) / (times(edges, gates) + EPSILON)


class _GatedMean(Function):
    """`gated_mean` y, with t the sum of gates: dy_v/dx_u = s_uv / t_v, dy_v/ds_uv = (x_u - y_v) / t_v."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scores: Tensor, graph: Graph) -> Tensor:
        edges = edges_of(graph, "in", x.dtype)
        gates = torch.sigmoid(scores)
        total = times(edges, gates).add_(EPSILON)
        mean = times(edges, x.index_select(0, graph.src).mul_(gates)).div_(total)
        ctx.graph = graph
        ctx.save_for_backward(x, scores, gates, total, mean)
        return mean

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scores, gates, total, mean = ctx.saved_tensors
        graph = ctx.graph
        if torch.is_grad_enabled():  # a second derivative is wanted, as for a gradient penalty
            wanted = [tensor for tensor in (x, scores) if tensor.requires_grad]
            found = iter(torch.autograd.grad(_composed(graph, x, scores), wanted, grad, create_graph=True))
            return *(next(found) if tensor.requires_grad else None for tensor in (x, scores)), None
        at_edges = (grad / total).index_select(0, graph.dst)
        score_grad = x_grad = None
        if ctx.needs_input_grad[1]:
            score_grad = x.index_select(0, graph.src).sub_(mean.index_select(0, graph.dst)).mul_(at_edges)
            score_grad = torch.ops.aten.sigmoid_backward(score_grad, gates)
        if ctx.needs_input_grad[0]:
            x_grad = times(edges_of(graph, "out", x.dtype), at_edges.mul_(gates))
        return x_grad, score_grad, None
