"""Make a GraphSet or a NodeSet of graphs in memory: of DGL, PyG, networkx or this package.

What is doubled, numbered anew, or left out is told in a note; what cannot be right raises UserError.

Shapes: N nodes, E directed edges, G graphs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet
from lightning_dl2.data.graph_files.own.edges import arrange_edges
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graphs.columns import (
    UNKNOWN,
    as_tensor,
    check_classes,
    name_targets,
    number_labels,
    read_columns,
)
from lightning_dl2.data.graphs.libraries import GraphParts, read_graph, unread
from lightning_dl2.data.graphs.splits import read_node_splits, read_splits

WAYS = "give it once, or repeated_edges='keep'"
COMPARED = "_edge_labels"  # name, in the data of edges, of the labels in which repeated edges must agree


def build_graph_set(
    graphs: Sequence[Any],
    labels: Any,
    splits: Mapping[str, Any] | None,
    *,
    level: Any = "graph",
    target: Any = None,
    class_names: list[str] | None = None,
    target_names: Sequence[str] | None = None,
    features: str | None = None,
    types: str | None = None,
    edge_features: str | None = None,
    edge_types: str | None = None,
    undirected: bool = False,
    repeated_edges: str = "merge",
    ids: Sequence[str] | None = None,
    trains: bool = True,  # False: labels may be of one class only
) -> tuple[GraphSet, str | None]:
    """Make a set of graphs; the arguments are those of `GraphSetDataModule.from_graphs`.

    Returns:
        the set, and a note of what was changed or left out.
    """
    if level not in ("graph", "node"):
        raise UserError(f"level={level}: allowed: graph, node")
    graphs = list(graphs)
    if not graphs:
        raise UserError("graphs=[]: there are none; allowed: one or more")
    if labels is None and all(isinstance(graph, tuple) and len(graph) == 2 for graph in graphs):
        graphs, labels = [graph for graph, _ in graphs], [label for _, label in graphs]
    parts = [read_graph(graph, f"graphs[{number}]") for number, graph in enumerate(graphs)]
    used: set[str] = set()
    values = find_labels(parts, labels, level, used)
    numbers, names, target, note = number_labels(
        values, "labels", target=target, class_names=class_names, unknown=False
    )
    target_names = name_targets(numbers, target, target_names)
    asked = Reading(undirected, repeated_edges)
    edge_note = complete_edges(parts, asked, (edge_features, edge_types))
    nodes = read_columns(parts, "node", features, types, used)
    edges = read_columns(parts, "edge", edge_features, edge_types, used)
    found = GraphSet(
        src=torch.cat([graph.src for graph in parts]),
        dst=torch.cat([graph.dst for graph in parts]),
        num_nodes=torch.tensor([graph.num_nodes for graph in parts]),
        num_edges=torch.tensor([len(graph.src) for graph in parts]),
        labels=numbers,
        class_names=names,
        node_types=nodes.types,
        num_node_types=nodes.num_types,
        node_features=nodes.features,
        edge_types=edges.types,
        num_edge_types=edges.num_types,
        edge_features=edges.features,
        level=level,
        target=target,
        splits=read_splits(splits, len(parts), "graphs"),
        graph_ids=_ids(ids, len(parts)),
        target_names=target_names,
    )
    found.check("graphs")
    if target == "classification" and trains:
        check_classes("graphs", names)
    bare = None if nodes.features is not None or nodes.types is not None else "nodes have no features: each gets a 1"
    return found, _note(parts, edge_note, note, nodes.note, edges.note, bare, unread(parts, used))


def build_node_set(
    graph: Any,
    *,
    features: str | None = None,
    labels: Any = None,
    splits: Mapping[str, Any] | None = None,
    edge_features: str | None = None,
    edge_weight: str | None = None,
    target: Any = None,
    class_names: list[str] | None = None,
    target_names: Sequence[str] | None = None,
    undirected: bool = False,
    repeated_edges: str = "merge",
    ids: Sequence[str] | None = None,
    labelled: bool = True,
    trains: bool = True,
    edge_targets: dict[str, Any] | None = None,
) -> tuple[NodeSet, str | None]:
    """Make a set of one graph; the arguments are those of `NodeDataModule.from_graph`.

    Args:
        labelled: whether the nodes must have labels; False: those that they have are not read.
        trains: False: the graph is not to be trained on, and may have labels of one class or of none.
        edge_targets: of the edges as they are given, see `NodeSet`, without `rows`.

    Returns:
        the set, and a note of what was changed or left out.
    """
    parts = [read_graph(graph, "graph")]
    used: set[str] = set()
    if not labelled:
        labels = torch.full((parts[0].num_nodes,), UNKNOWN)
    values = find_labels(parts, labels, "node", used)
    numbers, names, kind, note = number_labels(values, "labels", target=target, class_names=class_names, unknown=True)
    if target is None and kind != "classification":
        raise UserError(
            "labels: are floating numbers, and no classes; fix: target=regression, or whole numbers if they are classes"
        )
    keys = edge_features, None, edge_weight, COMPARED
    edge_note = complete_edges(parts, Reading(undirected, repeated_edges), keys)
    nodes = read_columns(parts, "node", features, None, used, as_numbers=True)
    edges = read_columns(parts, "edge", edge_features, None, used, as_numbers=True)
    found = NodeSet(
        src=parts[0].src,
        dst=parts[0].dst,
        num_nodes=parts[0].num_nodes,
        features=nodes.features,
        labels=numbers,
        class_names=names,
        splits=read_node_splits(parts[0], splits, used) if labelled else None,
        edge_features=edges.features,
        edge_weights=_weights(parts[0], edge_weight, used),
        node_ids=_ids(ids, parts[0].num_nodes) or parts[0].ids,
        target=kind,
        target_names=name_targets(numbers, kind, target_names),
        edge_targets=None if edge_targets is None else edge_targets | {"rows": _rows(parts[0])},
    )
    found.check("graph")
    if kind == "classification" and labelled and trains:
        check_classes("graph", names)
    bare = None if nodes.features is not None else "nodes have no features: each gets a 1"
    return found, _note(parts, edge_note, note, nodes.note, edges.note, bare, unread(parts, used))


def _rows(graph: GraphParts) -> Tensor:
    """Return for each edge the number of the given one whose data it has, int64 [E]."""
    return torch.arange(len(graph.src)) if graph.edge_rows is None else graph.edge_rows


def _note(parts: Sequence[GraphParts], *notes: str | None) -> str | None:
    told = dict.fromkeys([*(graph.note for graph in parts), *notes])
    return "graphs in memory: " + "; ".join(filter(None, told)) if any(told) else None


def find_labels(parts: Sequence[GraphParts], labels: Any, level: str, used: set[str]) -> Any:
    """Return the labels of all graphs, or of all nodes: given, or by their name in the graphs."""
    if labels is not None and not isinstance(labels, str):
        given = list(labels) if level == "graph" or len(parts) > 1 else [labels]
        if len(given) != len(parts):
            raise UserError(f"labels: are {len(given)}; allowed: one for each of {len(parts)} graphs")
        return _joined(given, parts, level)
    item = "whole" if level == "graph" else "node"
    argument = "graph_labels" if level == "graph" else "labels"
    names = [graph.find(item, argument, labels) for graph in parts]
    if None in names:
        without = names.index(None)
        source = f"graphs[{without}]" if len(parts) > 1 else "graph"
        usual = labels or " or ".join(getattr(parts[without].keys, argument))
        what = "label of its own" if level == "graph" else "labels of nodes"
        raise UserError(f"{source}: has no {what}{usual and f', {usual}'}; fix: give labels=..., values or a name")
    used |= set(map(str, names))
    return _joined([graph.data(item)[str(name)] for graph, name in zip(parts, names, strict=True)], parts, level)


def _joined(values: list[Any], parts: Sequence[GraphParts], level: str) -> Any:
    if level == "graph":
        return _stacked(values)
    for number, (value, graph) in enumerate(zip(values, parts, strict=True)):
        if len(value) != graph.num_nodes:
            source = f"graphs[{number}]" if len(parts) > 1 else "graph"
            raise UserError(f"{source}: has {len(value)} labels; allowed: one for each of {graph.num_nodes} nodes")
    if all(isinstance(value, Tensor) for value in values):
        return torch.cat([value.detach().cpu() for value in values])
    return np.concatenate([np.asarray(value) for value in values])


def _stacked(values: list[Any]) -> Any:
    """Return the labels of graphs: G names or numbers, or numbers [G, T] if each graph has T."""
    if any(isinstance(value, str) or value is None for value in values):
        return values
    rows = [as_tensor(value, f"labels[{number}]").flatten() for number, value in enumerate(values)]
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]) or not len(row):
            raise UserError(
                f"labels[{number}]: is {len(row)} numbers, but {len(rows[0])} in labels[0]; allowed: as many of each"
                " graph, one or more"
            )
    return [row.item() for row in rows] if len(rows[0]) == 1 else torch.stack(rows)


def _ids(ids: Sequence[str] | None, count: int) -> list[str] | None:
    if ids is not None and len(ids) != count:
        raise UserError(f"ids: are {len(ids)}; allowed: {count}")
    return None if ids is None else list(map(str, ids))


def complete_edges(parts: Sequence[GraphParts], asked: Reading, keys: Sequence[str | None] = ()) -> str | None:
    """Add missing directions of edges and merge repeated edges; return a note of that, and of what is unusual.

    Args:
        asked: `undirected` and `repeated_edges`.
        keys: names of the edges' features and types, in which repeated edges must agree.
    """
    one_way = loops = repeated = isolated = 0
    for number, graph in enumerate(parts):
        src, dst, count = graph.src.numpy(), graph.dst.numpy(), graph.num_nodes
        if len(src) and (min(src.min(), dst.min()) < 0 or max(src.max(), dst.max()) >= count):
            source = f"graphs[{number}]" if len(parts) > 1 else "graph"
            worst = min(src.min(), dst.min()) if min(src.min(), dst.min()) < 0 else max(src.max(), dst.max())
            raise UserError(f"{source}: has an edge of node {worst}; allowed: nodes 0 to {count - 1}")
        isolated += count - len(np.union1d(src, dst))
        source = f"graphs[{number}]: " if len(parts) > 1 else ""
        values = _edge_values(graph, keys) if asked.repeated_edges == "merge" else None
        found = arrange_edges(src, dst, count, values, asked, f"{source}edge {{}}".format, WAYS)
        pairs = src * count + dst
        repeated += len(pairs) - len(np.unique(pairs))
        if len(found.src) != len(src):
            graph.take(*map(torch.from_numpy, found[:3]))
        kept = np.unique(pairs) if asked.repeated_edges == "merge" else pairs
        one_way += int((~np.isin(kept % count * count + kept // count, pairs)).sum())
        loops += int((kept // count == kept % count).sum())
    reverse = "the reverse is added" if asked.undirected else "undirected=True adds it"
    again = "count each time" if asked.repeated_edges == "keep" else "are merged (repeated_edges='keep' counts each)"
    told = [
        one_way and f"{one_way} edges have no reverse ({reverse})",
        loops and f"{loops} self-loops stay",
        repeated and f"{repeated} repeated edges {again}",
        isolated and f"{isolated} nodes have no edge",
    ]
    return "; ".join(line for line in told if isinstance(line, str)) or None


def _edge_values(graph: GraphParts, keys: Sequence[str | None]) -> np.ndarray | None:
    """Return the edges' features and types that will be read, [E, D], if they are numbers."""
    names = [graph.find("edge", *found) for found in zip(("edge_features", "edge_types"), keys, strict=False)]
    names += keys[2:]
    found = []
    for name in {name for name in names if name in graph.edges}:
        values = as_tensor(graph.edges[name], f"{name!r} of edges")
        if values.layout == torch.strided and values.ndim and len(values) == len(graph.src):
            found.append(values.double().numpy().reshape(len(values), -1))
    return np.concatenate(found, 1) if found else None


def _weights(graph: GraphParts, name: str | None, used: set[str]) -> Tensor | None:
    """Return the weights of edges, float32 [E]; None: none are asked for.

    Raises:
        UserError: the graph has none of this name, or they are no numbers of 0 or more.
    """
    if name is None:
        return None
    if name not in graph.edges:
        have = ", ".join(graph.edges) or "none"
        raise UserError(f"edge_weight={name}: the graph has no such data of edges; allowed: {have}")
    used.add(name)
    weights = as_tensor(graph.edges[name], f"{name!r} of edges").float().squeeze()
    if weights.ndim != 1 or len(weights) != graph.num_given_edges or not bool((weights >= 0).all()):
        raise UserError(f"edge_weight={name}: allowed: a number of 0 or more for each of {graph.num_given_edges} edges")
    return weights if graph.edge_rows is None else weights[graph.edge_rows]
