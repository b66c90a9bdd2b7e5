"""A graph, a batch of graphs or a sampled block as tensors, for both engines.

Shapes: N (destination) nodes, S source nodes, E edges, B graphs in a batch. S = N except for a block, a sampled piece
of a graph. The first N sources of a block are its destinations, as in DGL's blocks.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lightning_dl2.graphs import dgl_conversion, self_loops
from lightning_dl2.graphs.sparse import SparseMatrix, by_row, compress, count, expand

Features: TypeAlias = Tensor | SparseMatrix


class Graph:
    """Edges src -> dst with features on nodes and edges.

    Facts of the structure (compressed rows, degrees, the normalised adjacency, DGL's handle) are computed at their
    first use and shared by the copies that `using` and `replace` make. Tensors are never written to.

    Args:
        src, dst: int64 [E], the ends of each edge.
        num_nodes: N.
        num_src: S; for a block only.
        batch_num_nodes: int64 [B], the nodes of each graph of a batch, which lie one after the other.
        ndata: features of the source nodes by name, [S, ...].
        edata: features of the edges by name, [E, ...].
        full_degrees: for a block, the out-degrees [S] and in-degrees [N] in the graph that it was sampled from.
        full_self_loops: likewise its sources' self-loops in that graph, int64 [S]; None: it has none.
        engine: "torch" or "dgl".
        checked: False skips the checks, for tensors that are right by construction.

    Raises:
        ValueError: the parts do not fit together.
    """

    edge_mask: Tensor | None = None  # [E], a factor on each edge's message, for explanations; None: 1

    def __init__(
        self,
        src: Tensor,
        dst: Tensor,
        num_nodes: int,
        *,
        num_src: int | None = None,
        batch_num_nodes: Tensor | None = None,
        ndata: Mapping[str, Features] | None = None,
        edata: Mapping[str, Tensor] | None = None,
        full_degrees: tuple[Tensor, Tensor] | None = None,
        full_self_loops: Tensor | None = None,
        engine: str = "torch",
        checked: bool = True,
    ) -> None:
        self.src, self.dst = src, dst
        self.num_nodes, self.is_block = int(num_nodes), num_src is not None
        self.num_src = self.num_nodes if num_src is None else int(num_src)
        if batch_num_nodes is None:
            batch_num_nodes = torch.tensor([self.num_nodes], device=src.device)
        self.batch_num_nodes = batch_num_nodes
        self.ndata, self.edata = dict(ndata or {}), dict(edata or {})
        self.full_degrees, self.full_self_loops, self.engine = full_degrees, full_self_loops, engine
        self.has_added_self_loops = False  # exactly one for each destination: see with_self_loops
        self.in_shares: Tensor | None = None  # of a block to which they were added: see sampled_shares
        self._cache: dict[str, Any] = {}
        if checked:
            self._check()

    def _check(self) -> None:
        for name, ends, limit in (("src", self.src, self.num_src), ("dst", self.dst, self.num_nodes)):
            if ends.dtype != torch.int64 or ends.ndim != 1:
                raise ValueError(f"{name} is {ends.dtype} {list(ends.shape)}; expected int64 [E]")
            if len(ends) and not 0 <= int(ends.min()) <= int(ends.max()) < limit:
                raise ValueError(f"{name} holds node {int(ends.min())} to {int(ends.max())} of {limit} nodes")
        if len(self.src) != len(self.dst):
            raise ValueError(f"src has {len(self.src)} edges, dst {len(self.dst)}")
        if self.num_src < self.num_nodes:
            raise ValueError(f"a block of {self.num_nodes} destinations has {self.num_src} sources; it has them first")
        if int(self.batch_num_nodes.sum()) != self.num_nodes:
            raise ValueError(f"batch_num_nodes add up to {int(self.batch_num_nodes.sum())}, not {self.num_nodes} nodes")
        if self.full_degrees is not None:
            lengths = tuple(map(len, self.full_degrees))
            if lengths != (self.num_src, self.num_nodes):
                raise ValueError(f"full_degrees are {lengths} numbers; expected {(self.num_src, self.num_nodes)}")
        if self.full_self_loops is not None and len(self.full_self_loops) != self.num_src:
            raise ValueError(f"full_self_loops are {len(self.full_self_loops)} numbers; expected {self.num_src}")
        _check_rows("ndata", self.ndata, self.num_src)
        _check_rows("edata", self.edata, self.num_edges)

    def __repr__(self) -> str:
        sources = f", {self.num_src} sources" if self.is_block else ""
        batch = f", {self.batch_size} graphs" if self.batch_size != 1 else ""
        data = f"ndata={list(self.ndata)}, edata={list(self.edata)}"
        return f"Graph({self.num_nodes} nodes{sources}, {self.num_edges} edges{batch}, {data}, {self.engine})"

    @property
    def num_edges(self) -> int:
        return len(self.src)

    @property
    def batch_size(self) -> int:
        return len(self.batch_num_nodes)

    @property
    def device(self) -> torch.device:
        return self.src.device

    # Structure, computed once.

    def cached(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the result of `make`, cached under `name` for all copies with this structure, its only input."""
        if name not in self._cache:
            self._cache[name] = make()
        return self._cache[name]

    def in_csr(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the edges by destination, then source: indptr [N + 1], source [E] and edge number [E]."""
        return self.cached("in_csr", lambda: by_row(self.dst, self.src, self.num_nodes, self.num_src))

    def out_csr(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the edges by source, then destination: indptr [S + 1], destination [E] and edge number [E]."""
        return self.cached("out_csr", lambda: by_row(self.src, self.dst, self.num_src, self.num_nodes))

    def set_order(self, in_order: Tensor, symmetric: bool) -> None:
        """Save the sorts of edges that lie by source, then destination: int64 [E], their order by destination."""
        numbers = torch.arange(self.num_edges, device=self.device)
        self._cache["in_csr"] = compress(self.dst, self.num_nodes), self.src[in_order], in_order
        self._cache["out_csr"] = compress(self.src, self.num_src), self.dst, numbers
        self._cache["is_symmetric"] = symmetric

    @property
    def in_degrees(self) -> Tensor:
        """Count the in-edges, int64 [N]."""
        return self.cached("in_degrees", lambda: count(self.dst, self.num_nodes))

    @property
    def out_degrees(self) -> Tensor:
        """Count the out-edges, int64 [S]."""
        return self.cached("out_degrees", lambda: count(self.src, self.num_src))

    @property
    def num_self_loops(self) -> Tensor:
        """Count the self-loops of each destination, int64 [N]."""
        return self.cached("num_self_loops", lambda: count(self.dst, self.num_nodes, (self.src == self.dst).long()))

    def segments(self) -> Tensor:
        """Return the bounds of the graphs, int64 [B + 1]: graph b has the nodes from segments[b] to segments[b + 1]."""
        return self.cached(
            "segments", lambda: torch.cat([self.batch_num_nodes.new_zeros(1), self.batch_num_nodes.cumsum(0)])
        )

    @property
    def graph_of_node(self) -> Tensor:
        """Return the graph of each node, int64 [N]."""
        return self.cached("graph_of_node", lambda: expand(self.segments(), self.num_nodes))

    @property
    def is_symmetric(self) -> bool:
        """Tell whether i -> j has as many edges as j -> i for all i and j; False for a block."""
        return self.cached("is_symmetric", self._is_symmetric)

    def _is_symmetric(self) -> bool:
        # Costs two sorts of the edges, of which one is needed anyway; saves the sort for the transpose.
        if self.is_block or not torch.equal(self.in_degrees, self.out_degrees):
            return False
        indptr, src, _ = self.in_csr()
        there = expand(indptr, self.num_edges) * self.num_nodes + src
        return torch.equal(there, torch.sort(self.src * self.num_nodes + self.dst).values)

    def adjacency(self, dtype: torch.dtype = torch.float32) -> SparseMatrix:
        """Return the number of edges from each source (column) to each destination (row), [N, S]."""

        def make() -> SparseMatrix:
            return self._edge_matrix(torch.ones(self.num_edges, dtype=dtype, device=self.device))

        return self.cached(f"adjacency {dtype}", make)

    def normalized_adjacency(self, dtype: torch.dtype = torch.float32) -> SparseMatrix:
        """Return D_in^-1/2 A D_out^-1/2 of the adjacency A, [N, S].

        Degrees of 0 count as 1, as with norm="both" of DGL's GraphConv. In a block the degrees are those of the whole
        graph, and each entry is multiplied by the in-degree of its destination over the number of sampled in-edges:
        the sum over the sampled neighbours is then an unbiased estimate of that over all. Self-loops that
        `with_self_loops` added to a block were not sampled, and are not multiplied.
        """
        return self.cached(f"normalized {dtype}", lambda: self._edge_matrix(self._normalized_values().to(dtype)))

    def _normalized_values(self) -> Tensor:
        """Return the values of `normalized_adjacency`, float64 [E], in the order of `in_csr`."""
        indptr, src, _ = self.in_csr()
        dst = expand(indptr, self.num_edges)
        out_degrees, in_degrees = self.full_degrees or (self.out_degrees, self.in_degrees)
        from_src, to_dst = out_degrees.clamp(min=1).double().rsqrt(), in_degrees.clamp(min=1).double().rsqrt()
        values = from_src.index_select(0, src) * to_dst.index_select(0, dst)
        if self.full_degrees is None:
            return values
        shares = self_loops.sampled_shares(self).index_select(0, dst)
        return values * (shares.masked_fill(src == dst, 1) if self.has_added_self_loops else shares)

    def _edge_matrix(self, values: Tensor) -> SparseMatrix:
        """Put a value for each edge, float [E] in the order of `in_csr`, into a matrix [N, S]."""
        indptr, src, edge_in = self.in_csr()
        shape = (self.num_nodes, self.num_src)
        if self.is_symmetric:
            return SparseMatrix(indptr, src, values, shape, symmetric=True)
        # The transpose has the structure of the out-edges; each value lies where its edge lies in in_csr.
        out_indptr, dst, edge_out = self.out_csr()
        place = torch.empty_like(edge_in)
        place[edge_in] = torch.arange(self.num_edges, device=self.device)
        return SparseMatrix(indptr, src, values, shape, turned=(out_indptr, dst, place[edge_out]))

    # Other graphs made from this one.

    def with_self_loops(self) -> "Graph":
        """Return a graph with exactly one self-loop for each destination: see `self_loops.with_self_loops`."""
        return self_loops.with_self_loops(self)

    def in_block(self, start: int, stop: int) -> tuple["Graph", Tensor, Tensor]:
        """Cut out the block of all in-edges of the destinations from `start` to `stop`, for exact inference in chunks.

        Returns:
            the block, without features; the node numbers of its sources, int64 [S], its destinations first; the numbers
            of its edges, int64 [E].
        """
        indptr, sources, edges = self.in_csr()
        first, last = indptr[[start, stop]].tolist()
        src, count = sources[first:last], stop - start
        inside = (src >= start) & (src < stop)
        others = torch.unique(src[~inside])
        ids = torch.cat([torch.arange(start, stop, device=self.device), others])
        out_degrees, in_degrees = self.full_degrees or (self.out_degrees, self.in_degrees)
        loops = self.full_self_loops if self.is_block else self.num_self_loops
        block = Graph(
            torch.where(inside, src - start, torch.searchsorted(others, src) + count),
            expand(indptr[start : stop + 1] - first, last - first),
            count,
            num_src=len(ids),
            full_degrees=(out_degrees[ids], in_degrees[start:stop]),
            full_self_loops=None if loops is None else loops[ids],
            engine=self.engine,
            checked=False,
        )
        block.has_added_self_loops = self.has_added_self_loops
        block.in_shares = None if self.in_shares is None else self.in_shares[start:stop]
        return block, ids, edges[first:last]

    def using(self, engine: str) -> "Graph":
        """Return a copy for another engine, "torch" or "dgl", that shares tensors and caches.

        Raises:
            ValueError: another name, such as "auto".
        """
        if engine not in ("torch", "dgl"):
            raise ValueError(f"engine={engine}; a graph takes torch or dgl, and resolve_engine chooses for auto")
        return self._copy(engine=engine)

    def replace(
        self, *, ndata: Mapping[str, Features] | None = None, edata: Mapping[str, Tensor] | None = None
    ) -> "Graph":
        """Return a copy with other features (None: the same) that shares tensors and caches."""
        changes = {}
        if ndata is not None:
            changes["ndata"] = dict(ndata)
            _check_rows("ndata", ndata, self.num_src)
        if edata is not None:
            changes["edata"] = dict(edata)
            _check_rows("edata", edata, self.num_edges)
        return self._copy(**changes)

    def _copy(self, **changes: Any) -> "Graph":
        copy = object.__new__(Graph)
        copy.__dict__.update(self.__dict__, **changes)
        return copy

    # Devices, pickling, DGL.

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Graph":
        """Move to `device`; return the graph itself if it is there."""
        device = torch.device(device)
        if device.type == self.device.type and device.index in (None, self.device.index):
            return self
        return self._map(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Graph":
        return self._map(lambda x: x.pin_memory())

    def _map(self, function: Callable[[Features], Features]) -> "Graph":
        """Apply `function` to each tensor; the caches of the result are empty."""
        return self._copy(
            src=function(self.src),
            dst=function(self.dst),
            batch_num_nodes=function(self.batch_num_nodes),
            ndata={name: function(x) for name, x in self.ndata.items()},
            edata={name: function(x) for name, x in self.edata.items()},
            full_degrees=None if self.full_degrees is None else tuple(map(function, self.full_degrees)),
            full_self_loops=None if self.full_self_loops is None else function(self.full_self_loops),
            in_shares=None if self.in_shares is None else function(self.in_shares),
            _cache={},
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}

    def to_dgl(self, features: bool = False) -> Any:
        """Convert to a DGLGraph, or to DGL's block: see `dgl_conversion.to_dgl`."""
        return dgl_conversion.to_dgl(self, features)

    @classmethod
    def from_dgl(cls, g: Any) -> "Graph":
        """Convert a homogeneous DGLGraph or block: see `dgl_conversion.parts_of`."""
        return cls(**dgl_conversion.parts_of(g))


def _check_rows(kind: str, data: Mapping[str, Features], rows: int) -> None:
    for name, x in data.items():
        if x.shape[0] != rows:
            raise ValueError(f"{kind}[{name!r}] has {x.shape[0]} rows; expected {rows}")
