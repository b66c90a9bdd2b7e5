"""Run a graph network layer by layer on a graph that is too big for one forward pass.

Shapes: N nodes, E edges, C outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_dl2.graphs import Graph, SparseMatrix, resolve_engine
from lightning_dl2.graphs.graph import Features
from lightning_dl2.nets.checks import check_sizes
from lightning_dl2.nets.graph.convolutions import EDGE_WEIGHT
from lightning_dl2.nets.graph.relations.choose import rows_of_types
from lightning_dl2.nets.graph.sparse_linear import as_dense

if TYPE_CHECKING:
    from lightning_dl2.nets.graph.network import GraphNetwork


@torch.no_grad()
def layerwise(net: GraphNetwork, graph: Graph, chunk_size: int) -> Tensor:
    """Compute each layer for all nodes, `chunk_size` destinations at once, before the next -> exact logits [N, C].

    Each node is computed once a layer, at the cost of a forward pass; a block with all neighbours would hold most of
    the graph after a few layers. The graph and the layers' outputs stay on the graph's device. The chunks and the
    logits are on the net's.

    Raises:
        ValueError: in training mode, at graph level, or a `chunk_size` below 1.
    """
    if net.training:
        raise ValueError("the net is in training mode; layerwise is for inference, call eval() first")
    if net.level != "node":
        raise ValueError(f"level is {net.level!r}; layerwise is for level='node'")
    if net.virtual_node is not None:
        raise ValueError("virtual_node=True reads the whole graph; layerwise is for virtual_node=False")
    check_sizes(chunk_size=chunk_size)
    device, home = next(net.parameters()).device, graph.device
    engine = resolve_engine(net.engine, device)
    graph = net.prepare(graph)
    starts = range(0, graph.num_nodes, chunk_size)
    chunks = [(start, min(start + chunk_size, graph.num_nodes)) for start in starts]

    ndatas = (_rows(graph.ndata, torch.arange(*chunk, device=home), device) for chunk in chunks)
    inputs = [net.initial(net.inputs(ndata)) for ndata in ndatas]
    if isinstance(inputs[0][0], SparseMatrix):
        x: Any = graph.ndata["features"]  # as they are: nothing was computed
        x0 = None
    else:
        x = torch.cat([as_dense(part).to(home) for part, _ in inputs])
        mixed = [part.to(home) for _, part in inputs if part is not None]
        x0 = torch.cat(mixed) if mixed else None

    states: Tensor | None = None  # of all edges: gatedgcn has them from its second layer on
    outputs: list[Tensor] = []
    for layer in net.layers:
        pieces, next_states = [], None
        for chunk in chunks:
            block, source, edge = graph.in_block(*chunk)
            ndata, edata = rows_of_types(graph, source, edge)
            if EDGE_WEIGHT in graph.edata:
                edata[EDGE_WEIGHT] = graph.edata[EDGE_WEIGHT][edge]
            block = block.replace(ndata=ndata, edata=edata)
            e = None
            if states is not None:
                e = states[edge].to(device)
            elif net.edge_inputs is not None:
                e = net.edge_inputs(_rows(graph.edata, edge, device), len(edge))
            x0_here = None if x0 is None else x0[slice(*chunk)].to(device)
            y, raw = layer(block.to(device).using(engine), _take(x, source).to(device), e, x0_here)
            pieces.append(y.to(home))
            if layer.edge_norm is not None:
                raw = layer.edges(raw, e).to(home)
                if next_states is None:
                    next_states = raw.new_empty(graph.num_edges, raw.shape[1])
                next_states[edge] = raw
        x, states = torch.cat(pieces), next_states
        # only jumping knowledge reads all outputs
        outputs = [x] if net.jumping_knowledge == "none" else [*outputs, x]
    return torch.cat([net.conclude(None, [x[start:stop].to(device) for x in outputs]) for start, stop in chunks])


def _rows(data: Mapping[str, Features], index: Tensor, device: torch.device) -> dict[str, Any]:
    return {name: _take(x, index).to(device) for name, x in data.items()}


def _take(x: Features, index: Tensor) -> Features:
    return x.rows(index) if isinstance(x, SparseMatrix) else x[index]
