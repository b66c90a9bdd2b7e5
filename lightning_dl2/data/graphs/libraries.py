"""Read one graph of DGL, PyG or networkx, or one of this package, into tensors, without importing these libraries.

Shapes: N nodes, E directed edges.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.graphs import Graph
from lightning_dl2.graphs.dgl_conversion import parts_of

TYPED = "NodeDataModule.from_graph reads one such graph; in a file, make it homogeneous first"
ALLOWED = "a DGLGraph, a Data of PyG, a graph of networkx, or a Graph of this package"


@dataclass(frozen=True)
class Keys:
    """Usual names of data in a library; the first that a graph has is read."""

    features: tuple[str, ...]
    types: tuple[str, ...] = ()
    edge_features: tuple[str, ...] = ()
    edge_types: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    graph_labels: tuple[str, ...] = ()
    edge_labels: tuple[str, ...] = ("label",)


# DGL's attr and labels are those of its TUDataset.
KEYS = {
    "dgl": Keys(("feat", "node_attr"), ("node_labels",), ("feat", "edge_attr"), ("edge_labels",), ("label",)),
    "pyg": Keys(("x",), (), ("edge_attr",), (), ("y",), ("y",), ("edge_label",)),
    "networkx": Keys(("feat", "x"), (), ("feat", "edge_attr"), (), ("label", "y"), ("label", "y")),
    "graph": Keys(("features",), ("types",), ("features",), ("types",), ("labels", "label")),
    "file": Keys(("feat",), (), ("feat",), (), ("label",), ("label",)),  # the names that the readers of files give
}


@dataclass
class GraphParts:
    """One graph: its edges, what stands at nodes, edges and the whole graph, by name, and what was done to it."""

    library: str
    src: Tensor  # int64 [E]
    dst: Tensor  # int64 [E]
    num_nodes: int
    nodes: dict[str, Any]
    edges: dict[str, Any]
    whole: dict[str, Any] = field(default_factory=dict)
    ids: list[str] | None = None  # of the nodes; None: their numbers
    note: str | None = None
    edge_rows: Tensor | None = None  # for each edge, the row of its data; None: its own
    given: int | None = None  # number of edges before any was added or merged; None: as many as there are

    @property
    def keys(self) -> Keys:
        return KEYS[self.library]

    @property
    def num_given_edges(self) -> int:
        """Count the edges before any was added or merged."""
        return len(self.src) if self.given is None else self.given

    def data(self, item: str) -> dict[str, Any]:
        """Return the data of the nodes ("node"), the edges ("edge") or the whole graph ("whole"), by name."""
        return {"node": self.nodes, "edge": self.edges, "whole": self.whole}[item]

    def find(self, item: str, argument: str, key: str | None) -> str | None:
        """Return the name of the data for an argument: `key`, or the library's usual one; None: there are none."""
        names = getattr(self.keys, argument) if key is None else (key,)
        return next((name for name in names if name in self.data(item)), None)

    def take(self, src: Tensor, dst: Tensor, rows: Tensor) -> None:
        """Replace the edges by others, each with the data of one of the former edges, the `rows`."""
        self.given = self.num_given_edges
        self.src, self.dst, self.edge_rows = src, dst, rows if self.edge_rows is None else self.edge_rows[rows]


def read_graph(graph: Any, source: str) -> GraphParts:
    """Read a graph of any of the libraries; one that is read already stays as it is.

    Args:
        source: names the graph in messages.

    Raises:
        UserError: it is of another kind, a batch, a block, or has several types of nodes or edges.
    """
    if isinstance(graph, GraphParts):
        return graph
    if isinstance(graph, Graph):
        return _of_this_package(graph, source)
    bases = bases_of(graph)
    if ("dgl", "DGLGraph") in bases:
        return _of_dgl(graph, source)
    if ("torch_geometric", "Data") in bases:
        if ("torch_geometric", "Batch") in bases:
            raise UserError(f"{source}: is a Batch of {graph.num_graphs} graphs; fix: give its to_data_list()")
        return _of_pyg(graph, source)
    if ("torch_geometric", "HeteroData") in bases:
        raise UserError(f"{source}: is a HeteroData; allowed: one type of nodes and edges; fix: {TYPED}")
    if ("networkx", "Graph") in bases:
        return _of_networkx(graph, source)
    raise UserError(f"{source}: is a {type(graph).__name__}; allowed: {ALLOWED}")


def bases_of(graph: Any) -> set[tuple[str, str]]:
    """Return the library and the name of each class that an object is of."""
    return {(base.__module__.split(".")[0], base.__name__) for base in type(graph).__mro__}


