"""Make the sets that a run trains on of what a file holds, by the rules for graphs in memory.

Shapes: N nodes, E edges, F features, K splits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.content import FileGraphs, told
from lightning_dl2.data.graph_files.formats.edge_labels import take_edge_targets
from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graphs.in_memory import build_graph_set, build_node_set
from lightning_dl2.data.graphs.libraries import GraphParts
from lightning_dl2.data.splits import SPLITS

# Other programs' names of a mask.
OTHER_MASKS = {"val_mask": ("valid_mask", "validation_mask", "dev_mask")}
MOST_KINDS = 4096  # features that columns of whole numbers become
GRAPH_LABELS = ("label", "labels", "glabel", "y")  # usual names of the tensors beside the graphs of a .bin file


def make_node_set(content: FileGraphs, path: Path, asked: Reading) -> NodeSet:
    """Make a set of the only graph of a file.

    Raises:
        UserError: there are several graphs, or no labels, or their parts do not fit together.
    """
    if len(content.graphs) != 1:
        raise UserError(
            f"data.path={path}: holds {len(content.graphs)} graphs; allowed: one, whose nodes have labels;"
            " fix: data=graph_set_file reads sets of graphs"
        )
    (graph,) = content.graphs
    trains = asked.for_run is None
    wanted = [asked.label] if asked.labels is None else asked.labels
    labelled = asked.labelled and (trains or all(graph.find("node", "labels", name) is not None for name in wanted))
    names = [_label(graph, name, path) for name in wanted] if labelled else []
    labels = _stack(graph, names, path) if names and asked.labels is not None else names[0] if names else None
    edge_targets, note_of_labels = take_edge_targets(graph, asked, f"data.path={path}")
    notes = [note_of_labels, _choose_split(graph, asked.split_index, path), _weights_as_features(graph, asked)]
    with _named(path):
        found, note = build_node_set(
            graph,
            labels=labels,
            target=asked.target,
            target_names=None if asked.labels is None else names,
            splits=content.splits,
            edge_weight=asked.edge_weight,
            undirected=asked.undirected,
            repeated_edges=asked.repeated_edges,
            labelled=labelled,
            trains=trains,
            edge_targets=edge_targets,
        )
    found.note = told(content.note, *notes, _plain(note))
    return found


def make_graph_set(content: FileGraphs, path: Path, asked: Reading) -> GraphSet:
    """Make a set of all graphs of a file.

    Raises:
        UserError: the graphs have no labels, or their parts do not fit together.
    """
    try:
        labels, has_labels = _graph_labels(content, asked.label, path), True
    except UserError:
        if asked.for_run is None:
            raise
        labels, has_labels = torch.zeros(len(content.graphs), dtype=torch.int64), False
    with _named(path):
        notes = [_one_hot(content.graphs, item) for item in ("node", "edge")]
        found, note = build_graph_set(
            content.graphs,
            labels,
            content.splits,
            target=(asked.target or "classification") if has_labels else "classification",
            class_names=None if has_labels else ["unknown"],
            trains=asked.for_run is None,
            undirected=asked.undirected,
            repeated_edges=asked.repeated_edges,
            ids=content.ids,
        )
    if not has_labels:
        found.labels, found.class_names = found.labels - 1, []
    left = sorted(name for name in content.labels if not _is_of(content.labels[name], labels))
    beside = f"not read of the graphs: {', '.join(left)}" if left else None
    found.note = told(content.note, *dict.fromkeys(notes), _plain(note), beside)
    return found


def _is_of(values: Any, labels: Any) -> bool:
    return labels is values or (isinstance(labels, Tensor) and labels.data_ptr() == values.data_ptr())


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Begin the messages for graphs in memory with the file."""
    try:
        yield
    except UserError as error:
        raise UserError(f"data.path={path}: {str(error).replace('fix: target=', 'fix: data.target=')}") from error


def _plain(note: str | None) -> str | None:
    """Give a note of graphs in memory the words of a configuration."""
    return note and note.removeprefix("graphs in memory: ").replace("undirected=True", "data.undirected=true").replace(
        "repeated_edges='keep'", "data.repeated_edges=keep"
    )


def _label(graph: GraphParts, asked: str | None, path: Path) -> str:
    """Return the name of the nodes' labels."""
    name = graph.find("node", "labels", asked)
    if name is None:
        have = ", ".join(name for name in graph.nodes if not name.endswith("_mask")) or "nothing"
        usual = asked or " or ".join(graph.keys.labels)
        raise UserError(
            f"data.path={path}: its nodes have no {usual}; they have: {have}; fix: set data.label=NAME of their labels"
        )
    return name


def _stack(graph: GraphParts, names: list[str], path: Path) -> Tensor:
    """Return the columns of several numbers or labels, [N, T], and take them from the nodes' data."""
    columns = []
    for name in names:
        value = graph.nodes.pop(name)
        if not _is_numeric(value) or np.ndim(value) != 1:
            raise UserError(f"data.labels={name}: {path} has no column of numbers of this name; allowed: numbers")
        columns.append(torch.as_tensor(value).float())
    return torch.stack(columns, 1)


