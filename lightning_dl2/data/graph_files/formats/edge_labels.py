"""Take the labels of edges, and their splits, out of a graph of DGL, PyG, networkx or a file.

Shapes: E edges as the graph lists them, T columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graphs.columns import as_tensor, name_targets, number_labels
from lightning_dl2.data.graphs.in_memory import COMPARED
from lightning_dl2.data.graphs.libraries import GraphParts
from lightning_dl2.data.splits import SPLITS


def take_edge_targets(graph: GraphParts, asked: Reading, source: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return labels, target, class_names, names and splits of the edges, and a note; they are no features then.

    Splits are masks of edges, train_mask, val_mask and test_mask [E].

    Args:
        asked: `label` or `labels` names the labels; None: the library's usual name.
        source: begins the messages.

    Returns:
        None if the labels of edges are not asked for.

    Raises:
        UserError: the edges have no such labels, or labels of another kind.
    """
    if not asked.labels_edges:
        return None, None
    wanted = [asked.label] if asked.labels is None else list(asked.labels)
    found = [graph.find("edge", "edge_labels", name) for name in wanted]
    there = [name for name in found if name is not None and _is_of_edges(graph, name)]
    splits = _take_splits(graph, source)
    if len(there) < len(found):
        if asked.for_run is not None:
            unknown = torch.full((len(graph.src),), -1)
            return _targets(unknown, "classification", [], [], None), None
        missing = next(name for name, one in zip(wanted, found, strict=True) if one not in there)
        raise UserError(_missing(graph, missing, found, source))
    columns = [_column(graph.edges.pop(name)) for name in there]
    values = columns[0] if asked.labels is None else _stack(columns, there, source)
    labels, classes, target, note = number_labels(
        values, f"{source}: labels of edges", target=asked.target, class_names=None, unknown=True
    )
    if asked.target is None and target != "classification":
        raise UserError(
            f"{source}: the labels of edges are floating numbers, and no classes; fix: data.target=regression, or whole"
            " numbers if they are classes"
        )
    graph.edges[COMPARED] = labels.double().nan_to_num(-np.inf)
    names = name_targets(labels, target, None if asked.labels is None else there)
    return _targets(labels, target, classes, names, splits), note


def _targets(
    labels: Tensor, target: str, class_names: list[str], names: list[str], splits: dict[str, Tensor] | None
) -> dict[str, Any]:
    return {"labels": labels, "target": target, "class_names": class_names, "splits": splits, "names": names}


def _is_of_edges(graph: GraphParts, name: str) -> bool:
    value = graph.edges[name]
    return bool(np.ndim(value)) and len(value) == len(graph.src)


def _missing(graph: GraphParts, asked: str | None, found: Sequence[str | None], source: str) -> str:
    usual = asked or " or ".join(graph.keys.edge_labels)
    if (other := next((name for name in found if name is not None), None)) and not _is_of_edges(graph, other):
        rows = len(graph.edges[other]) if np.ndim(graph.edges[other]) else 1
        return f"{source}: {other} has {rows} rows; allowed: a label for each of the {len(graph.src)} edges"
    have = ", ".join(name for name in graph.edges if _is_of_edges(graph, name) and not name.endswith("_mask"))
    if not have:
        ways = "CSV, GraphML, GML, .pt of PyG, .bin or CSVDataset of DGL"
        return f"{source}: its edges have no {usual}, and no data at all; fix: use a format that holds them, as {ways}"
    return f"{source}: its edges have no {usual}; they have: {have}; fix: set data.label=NAME of their labels"


def _column(value: Any) -> Any:
    """Return one label an edge [E], or several [E, T]."""
    return value.squeeze(1) if np.ndim(value) == 2 and value.shape[1] == 1 else value


def _stack(columns: list[Any], names: list[str], source: str) -> Tensor:
    tensors = [as_tensor(column, f"{source}: {name} of edges") for column, name in zip(columns, names, strict=True)]
    if bad := next((name for name, one in zip(names, tensors, strict=True) if one.ndim != 1), None):
        raise UserError(f"data.labels={bad}: {source} has several numbers of each edge; allowed: one a name")
    return torch.stack([one.float() for one in tensors], 1)


def _take_splits(graph: GraphParts, source: str) -> dict[str, Tensor] | None:
    """Take masks of edges, by which nodes have none."""
    names = {split: f"{split}_mask" for split in SPLITS}
    if not all(name in graph.edges and _is_of_edges(graph, name) for name in names.values()):
        return None
    masks = {split: as_tensor(graph.edges.pop(name), name) for split, name in names.items()}
    if len(graph.src) == graph.num_nodes and graph.nodes is graph.edges:  # of PyG: nobody knows of what the masks are
        raise UserError(f"{source}: has as many nodes as edges, and masks of either; fix: leave the masks out")
    if bad := next((names[split] for split, mask in masks.items() if mask.ndim != 1), None):
        raise UserError(f"{source}: {bad} of edges has several splits; allowed: one")
    return {split: mask.bool().nonzero().squeeze(1) for split, mask in masks.items()}