def _of_this_package(graph: Graph, source: str) -> GraphParts:
    if graph.is_block or graph.batch_size != 1:
        kind = "a block" if graph.is_block else f"a batch of {graph.batch_size} graphs"
        raise UserError(f"{source}: is {kind}; allowed: single graphs")
    return GraphParts("graph", graph.src.cpu(), graph.dst.cpu(), graph.num_nodes, dict(graph.ndata), dict(graph.edata))


def _of_dgl(graph: Any, source: str) -> GraphParts:
    if graph.is_block:
        raise UserError(f"{source}: is a block; allowed: a whole graph")
    if len(graph.ntypes) != 1 or len(graph.etypes) != 1:
        kinds = f"{len(graph.ntypes)} types of nodes and {len(graph.etypes)} of edges"
        raise UserError(f"{source}: has {kinds}; allowed: one of each; fix: {TYPED}")
    if graph.batch_size != 1:
        raise UserError(f"{source}: is a batch of {graph.batch_size} graphs; fix: give dgl.unbatch(g)")
    parts = parts_of(graph)
    src, dst = parts["src"].cpu(), parts["dst"].cpu()
    return GraphParts("dgl", src, dst, int(parts["num_nodes"]), parts["ndata"], parts["edata"])


def _of_pyg(graph: Any, source: str) -> GraphParts:
    values = {name: value for name, value in graph.to_dict().items() if value is not None}
    edges = values.pop("edge_index", None)
    if not isinstance(edges, Tensor) or edges.ndim != 2 or edges.shape[0] != 2:
        raise UserError(f"{source}: has no edge_index [2, E]; allowed: a Data with one; fix: ToEdgeIndex for adj_t")
    note = None
    if "num_nodes" not in values and not any(isinstance(values.get(name), Tensor) for name in ("x", "pos", "batch")):
        note = "num_nodes is not given, and is taken from edges and masks"
    sizes = [len(value) for name, value in values.items() if _is_rows(value) and name.endswith("_mask")]
    count = max([*sizes, int(edges.max()) + 1 if edges.numel() else 0]) if note else int(graph.num_nodes)
    values.pop("num_nodes", None)
    src, dst = edges.long().cpu()
    return GraphParts("pyg", src, dst, count, values, values, values, note=note)


def _is_rows(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0


def _of_networkx(graph: Any, source: str) -> GraphParts:
    number = {node: place for place, node in enumerate(graph.nodes)}
    pairs = [(number[one], number[other], data) for one, other, data in graph.edges(data=True)]
    ends = torch.tensor([(one, other) for one, other, _ in pairs], dtype=torch.int64).reshape(-1, 2)
    src, dst, note = ends[:, 0], ends[:, 1], None
    edges = _columns([data for _, _, data in pairs], source, "edge")
    if not graph.is_directed():  # an edge is stored in both directions, a self-loop once
        turned = (src != dst).nonzero().squeeze(1)
        src, dst = torch.cat([src, dst[turned]]), torch.cat([dst, src[turned]])
        edges = {name: value[np.r_[: len(value), turned.numpy()]] for name, value in edges.items()}
        note = "undirected edges of networkx are stored in both directions"
    nodes = _columns([data for _, data in graph.nodes(data=True)], source, "node")
    ids = None if list(number) == list(range(len(number))) else list(map(str, number))
    return GraphParts("networkx", src, dst, len(number), nodes, edges, dict(graph.graph), ids, note)


def _columns(rows: list[dict[str, Any]], source: str, item: str) -> dict[str, np.ndarray]:
    """Turn the attributes of each node or edge to arrays by name."""
    found: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        if (bad := next((place for place, row in enumerate(rows) if name not in row), None)) is not None:
            raise UserError(f"{source}: {item} {bad} has no {name!r}, which others have; allowed: all or none")
        values = [row[name].cpu().numpy() if isinstance(row[name], Tensor) else row[name] for row in rows]
        try:
            found[str(name)] = np.array(values)
        except ValueError as error:  # lists of different lengths
            raise UserError(f"{source}: {name!r} has another size at some {item}s; allowed: one size") from error
    return found


def unread(graphs: Iterable[GraphParts], used: set[str]) -> str | None:
    """Name the data that no argument has asked for; None: there is nothing else."""
    left: dict[str, None] = {}
    for graph in graphs:
        names = {**graph.nodes, **graph.edges} if graph.library != "pyg" else graph.nodes
        left |= dict.fromkeys(name for name in names if name not in used and not name.startswith("_"))
    return f"not read: {', '.join(left)}" if left else None
