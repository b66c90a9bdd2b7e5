"""Cut a graph into one bipartite graph for each relation, on which any convolution computes.

Shapes: S sources, N destinations, E edges of the whole graph; R relations; n destinations and s sources of a relation.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_dl2.graphs import Graph

TYPES = "types"  # name of the types in ndata and edata
Ends = Sequence[tuple[int, int]]  # the types of source and destination, for each relation


class Part(NamedTuple):
    """The edges of one relation.

    Attributes:
        graph: their graph, a block unless all its sources are destinations; its first n sources are these.
        destinations: int64 [n], numbers of destinations in the whole graph.
        sources: int64 [s], likewise.
        edges: int64, likewise of edges.
    """

    graph: Graph
    destinations: Tensor
    sources: Tensor
    edges: Tensor

    def like(self, whole: Graph) -> Graph:
        """Return the graph with the engine, the features of edges and the `edge_mask` of the whole graph."""
        edata = {name: x[self.edges] for name, x in whole.edata.items() if name != TYPES}
        part = self.graph.using(whole.engine).replace(edata=edata)
        if whole.edge_mask is not None:
            part.edge_mask = whole.edge_mask[self.edges]
        return part


def split_relations(graph: Graph, num_relations: int, ends: Ends | None, *, all_nodes: bool) -> list[Part]:
    """Return the parts of a graph with edata["types"], int64 [E] below R, or with one relation without them.

    They are computed once for the graph's types, for all copies that share its structure.

    Args:
        ends: with ndata["types"], int64 [S]: the destinations of a relation are all nodes of its type. None: all nodes.
        all_nodes: False: the destinations of a relation are those alone that have such an edge.

    Raises:
        ValueError: several relations, but no types of edges; or ends, but no types of nodes.
    """
    types = graph.edata.get(TYPES) if num_relations > 1 else None
    if types is None and num_relations > 1:
        raise ValueError(f"the graph has no types of edges, and the net reads {num_relations} relations")
    if all_nodes and ends is not None and TYPES not in graph.ndata:
        raise ValueError("the graph has no types of nodes, which its relations need")
    nodes: Any = graph.ndata[TYPES] if all_nodes and ends is not None else None

    def make() -> tuple[Tensor | None, object, list[Part]]:
        with torch.inference_mode(False):  # a validation may come first, and training cannot use inference tensors
            return types, nodes, _split(graph, types, nodes, num_relations, ends, all_nodes)

    found = graph.cached(f"relations {all_nodes} {num_relations} {ends}", make)
    return (found if found[0] is types and found[1] is nodes else make())[2]


def _split(
    graph: Graph, types: Tensor | None, nodes: Tensor | None, num_relations: int, ends: Ends | None, all_nodes: bool
) -> list[Part]:
    if types is None:
        groups = [torch.arange(graph.num_edges, device=graph.device)]
    else:
        order = torch.argsort(types, stable=True)
        groups = list(order.split(torch.bincount(types, minlength=num_relations).tolist()))
    place = torch.full((graph.num_src,), -1, device=graph.device)
    parts = []
    for number, edges in enumerate(groups):
        src, dst = graph.src[edges], graph.dst[edges]
        if not all_nodes:
            first = dst.unique()
        elif nodes is None or ends is None:
            first = torch.arange(graph.num_nodes, device=graph.device)
        else:
            first = (nodes[: graph.num_nodes] == ends[number][1]).nonzero().squeeze(1)
        place.fill_(-1)
        place[first] = torch.arange(len(first), device=graph.device)
        others = src[place[src] < 0].unique()
        place[others] = torch.arange(len(first), len(first) + len(others), device=graph.device)
        sources = torch.cat([first, others])
        part = Graph(
            place[src],
            place[dst],
            len(first),
            num_src=len(sources) if len(others) or graph.is_block else None,
            checked=False,
        )
        parts.append(Part(part, first, sources, edges))
    return parts
