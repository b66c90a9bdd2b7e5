"""Sample the blocks that a mini-batch of nodes needs, one a layer (Hamilton et al. 2017).

Shapes: N nodes, E edges, D destinations of a block, S sources of a block, M edges of a block.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_dl2.graphs.graph import Features, Graph
from lightning_dl2.graphs.sampling.draw_edges import (
    Floats,
    Ints,
    all_places,
    draw_with_replacement,
    draw_without_replacement,
)
from lightning_dl2.graphs.sampling.weight_totals import totals_without, weight_totals


class NeighborBlocks:
    """Sample in-edges of nodes, layer by layer; equal seeds give equal blocks, on every machine.

    A node with fewer in-edges than the fanout keeps all of them, so that blocks of large fanouts hold every message of
    the whole graph. Self-loops are edges like others.

    Args:
        graph: on the CPU, with features that the blocks get.
        fanouts: in-edges drawn for a node, by layer from the input on; -1: all.
        replace: draw with replacement: each node with an in-edge gets as many as the fanout, some of them repeatedly.
        weights: float [E], of which the draws' probabilities are a share; edges of weight 0 are never drawn. None: all
            in-edges of a node are as likely.
        estimates: name, in the blocks' edata, of weights for the drawn edges: a layer that multiplies its messages by
            them reads, in the mean over all draws, what it reads with equally likely draws and the weights themselves.
            They are the weights where a node keeps all in-edges. None: none; needs `weights`.
        totals: name, in the graph's edata, of weights whose `weight_totals` at its sources each block gets, in
            ndata[f"{totals}_totals"]; None: none.

    Raises:
        ValueError: a fanout that is neither positive nor -1, or weights that are not E numbers of 0 or more.
    """

    def __init__(
        self,
        graph: Graph,
        fanouts: Sequence[int],
        *,
        replace: bool = False,
        weights: Tensor | None = None,
        estimates: str | None = None,
        totals: str | None = None,
    ) -> None:
        if not fanouts or any(fanout < 1 and fanout != -1 for fanout in fanouts):
            raise ValueError(f"fanouts={list(fanouts)}: allowed: positive numbers, one a layer; -1: all in-edges")
        self.graph, self.fanouts, self.replace = graph, list(fanouts), replace
        if estimates is not None and weights is None:
            raise ValueError(f"estimates={estimates!r}: needs weights, by which edges are drawn")
        self.weights, self.estimates = None if weights is None else _checked(weights, graph.num_edges), estimates
        self.totals = totals
        self._rows: _InEdges | None = None
        self._all_totals: Tensor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}  # a worker makes it anew

    def sample(self, nodes: Tensor, seed: int, leave_out: Tensor | None = None) -> list[Graph]:
        """Sample the blocks from input to output, with `nodes` as the last destinations; the first has features.

        A block's sources begin with its destinations, and its edges lie in the order of these and keep their features.
        `full_degrees` are those of the graph without the edges that are left out.

        Args:
            nodes: int64 [D], all different.
            seed: of the draws, 0 or more.
            leave_out: int64, numbers of edges that the blocks must not have, such as those to be predicted, and their
                reverse; in any order, also repeated.

        Raises:
            ValueError: a node that repeats, or a number that is none of the graph's.
        """
        if self._rows is None:
            self._rows = _InEdges(self.graph, self.weights)
        rows, rng = self._rows, np.random.default_rng(seed)
        left_out = None if leave_out is None or not len(leave_out) else rows.leave_out(leave_out)
        local = _LocalNumbers(rows.local, nodes.numpy())
        drawn = []
        try:
            sources = local.nodes
            for fanout in reversed(self.fanouts):
                places, counts, estimates = rows.draw(sources, fanout, self.replace, rng, left_out)
                sources, src = local.add(rows.sources[places])
                edges = rows.edges[places] if self.graph.edata else None
                drawn.append((sources, src, counts, edges, estimates if self.estimates else None))
        finally:
            local.forget()
        numbers = None if left_out is None or leave_out is None else torch.unique(leave_out)
        degrees, totals = self._degrees(numbers), self._totals(numbers)
        blocks = [self._block(degrees, totals, *parts) for parts in reversed(drawn)]
        chosen = torch.from_numpy(drawn[-1][0])
        ndata: dict[str, Features] = {
            name: value.index_select(0, chosen) if isinstance(value, Tensor) else value.rows(chosen)
            for name, value in self.graph.ndata.items()
        }
        return [blocks[0].replace(ndata=ndata | blocks[0].ndata), *blocks[1:]]

    def _block(
        self,
        degrees: tuple[Tensor, Tensor, Tensor],
        totals: Tensor | None,
        sources: Ints,
        src: Ints,
        counts: Ints,
        edges: Ints | None,
        estimates: Floats | None,
    ) -> Graph:
        """Make a block of its sources' and edges' numbers in the graph; `counts` are the in-edges of destinations."""
        nodes, numbers = torch.from_numpy(sources), torch.empty(0) if edges is None else torch.from_numpy(edges)
        out_degrees, in_degrees, loops = degrees
        edata = {name: value.index_select(0, numbers) for name, value in self.graph.edata.items()}
        if self.estimates is not None:
            edata[self.estimates] = torch.from_numpy(estimates).float()
        return Graph(
            torch.from_numpy(src),
            torch.from_numpy(np.repeat(np.arange(len(counts)), counts)),
            len(counts),
            num_src=len(sources),
            ndata={} if totals is None else {f"{self.totals}_totals": totals.index_select(0, nodes)},
            edata=edata,
            full_degrees=(out_degrees.index_select(0, nodes), in_degrees.index_select(0, nodes[: len(counts)])),
            full_self_loops=loops.index_select(0, nodes),
            checked=False,
        )

    def _totals(self, numbers: Tensor | None) -> Tensor | None:
        """Return the totals of all nodes, without these edges; None: no layer asks for them."""
        if self.totals is None:
            return None
        weights, drawable = self.graph.edata[self.totals], None if self.weights is None else self.weights > 0
        if self._all_totals is None:
            self._all_totals = weight_totals(self.graph, weights, drawable)
        if numbers is None:
            return self._all_totals
        return totals_without(self._all_totals, self.graph, weights, drawable, numbers)

    def _degrees(self, numbers: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return out-degrees, in-degrees and self-loops of all nodes, int64 [N] each, without these edges."""
        graph = self.graph
        degrees = graph.out_degrees, graph.in_degrees, graph.num_self_loops
        if numbers is None:
            return degrees
        src, dst = graph.src[numbers], graph.dst[numbers]
        lost = src, dst, src[src == dst]
        out_degrees, in_degrees, loops = (
            degree.index_add(0, nodes, torch.full_like(nodes, -1)) for degree, nodes in zip(degrees, lost, strict=True)
        )
        return out_degrees, in_degrees, loops


