"""The operations of graph convolutions, each with two engines.

GatedGCN has steps of its own, in `gated_mean`.

Shapes: N (destination) nodes, S source nodes, E edges, B graphs in a batch; `...` are feature dimensions.

The engines agree in value and gradient. Operands of two dtypes are computed in the wider one. Sums of float16 and
bfloat16 are taken in float32, and the result has the operands' dtype again, so that convolutions need no care under
autocast. A maximum's gradient goes to one edge (or node) that has it. The engines differ in two points: DGL's maximum
ignores NaN; and among equal edges torch takes the first, DGL the one that its kernel meets.

All raise ValueError for an unknown name or a wrong number of rows.
"""

from functools import reduce as fold
from types import ModuleType

import torch
from torch import Tensor

from lightning_dl2.graphs import dgl_engine, torch_engine
from lightning_dl2.graphs.graph import Graph

REDUCES = ("sum", "mean", "max")
OPS = ("add", "sub", "mul", "dot")


def spmm(graph: Graph, x: Tensor | None, e: Tensor | None = None, *, reduce: str = "sum") -> Tensor:
    """Reduce the messages of each destination's in-edges to their sum, mean or maximum, [N, ...]; 0 without in-edges.

    The message is x[src], or e where x is None, or x[src] * e; times the graph's `edge_mask`, if it has one.

    Args:
        x: [S, ...].
        e: [E, ...]. In a product its feature dimensions and those of x are broadcast from the last one on; [E] scales
            each edge.

    Raises:
        ValueError: neither x nor e.
    """
    _check_choice("reduce", reduce, REDUCES)
    if x is None and e is None:
        raise ValueError("spmm needs x, e or both")
    _check_rows("x", x, graph.num_src, "source nodes")
    _check_rows("e", e, graph.num_edges, "edges")
    if graph.edge_mask is not None:
        e = graph.edge_mask if e is None else torch_engine.rows_like(graph.edge_mask, e) * e
    if x is not None and e is not None:
        x, e = _align(x, e)
    (x, e), dtype = _widen(x, e)
    return _engine(graph).spmm(graph, x, e, reduce).to(dtype)


def sddmm(graph: Graph, op: str, x: Tensor, y: Tensor) -> Tensor:
    """Compute x[src] op y[dst] for each edge: x [S, ...], y [N, ...] -> [E, ...], with dimensions broadcast as in spmm.

    `op` is add, sub, mul, or dot, over the last dimension, which becomes 1.

    Raises:
        ValueError: dot without a feature dimension.
    """
    _check_choice("op", op, OPS)
    _check_rows("x", x, graph.num_src, "source nodes")
    _check_rows("y", y, graph.num_nodes, "destination nodes")
    if op == "dot" and min(x.ndim, y.ndim) < 2:
        raise ValueError(f"dot needs a feature dimension; x is {list(x.shape)}, y {list(y.shape)}")
    x, y = _align(x, y)
    wide, dtype = _widen(x, y)
    return _engine(graph).sddmm(graph, op, *wide).to(dtype)


def edge_softmax(graph: Graph, scores: Tensor) -> Tensor:
    """Take the softmax over the in-edges of each destination: [E, ...] -> [E, ...]."""
    _check_rows("scores", scores, graph.num_edges, "edges")
    (wide,), dtype = _widen(scores)
    return _engine(graph).edge_softmax(graph, wide).to(dtype)


def segment_readout(graph: Graph, x: Tensor, reduce: str = "sum") -> Tensor:
    """Reduce each graph's nodes to their sum, mean or maximum: [N, ...] -> [B, ...]; 0 for a graph without nodes."""
    _check_choice("reduce", reduce, REDUCES)
    _check_rows("x", x, graph.num_nodes, "nodes")
    (wide,), dtype = _widen(x)
    engine = _engine(graph) if graph.num_nodes else torch_engine
    return engine.segment_readout(graph, wide, reduce).to(dtype)


def gather(graph: Graph, x: Tensor) -> Tensor:
    """Return x[src], [S, ...] -> [E, ...], with a faster backward pass than indexing."""
    _check_rows("x", x, graph.num_src, "source nodes")
    return torch_engine.gather(graph, x)


def _engine(graph: Graph) -> ModuleType:
    """Choose the engine's module; a graph without edges is torch's, as DGL has no kernels for it."""
    return dgl_engine if graph.engine == "dgl" and graph.num_edges else torch_engine


def _align(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Give both as many dimensions: ones are inserted after the first, which counts nodes or edges."""
    ndim = max(x.ndim, y.ndim)
    x, y = (t if t.ndim == ndim else t.reshape(len(t), *(1,) * (ndim - t.ndim), *t.shape[1:]) for t in (x, y))
    return x, y


def _widen(*tensors: Tensor | None) -> tuple[list[Tensor | None], torch.dtype]:
    """Convert to the dtype of the computation; return that of the result, too."""
    dtype = fold(torch.promote_types, (t.dtype for t in tensors if t is not None))
    wide = torch.promote_types(dtype, torch.float32)
    return [None if t is None else t.to(wide) for t in tensors], dtype


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r}; allowed: {', '.join(allowed)}")


def _check_rows(name: str, x: Tensor | None, rows: int, what: str) -> None:
    if x is not None and (x.ndim == 0 or x.shape[0] != rows):
        raise ValueError(f"{name} is {list(x.shape)}; the graph has {rows} {what}")
