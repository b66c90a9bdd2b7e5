"""Cut out the subgraph around each node of a graph, and mark its nodes by their distances.

Shapes: N nodes, E edges, S subgraphs, V nodes and W edges of all subgraphs together.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dl2.graphs import Graph, PackedGraphs
from lightning_dl2.nets.checks import check_choice, check_sizes

MARKS = ("node", "edge")


@dataclass(frozen=True)
class Subgraphs:
    """The subgraphs of a graph, one after the other.

    Args:
        graph: all of them as one batch of S graphs, without features.
        node: int64 [V], the node of the whole graph that each node is.
        edge: int64 [W], likewise its edges.
        root: int64 [S], the node that each subgraph is around.
        label: int64 [V], the mark of each node, below `count_labels`.
    """

    graph: Graph
    node: Tensor
    edge: Tensor
    root: Tensor
    label: Tensor


def count_labels(marks: str, hops: int) -> int:
    """Return the number of different marks: a distance is 0 to `hops`, that to a neighbour may be one more."""
    return hops + 1 if marks == "node" else (hops + 1) * (hops + 2)


def extract_subgraphs(graph: Graph, marks: str, hops: int) -> Subgraphs:
    """Cut out the subgraph of the nodes at most `hops` edges from each node, with all edges between them.

    Edges count in both directions for the distance. Self-loops and parallel edges stay, and add no distance.

    Args:
        marks: "node": a subgraph for each node i, whose nodes v are marked by the distance d(i, v) (Zhang and Li 2021,
            Nested graph neural networks, with the labels of section 4.2). "edge": a subgraph around i for each i and
            each neighbour j of i, whose nodes are marked by d(i, v) and d(j, v) (Huang et al. 2023, Boosting the cycle
            counting power of graph neural networks with I2-GNNs, section 4). Both distances are those in the whole
            graph.

    Raises:
        ValueError: other marks, `hops` below 1, or a sampled block.
    """
    check_choice("marks", marks, MARKS)
    check_sizes(hops=hops)
    if graph.is_block:
        raise ValueError("a sampled block has no subgraphs: its nodes lack neighbours")
    count = graph.num_nodes
    key, distance = _distances(graph, hops)
    root, node = key // count, key % count
    sizes = torch.bincount(root, minlength=count)
    # The edges of a subgraph are those out-edges of its nodes that end in it.
    indptr, targets, numbers = graph.out_csr()
    places, owner = _ranges(indptr[node], indptr[node + 1] - indptr[node])
    wanted = root[owner] * count + targets[places]
    found = torch.searchsorted(key, wanted).clamp(max=len(key) - 1)
    inside = key[found] == wanted
    src, dst, edge = owner[inside], found[inside], numbers[places][inside]
    # They lie by source, then destination. One sort here spares one for each of the copies below.
    in_order = (dst * len(node) + src).argsort()
    if marks == "node":
        whole = Graph(src, dst, len(node), batch_num_nodes=sizes, checked=False)
        whole.set_order(in_order, graph.is_symmetric)
        return Subgraphs(whole, node, edge, torch.arange(count, device=node.device), distance)
    num_edges = torch.bincount(root[src], minlength=count)
    starts, edge_starts = sizes.cumsum(0) - sizes, num_edges.cumsum(0) - num_edges
    balls = PackedGraphs(
        src - starts[root[src]],
        dst - starts[root[dst]],
        sizes,
        num_edges,
        {"node": node, "distance": distance},
        {"edge": edge, "in_order": in_order - edge_starts[root[src]]},
    )
    first, second = _neighbours(graph)
    batch = balls.batch(first)
    copied = num_edges[first]
    shift = torch.repeat_interleave(copied.cumsum(0) - copied, copied, output_size=batch.num_edges)
    batch.set_order(batch.edata["in_order"] + shift, graph.is_symmetric)
    ends: dict[str, Tensor] = batch.ndata  # type: ignore[assignment]  # all dense
    here = second[batch.graph_of_node] * count + ends["node"]
    found = torch.searchsorted(key, here).clamp(max=len(key) - 1)
    # A node that is `hops` from i and not within `hops` of its neighbour j is hops + 1 from j.
    other = torch.where(key[found] == here, distance[found], hops + 1)
    label = ends["distance"] * (hops + 2) + other
    return Subgraphs(batch.replace(ndata={}, edata={}), ends["node"], batch.edata["edge"], first, label)


def _neighbours(graph: Graph) -> tuple[Tensor, Tensor]:
    """Return each pair of a node and one of its neighbours once, in both orders, without self-loops."""
    count = graph.num_nodes
    keys = torch.cat([graph.src * count + graph.dst, graph.dst * count + graph.src])[graph.src.ne(graph.dst).repeat(2)]
    keys = keys.unique()
    return keys // count, keys % count


def _distances(graph: Graph, hops: int) -> tuple[Tensor, Tensor]:
    """Return the pairs of nodes i, v at most `hops` apart as ascending keys i * N + v, and their distances."""
    count = graph.num_nodes
    first, second = _neighbours(graph)
    indptr = torch.cat([first.new_zeros(1), torch.bincount(first, minlength=count).cumsum(0)])
    nodes = torch.arange(count, device=graph.device)
    front = nodes * count + nodes
    keys, distances = [front], [torch.zeros_like(front)]
    seen = front
    for distance in range(1, hops + 1):
        root, node = front // count, front % count
        places, owner = _ranges(indptr[node], indptr[node + 1] - indptr[node])
        reached = (root[owner] * count + second[places]).unique()
        front = reached[~_isin(reached, seen)]
        if not len(front):
            break
        keys.append(front)
        distances.append(torch.full_like(front, distance))
        seen = torch.cat([seen, front]).sort().values
    order = torch.cat(keys).argsort()
    return torch.cat(keys)[order], torch.cat(distances)[order]


def _isin(values: Tensor, ascending: Tensor) -> Tensor:
    places = torch.searchsorted(ascending, values).clamp(max=len(ascending) - 1)
    return ascending[places] == values


def _ranges(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """List the numbers from starts[b] to starts[b] + lengths[b] for each b in turn, and their b."""
    owner = torch.repeat_interleave(lengths)
    before = lengths.cumsum(0) - lengths
    return (starts - before)[owner] + torch.arange(len(owner), device=starts.device), owner
