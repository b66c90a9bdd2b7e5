"""Many small graphs in a few long tensors, so that a batch is gathered without a loop over graphs."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lightning_dl2.graphs.graph import Graph


class PackedGraphs:
    """G graphs one after the other; N and E are the nodes and edges of all of them.

    Args:
        src, dst: integers [E]; the ends of each edge, counted within its graph. int32 halves the memory.
        num_nodes, num_edges: int64 [G].
        ndata: features of the nodes by name, [N, ...].
        edata: features of the edges by name, [E, ...].

    Raises:
        ValueError: the parts do not fit together.
    """

    def __init__(
        self,
        src: Tensor,
        dst: Tensor,
        num_nodes: Tensor,
        num_edges: Tensor,
        ndata: Mapping[str, Tensor] | None = None,
        edata: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.src, self.dst, self.num_nodes, self.num_edges = src, dst, num_nodes, num_edges
        self.ndata, self.edata = dict(ndata or {}), dict(edata or {})
        self._node_starts, self._edge_starts = num_nodes.cumsum(0) - num_nodes, num_edges.cumsum(0) - num_edges
        self._check()

    def _check(self) -> None:
        if len(self.num_nodes) != len(self.num_edges):
            raise ValueError(f"num_nodes is of {len(self.num_nodes)} graphs, num_edges of {len(self.num_edges)}")
        nodes, edges = int(self.num_nodes.sum()), int(self.num_edges.sum())
        limit = torch.repeat_interleave(self.num_nodes, self.num_edges)
        for name, ends in (("src", self.src), ("dst", self.dst)):
            if len(ends) != edges:
                raise ValueError(f"{name} has {len(ends)} edges; num_edges add up to {edges}")
            if bool(((ends < 0) | (ends >= limit)).any()):
                raise ValueError(f"{name} has nodes outside of their graphs; they are numbered from 0 in each graph")
        for kind, data, rows in (("ndata", self.ndata, nodes), ("edata", self.edata, edges)):
            for name, x in data.items():
                if not isinstance(x, Tensor) or len(x) != rows:
                    raise ValueError(f"{kind}[{name!r}] is {type(x).__name__} of {len(x)} rows; expected {rows}, dense")

    def __len__(self) -> int:
        return len(self.num_nodes)

    def __repr__(self) -> str:
        sizes = f"{int(self.num_nodes.sum())} nodes, {int(self.num_edges.sum())} edges"
        return f"PackedGraphs({len(self)} graphs, {sizes}, ndata={list(self.ndata)}, edata={list(self.edata)})"

    @classmethod
    def from_graphs(cls, graphs: Sequence[Graph]) -> "PackedGraphs":
        """Pack single graphs with features of the same names.

        Raises:
            ValueError: `graphs` is empty.
        """
        if not graphs:
            raise ValueError("there are no graphs to pack")
        return cls(
            torch.cat([graph.src for graph in graphs]).int(),
            torch.cat([graph.dst for graph in graphs]).int(),
            torch.tensor([graph.num_nodes for graph in graphs]),
            torch.tensor([graph.num_edges for graph in graphs]),
            {name: torch.cat([graph.ndata[name] for graph in graphs]) for name in graphs[0].ndata},  # type: ignore[misc]  # all dense
            {name: torch.cat([graph.edata[name] for graph in graphs]) for name in graphs[0].edata},
        )

    def __getitem__(self, number: int) -> Graph:
        """Return one graph, whose features are views."""
        number = range(len(self))[number]
        nodes = slice(int(self._node_starts[number]), int(self._node_starts[number] + self.num_nodes[number]))
        edges = slice(int(self._edge_starts[number]), int(self._edge_starts[number] + self.num_edges[number]))
        return Graph(
            self.src[edges].long(),
            self.dst[edges].long(),
            nodes.stop - nodes.start,
            ndata={name: x[nodes] for name, x in self.ndata.items()},
            edata={name: x[edges] for name, x in self.edata.items()},
            checked=False,
        )

    def batch(self, index: Tensor) -> Graph:
        """Gather the graphs with the numbers `index`, int64 [B], into one Graph; a number may repeat."""
        num_nodes, num_edges = self.num_nodes[index], self.num_edges[index]
        nodes, _ = _places(self._node_starts[index], num_nodes)
        edges, graph_of_edge = _places(self._edge_starts[index], num_edges)
        shift = (num_nodes.cumsum(0) - num_nodes).index_select(0, graph_of_edge)
        return Graph(
            self.src.index_select(0, edges) + shift,
            self.dst.index_select(0, edges) + shift,
            len(nodes),
            batch_num_nodes=num_nodes,
            ndata={name: x.index_select(0, nodes) for name, x in self.ndata.items()},
            edata={name: x.index_select(0, edges) for name, x in self.edata.items()},
            checked=False,
        )

    def subset(self, index: Tensor) -> "PackedGraphs":
        """Select the graphs with the numbers `index`, int64 [M], in that order."""
        nodes, _ = _places(self._node_starts[index], self.num_nodes[index])
        edges, _ = _places(self._edge_starts[index], self.num_edges[index])
        return PackedGraphs(
            self.src[edges],
            self.dst[edges],
            self.num_nodes[index],
            self.num_edges[index],
            {name: x[nodes] for name, x in self.ndata.items()},
            {name: x[edges] for name, x in self.edata.items()},
        )


def _places(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """List the numbers from starts[b] to starts[b] + lengths[b] for each b in turn, and their b."""
    owner = torch.repeat_interleave(lengths, output_size=int(lengths.sum()))
    before = lengths.cumsum(0) - lengths
    places = (starts - before).index_select(0, owner)
    return places.add_(torch.arange(len(owner), device=lengths.device)), owner