class _InEdges:
    """The in-edges of each node, in compressed rows; those of weight 0 are none."""

    def __init__(self, graph: Graph, weights: Tensor | None) -> None:
        indptr, sources, edges = graph.in_csr()
        if weights is not None:
            kept = (weights > 0)[edges]
            indptr = torch.cat([indptr[:1], kept.cumsum(0)])[indptr]
            sources, edges, weights = sources[kept], edges[kept], weights[edges[kept]]
        narrow = np.int32 if max(graph.num_nodes, graph.num_edges) < 2**31 else np.int64  # half as many cache misses
        self.indptr, self.sources, self.edges = indptr.numpy(), sources.numpy().astype(narrow), edges.numpy()
        self.weights = None if weights is None else weights.numpy()
        self.num_edges = graph.num_edges
        self.local = np.full(graph.num_nodes, -1, narrow)  # numbers in a block, between its making only
        self._place: Ints | None = None

    def draw(
        self, rows: Ints, fanout: int, replace: bool, rng: np.random.Generator, left_out: "_LeftOut | None"
    ) -> tuple[Ints, Ints, Floats | None]:
        """Draw in-edges of the nodes `rows`, int64 [D].

        Returns:
            the places of the edges, int64 [M], in the order of the nodes; the number of each node's edges, int64 [D];
            with weights the estimates, [M].
        """
        begin = self.indptr[rows]
        degree = self.indptr[rows + 1] - begin
        if left_out is not None:
            begin, degree = left_out.move(rows, begin, degree)
        drawn = np.zeros(len(degree), bool) if fanout == -1 else degree > 0 if replace else degree > fanout
        counts = np.where(drawn, fanout, degree)
        places = all_places(begin, counts)  # right for the nodes that keep all
        weights = None if self.weights is None else lambda places: self._weights_at(places, left_out)
        numbers = np.flatnonzero(drawn)
        slots = (np.cumsum(counts) - counts)[numbers, None] + np.arange(max(fanout, 0))
        draw = draw_with_replacement if replace else draw_without_replacement
        if len(numbers):
            places[slots], found = draw(begin[numbers], degree[numbers], fanout, rng, weights)
        estimates = None if weights is None else weights(places)
        if estimates is not None and len(numbers):
            # A mean is over the drawn edges, in place of all in-edges.
            estimates[slots] = found * (fanout / degree[numbers, None])
        return (places if left_out is None else left_out.true_places(places)), counts, estimates

    def _weights_at(self, places: Ints, left_out: "_LeftOut | None") -> NDArray[np.float64]:
        assert self.weights is not None
        found: NDArray[np.float64] = self.weights[places if left_out is None else left_out.true_places(places)]
        return found

    def leave_out(self, numbers: Tensor) -> "_LeftOut":
        """Prepare draws without the edges of these numbers."""
        if int(numbers.min()) < 0 or int(numbers.max()) >= self.num_edges:
            limits = f"{int(numbers.min())} to {int(numbers.max())}"
            raise ValueError(f"leave_out holds the edges {limits} of {self.num_edges} edges")
        if self._place is None:
            self._place = np.full(self.num_edges, -1, np.int64)  # an edge of weight 0 has no place
            self._place[self.edges] = np.arange(len(self.edges))
        places = np.unique(self._place[numbers.numpy()])
        return _LeftOut(self.indptr, places[places >= 0], len(self.edges))