def _graph_labels(content: FileGraphs, asked: str | None, path: Path) -> Any:
    """Return the labels of the graphs, or their name in each graph."""
    names = sorted(content.labels)
    if asked is None:
        asked = next((name for name in GRAPH_LABELS if name in names), names[0] if len(names) == 1 else None)
    if asked in content.labels:
        values = content.labels[asked]
        return values.squeeze(1) if isinstance(values, Tensor) and values.ndim == 2 and values.shape[1] == 1 else values
    first = content.graphs[0]
    if (name := first.find("whole", "graph_labels", asked)) is None:
        have = ", ".join([*names, *first.whole]) or "nothing"
        raise UserError(
            f"data.path={path}: its graphs have no {asked or 'label'}; they have: {have};"
            " fix: set data.label=NAME of their labels, or data=graph_file for one graph with labels of its nodes"
        )
    return name


def _choose_split(graph: GraphParts, index: int, path: Path) -> str | None:
    """Keep one of K splits in the masks of a graph; tell which."""
    for name, others in OTHER_MASKS.items():
        if (other := next((one for one in others if one in graph.nodes), None)) and name not in graph.nodes:
            graph.nodes[name] = graph.nodes.pop(other)
    given = {name: graph.nodes[name] for split in SPLITS if (name := f"{split}_mask") in graph.nodes}
    masks = {name: torch.as_tensor(mask) if _is_numeric(mask) else torch.tensor(-1) for name, mask in given.items()}
    binary = {name: mask.bool() for name, mask in masks.items() if bool(((mask == 0) | (mask == 1)).all())}
    counts = {mask.shape[1] if mask.ndim == 2 else 1 for mask in binary.values()}
    if masks and len(binary) < len(masks):
        wrong = next(name for name in masks if name not in binary)
        raise UserError(f"data.path={path}: {wrong} has other values than true and false; allowed: a mask")
    several = max(counts, default=1)
    if index >= several:
        allowed = f"0 to {several - 1}" if several > 1 else "0"
        raise UserError(f"data.split_index={index}: {path} has {several if masks else 0} splits; allowed: {allowed}")
    for name, mask in binary.items():
        if mask.ndim == 2 and mask.shape[1] not in (1, several):
            raise UserError(
                f"data.path={path}: {name} is {list(mask.shape)}; allowed: {several} splits, as another mask"
            )
        graph.nodes[name] = mask[:, index if mask.shape[1] > 1 else 0] if mask.ndim == 2 else mask
    return f"split {index} of {several} (data.split_index)" if several > 1 else None


def _weights_as_features(graph: GraphParts, asked: Reading) -> str | None:
    """Make the values of an adjacency a feature of the edges, unless they are asked for as weights."""
    if graph.library != "file" or "weight" not in graph.edges or "feat" in graph.edges:
        return None
    if asked.edge_weight == "weight":
        return None
    graph.edges["feat"] = graph.edges.pop("weight")
    return "the values of the adjacency are a feature of the edges (data.edge_weight=weight reads them as weights)"


def _one_hot(graphs: list[GraphParts], item: str) -> str | None:
    """Turn several columns of whole numbers, the kinds of an atom, to features of 0 and 1, one for each that occurs.

    A linear layer of these is what OGB's encoders are: the sum of an embedding of each column.
    """
    names = [graph.find(item, "features" if item == "node" else "edge_features", None) for graph in graphs]
    values = [graph.data(item)[name] for graph, name in zip(graphs, names, strict=True) if name is not None]
    if len(values) < len(graphs) or not all(isinstance(value, Tensor) and _is_kinds(value) for value in values):
        return None
    if len({value.shape[1] for value in values}) > 1:
        return None
    columns = torch.cat(values).T
    kinds = [column.unique(return_inverse=True) for column in columns]
    width = sum(len(known) for known, _ in kinds)
    if width > MOST_KINDS:
        raise UserError(
            f"the {item}s have {len(kinds)} columns of whole numbers with {width} different ones; allowed: {MOST_KINDS}"
            " at most, or floating numbers"
        )
    wide = torch.cat([torch.nn.functional.one_hot(places, len(known)) for known, places in kinds], 1).float()
    parts = wide.split([len(value) for value in values])
    for graph, name, part in zip(graphs, names, parts, strict=True):
        graph.data(item)[str(name)] = part
    return f"{len(kinds)} columns of whole numbers of {item}s are {width} features of 0 and 1"


def _is_kinds(value: Tensor) -> bool:
    return value.ndim == 2 and value.shape[1] > 1 and not value.is_floating_point() and value.dtype != torch.bool


def _is_numeric(value: Any) -> bool:
    array = value.numpy() if isinstance(value, Tensor) and value.layout == torch.strided else value
    return isinstance(array, np.ndarray) and array.dtype.kind in "biuf" and array.ndim in (1, 2)
