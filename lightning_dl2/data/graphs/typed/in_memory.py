"""Make a NodeSet of a graph of several types in memory: a heterograph of DGL, or a HeteroData of PyG.

Neither library is imported.

Shapes: n nodes of a type, R edges of a relation.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graphs.columns import as_tensor, check_classes, name_targets, number_labels, read_columns
from lightning_dl2.data.graphs.in_memory import WAYS, build_node_set, find_labels
from lightning_dl2.data.graphs.libraries import GraphParts, bases_of, unread
from lightning_dl2.data.graphs.splits import read_node_splits
from lightning_dl2.data.graphs.typed.assemble import Asked, NodeType, Relation, assemble, name_bare_types

NONE = torch.zeros(0, dtype=torch.int64)


def is_heterogeneous(graph: Any) -> bool:
    """Tell whether a graph is a HeteroData of PyG, or a DGLGraph with several types of nodes or edges."""
    bases = bases_of(graph)
    if ("torch_geometric", "HeteroData") in bases:
        return True
    return ("dgl", "DGLGraph") in bases and (len(graph.ntypes) > 1 or len(graph.canonical_etypes) > 1)


def build_any_node_set(graph: Any, target_type: str | None, **options: Any) -> tuple[NodeSet, str | None]:
    """Make a set of a graph of one type, by `build_node_set`, or of several."""
    if is_heterogeneous(graph):
        return build_typed_node_set(graph, target_type=target_type, **options)
    if target_type is not None:
        raise UserError(f"target_type={target_type}: the graph has one type of nodes; allowed: None")
    return build_node_set(graph, **options)


def build_typed_node_set(
    graph: Any,
    *,
    target_type: str | None = None,
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
) -> tuple[NodeSet, str | None]:
    """Make a set of a graph of several types; the arguments are those of `NodeDataModule.from_graph`.

    Returns:
        the set, and a note of what was added or left out.

    Raises:
        UserError: no type, or several, have labels; or the parts of the graph do not fit together.
    """
    nodes = dict(_node_parts(graph))
    wanted = _target_type(nodes, target_type, labels)
    here, used = nodes[wanted], {name: set[str]() for name in nodes}
    values = find_labels([here], labels, "node", used[wanted])
    numbers, names, kind, note = number_labels(values, "labels", target=target, class_names=class_names, unknown=True)
    if target is None and kind != "classification":
        raise UserError(
            "labels: are floating numbers, and no classes; fix: target=regression, or whole numbers if they are classes"
        )
    facts = {"class_names": names, "target": kind, "target_names": name_targets(numbers, kind, target_names)}
    asked = Asked(wanted, numbers, read_node_splits(here, splits, used[wanted]), facts)
    if ids is not None and len(ids) != here.num_nodes:
        raise UserError(f"ids: are {len(ids)}; allowed: {here.num_nodes}, one for each node of the type {wanted}")
    types: list[NodeType] = []
    notes = [note] if note else []
    for name, parts in nodes.items():
        x, line = _features(parts, "node", features, used[name])
        notes += [f"{name}: {line}"] if line else []
        own = list(map(str, ids if ids is not None and name == wanted else range(parts.num_nodes)))
        types.append(NodeType(name, own, x))
    relations = [
        _relation(triple, parts, edge_features, edge_weight, notes)
        for triple, parts in _edge_parts(graph, {name: parts.num_nodes for name, parts in nodes.items()})
    ]
    for key, asked_name in (("features", features), ("edge_weight", edge_weight), ("edge_features", edge_features)):
        of = nodes.values() if key == "features" else [parts for _, parts in _edge_parts(graph, {})]
        if asked_name is not None and not any(asked_name in {**parts.nodes, **parts.edges} for parts in of):
            raise UserError(f"{key}={asked_name}: no type of the graph has such data; allowed: null, or another name")
    notes += name_bare_types(types)
    notes += [f"{name}: {left}" for name, parts in nodes.items() if (left := unread([parts], used[name]))]
    reading = Reading(undirected, repeated_edges)
    result, told = assemble(types, relations, asked, reading, ways="undirected=False does not")
    result.check("graph")
    if kind == "classification":
        check_classes("graph", names)
    notes += [line.replace("data.repeated_edges=keep", "repeated_edges='keep'") for line in told]
    return result, "graphs in memory: " + "; ".join(notes) if notes else None


def _target_type(nodes: Mapping[str, GraphParts], asked: str | None, labels: Any) -> str:
    """Return the type whose nodes have the targets: `asked`, or the only one with labels."""
    if asked is not None:
        if asked not in nodes:
            raise UserError(f"target_type={asked}: the graph has no such type; {nearest(asked, list(nodes))}")
        return asked
    if labels is not None and not isinstance(labels, str):
        raise UserError(f"target_type=None: labels are given; allowed: the type that has them, {', '.join(nodes)}")
    have = [name for name, parts in nodes.items() if parts.find("node", "labels", labels) is not None]
    if len(have) != 1:
        who = f"nodes of {' and '.join(have)} have labels" if have else "no type has labels"
        raise UserError(f"target_type=None: {who}; allowed: {', '.join(have or nodes)}; fix: give labels=..., a name")
    return have[0]


def _node_parts(graph: Any) -> Iterator[tuple[str, GraphParts]]:
    """Yield the nodes of each type."""
    if hasattr(graph, "ntypes"):
        for name in graph.ntypes:
            yield name, GraphParts("dgl", NONE, NONE, int(graph.num_nodes(name)), dict(graph.nodes[name].data), {})
        return
    for name in graph.node_types:
        values = {key: value for key, value in graph[name].to_dict().items() if value is not None}
        count = graph[name].num_nodes
        if count is None:
            raise UserError(f"graph: nobody knows how many nodes of {name} there are; fix: set num_nodes")
        values.pop("num_nodes", None)
        yield name, GraphParts("pyg", NONE, NONE, int(count), values, {})


def _edge_parts(graph: Any, sizes: Mapping[str, int]) -> Iterator[tuple[tuple[str, str, str], GraphParts]]:
    """Yield the edges of each relation."""
    if hasattr(graph, "ntypes"):
        for triple in graph.canonical_etypes:
            src, dst = graph.edges(etype=triple, order="eid")
            yield triple, _checked(triple, "dgl", src, dst, dict(graph.edges[triple].data), sizes)
        return
    for triple in graph.edge_types:
        values = {key: value for key, value in graph[triple].to_dict().items() if value is not None}
        ends = values.pop("edge_index", None)
        if not isinstance(ends, Tensor) or ends.ndim != 2 or ends.shape[0] != 2:
            raise UserError(f"graph: {'.'.join(triple)} has no edge_index [2, E]; fix: ToEdgeIndex for adj_t")
        yield triple, _checked(triple, "pyg", ends[0], ends[1], values, sizes)


def _checked(
    triple: tuple[str, str, str], library: str, src: Tensor, dst: Tensor, data: dict[str, Any], sizes: Mapping[str, int]
) -> GraphParts:
    src, dst = src.long().cpu(), dst.long().cpu()
    for kind, ends in ((triple[0], src), (triple[2], dst)):
        if kind in sizes and len(ends) and not 0 <= int(ends.min()) <= int(ends.max()) < sizes[kind]:
            worst = int(ends.min()) if int(ends.min()) < 0 else int(ends.max())
            raise UserError(
                f"graph: {'.'.join(triple)} has an edge of node {worst} of {kind}; allowed: 0 to {sizes[kind] - 1}"
            )
    return GraphParts(library, src, dst, 0, {}, data)


def _features(parts: GraphParts, item: str, asked: str | None, used: set[str]) -> tuple[Any, str | None]:
    """Return the features of the nodes of a type, or of the edges of a relation, and a note; None: it has none."""
    name = parts.find(item, "features" if item == "node" else "edge_features", asked)
    if name is None:
        return None, None
    found = read_columns([parts], item, name, None, used, as_numbers=True)
    return found.features, found.note


def _relation(
    triple: tuple[str, str, str], parts: GraphParts, features: str | None, weight: str | None, notes: list[str]
) -> Relation:
    """Read features and weights of the edges of a relation."""
    used: set[str] = set()
    title = ".".join(triple)
    x, told = _features(parts, "edge", features, used)
    notes += [f"{title}: {told}"] if told else []
    weights = None
    if weight is not None and weight in parts.edges:
        weights = as_tensor(parts.edges[weight], f"{weight!r} of {title}").double().squeeze()
        if weights.shape != parts.src.shape or not bool((weights >= 0).all()):
            raise UserError(f"edge_weight={weight}: allowed: a number of 0 or more for each of {len(parts.src)} edges")
        used.add(weight)
    left = [name for name in parts.edges if name not in used and not name.startswith("_")]
    notes += [f"{title}: not read: {', '.join(left)}"] if left else []
    values = None if x is None else x.double().numpy()
    names = [] if values is None else list(map(str, range(values.shape[1])))
    return Relation(
        *triple,
        parts.src.numpy(),
        parts.dst.numpy(),
        f"{title}: edge {{}}".format,
        values,
        names,
        None if weights is None else weights.numpy(),
        WAYS,
    )
