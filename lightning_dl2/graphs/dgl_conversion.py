"""Convert graphs to and from DGL's, without copies of tensors."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_dl2.graphs.import_dgl import load_dgl, why_no_dgl

if TYPE_CHECKING:
    from lightning_dl2.graphs.graph import Graph


def to_dgl(graph: "Graph", features: bool = False) -> Any:
    """Return a DGLGraph, or a DGL block, of the same edges in the same order, on the same memory.

    Without features it is cached with the graph and must not be changed. With features it is a new object whose frames
    hold the same tensors, except for sparse ones, which DGL's frames cannot hold.

    Raises:
        ValueError: DGL is not available.
    """
    handle = graph.cached("dgl", lambda: _structure(graph))
    if not features:
        return handle
    handle = handle.local_var()
    for name, x in graph.ndata.items():
        if isinstance(x, Tensor):
            handle.srcdata[name] = x
    for name, x in graph.edata.items():
        handle.edata[name] = x
    return handle


def _structure(graph: "Graph") -> Any:
    if (dgl := load_dgl()) is None:
        raise ValueError(f"no DGLGraph can be made: {why_no_dgl()}")
    if graph.is_block:
        return dgl.create_block(
            (graph.src, graph.dst), num_src_nodes=graph.num_src, num_dst_nodes=graph.num_nodes, device=graph.device
        )
    handle = dgl.graph((graph.src, graph.dst), num_nodes=graph.num_nodes, device=graph.device)
    if graph.batch_size != 1:
        handle.set_batch_num_nodes(graph.batch_num_nodes)
        handle.set_batch_num_edges(torch.bincount(graph.graph_of_node[graph.dst], minlength=graph.batch_size))
    return handle


def parts_of(g: Any) -> dict[str, Any]:
    """Return the arguments of `Graph` for a homogeneous DGLGraph or a block with one type of edges.

    Raises:
        ValueError: it has several types of edges.
    """
    if len(g.etypes) != 1:
        raise ValueError(f"the DGLGraph has the edge types {g.etypes}; a Graph holds one type")
    src, dst = g.edges(order="eid")
    parts = dict(src=src.long(), dst=dst.long(), ndata=dict(g.srcdata), edata=dict(g.edata))
    if g.is_block:
        return {**parts, "num_nodes": g.num_dst_nodes(), "num_src": g.num_src_nodes()}
    return {**parts, "num_nodes": g.num_nodes(), "batch_num_nodes": g.batch_num_nodes()}