class _LeftOut:
    """Rows that lose edges, as a further table of places behind the whole graph's.

    Args:
        indptr: of the whole graph.
        places: of the edges to leave out, int64, ascending.
        size: number of the places of the whole graph; the table's begin there.
    """

    def __init__(self, indptr: Ints, places: Ints, size: int) -> None:
        self.rows, lost = np.unique(np.searchsorted(indptr, places, side="right") - 1, return_counts=True)
        begin, degree = indptr[self.rows], indptr[self.rows + 1] - indptr[self.rows]
        before = all_places(begin, degree)
        where = np.searchsorted(before, places)  # `before` ascends, as the rows do, and has all places
        self.table, self.size = np.delete(before, where), size
        self.degree = degree - lost
        self.begin = size + np.cumsum(self.degree) - self.degree

    def move(self, rows: Ints, begin: Ints, degree: Ints) -> tuple[Ints, Ints]:
        """Return begin and degree of these rows, [D] each: in the table where a row loses edges."""
        if not len(self.rows):
            return begin, degree
        at = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        moved = self.rows[at] == rows
        return np.where(moved, self.begin[at], begin), np.where(moved, self.degree[at], degree)

    def true_places(self, places: Ints) -> Ints:
        """Replace places of the table by those of the whole graph."""
        inside = places >= self.size
        if not inside.any():
            return places
        found = places.copy()
        found[inside] = self.table[places[inside] - self.size]
        return found


class _LocalNumbers:
    """Number the nodes of a batch in the order in which its blocks, from the last to the first, meet them.

    Each block's sources are the first ones of the block before it, so that one numbering serves all blocks.

    Args:
        scratch: whole numbers [N], all -1; lent until `forget`.
        nodes: int64, the first ones.

    Raises:
        ValueError: one of them is no node, or repeats.
    """

    def __init__(self, scratch: Any, nodes: Ints) -> None:
        if len(nodes) and not 0 <= nodes.min() <= nodes.max() < len(scratch):
            raise ValueError(f"nodes holds {nodes.min()} to {nodes.max()} of {len(scratch)} nodes")
        self.local, self.nodes = scratch, nodes
        self.local[nodes] = numbers = np.arange(len(nodes))
        if not np.array_equal(self.local[nodes], numbers):
            self.forget()
            raise ValueError("nodes holds a node twice; a batch's nodes are all different")

    def add(self, found: Any) -> tuple[Ints, Ints]:
        """Give numbers to the new ones of the nodes `found`, whole numbers [M], in the order of their first place.

        Returns:
            all nodes so far, int64 [S]; the number of each in `found`, int64 [M].
        """
        numbers = self.local[found]
        is_new = numbers < 0
        new = found[is_new]
        order = np.arange(len(new), dtype=self.local.dtype)
        self.local[new[::-1]] = order[::-1]  # of repeated nodes the first is written last, and stays
        firsts = new[self.local[new] == order]
        self.local[firsts] = np.arange(len(self.nodes), len(self.nodes) + len(firsts))
        numbers[is_new] = self.local[new]
        self.nodes = np.concatenate([self.nodes, firsts])
        return self.nodes, numbers.astype(np.int64)

    def forget(self) -> None:
        self.local[self.nodes] = -1


def _checked(weights: Tensor, num_edges: int) -> Tensor:
    if weights.shape != (num_edges,):
        raise ValueError(f"weights are {list(weights.shape)}; expected [{num_edges}], one for each edge")
    weights = weights.double()
    if not bool(((weights >= 0) & weights.isfinite()).all()):
        raise ValueError("weights hold a number below 0, or one that is not finite; a probability needs 0 or more")
    return weights
