"""Turn data of graphs in memory into tensors: features, types and labels, with checks that name the bad graph.

Shapes: G graphs, R rows (nodes or edges of all graphs), F features, M items with a label.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast, get_args

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.targets import Asked
from lightning_dl2.data.graph_files.own.labels import is_missing
from lightning_dl2.data.graphs.libraries import GraphParts
from lightning_dl2.graphs import SparseMatrix

UNKNOWN = -1  # label of a node that has none


class Columns(NamedTuple):
    """Features and types of the nodes, or of the edges, of all graphs."""

    features: Any  # float32 [R, F], a SparseMatrix only of the nodes of one graph; None: there are none
    types: Tensor | None  # int64 [R], from 0
    num_types: int
    note: str | None  # of whole numbers: as what they are read


def read_columns(
    graphs: Sequence[GraphParts],
    item: str,
    features: str | None,
    types: str | None,
    used: set[str],
    as_numbers: bool = False,
) -> Columns:
    """Read features and types of an item, "node" or "edge".

    Args:
        features: name of the features; None: the first usual one of the library that a graph has. Whole numbers, one a
            row, are types. Likewise `types`.
        used: gets the names that are read.
        as_numbers: whole numbers are features like others, and no types are looked for.

    Raises:
        UserError: some graphs lack them, or they have other sizes or kinds of numbers.
    """
    prefix = "edge_" if item == "edge" else ""
    found = _concatenate(graphs, item, f"{prefix}features", features, used)
    kinds = None if as_numbers else _concatenate(graphs, item, f"{prefix}types", types, used)
    note = None
    if as_numbers and isinstance(found, Tensor) and not found.is_floating_point():
        found, note = found.float(), f"{item} features are whole numbers, and are read as numbers"
    if found is not None and not isinstance(found, SparseMatrix) and not found.is_floating_point():
        if kinds is not None:
            raise UserError(f"{prefix}features: are whole numbers, as are {prefix}types; allowed: one of both")
        found, kinds = None, found
    if found is not None:
        found = found.to(dtype=torch.float32)
        found = found.unsqueeze(1) if len(found.shape) == 1 else found
        if len(found.shape) != 2:
            raise UserError(f"{prefix}features: are {list(found.shape)}; allowed: [rows, F]")
    if kinds is None:
        return Columns(found, None, 0, note)
    kinds = kinds.squeeze(1) if kinds.ndim == 2 and kinds.shape[1] == 1 else kinds
    if isinstance(kinds, SparseMatrix) or kinds.is_floating_point() or kinds.dtype == torch.bool or kinds.ndim != 1:
        what = f"{str(kinds.dtype).removeprefix('torch.')} {list(kinds.shape)}"
        raise UserError(
            f"{prefix}features: are {what}; allowed: floating numbers [rows, F] (fix: .float()), or whole numbers"
            " [rows], which are types"
        )
    known, numbers = kinds.unique(return_inverse=True)
    note = _renumbered(f"{item} types", known.tolist())
    return Columns(found, numbers, len(known), note)


def _renumbered(what: str, known: list[Any]) -> str | None:
    if known == list(range(len(known))):
        return None
    shown = ", ".join(map(str, known[:4])) + (", ..." if len(known) > 4 else "")
    return f"the {what} {shown} are numbered from 0"


def _concatenate(graphs: Sequence[GraphParts], item: str, argument: str, key: str | None, used: set[str]) -> Any:
    names = [graph.find(item, argument, key) for graph in graphs]
    present = [number for number, name in enumerate(names) if name is not None]
    if not present:
        if key is not None:
            have = ", ".join(graphs[0].data(item)) or "none"
            raise UserError(f"{argument}={key}: the graphs have no such data of {item}s; allowed: {have}")
        return None
    if len(present) < len(graphs):
        without = names.index(None)
        raise UserError(
            f"graphs[{without}]: has no {names[present[0]]!r} of {item}s, but graphs[{present[0]}] has;"
            " allowed: all graphs or none"
        )
    used |= set(map(str, names))
    tensors: list[Tensor] = []
    for number, (graph, name) in enumerate(zip(graphs, names, strict=True)):
        assert name is not None
        source = f"graphs[{number}]" if len(graphs) > 1 else "graph"
        tensor = as_tensor(graph.data(item)[name], f"{source}: {name!r} of {item}s")
        rows = graph.num_nodes if item == "node" else graph.num_given_edges
        if tensor.ndim == 0 or tensor.shape[0] != rows:
            shape = list(tensor.shape)
            raise UserError(f"{source}: {name!r} is {shape}; allowed: a row for each of the {rows} {item}s")
        if item == "edge" and graph.edge_rows is not None:
            tensor = tensor[graph.edge_rows]
        if tensors and (tensor.shape[1:] != tensors[0].shape[1:] or tensor.dtype != tensors[0].dtype):
            says = f"{source}: {name!r} is {tensor.dtype} {list(tensor.shape)}"
            raise UserError(f"{says}, but {tensors[0].dtype} {list(tensors[0].shape)} in graphs[0]; allowed: one kind")
        tensors.append(tensor)
    if any(tensor.layout != torch.strided for tensor in tensors):
        return _sparse(tensors, argument)
    return torch.cat(tensors)


def _sparse(tensors: list[Tensor], argument: str) -> SparseMatrix:
    if len(tensors) > 1 or argument != "features":
        raise UserError(f"{argument}: are sparse; allowed: sparse features of the nodes of one graph; fix: .to_dense()")
    entries = tensors[0].to_sparse_coo().coalesce()
    (rows, columns), shape = entries.indices(), (entries.shape[0], entries.shape[1])
    return SparseMatrix.from_coo(rows, columns, entries.values().float(), shape)


def as_tensor(value: Any, source: str) -> Tensor:
    """Convert numbers of any library to a tensor on the CPU; raise UserError for anything else."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    try:
        return torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError) as error:
        raise UserError(f"{source}: is no array of numbers; allowed: numbers") from error


def number_labels(
    values: Any, source: str, *, target: str | None, class_names: list[str] | None, unknown: bool
) -> tuple[Tensor, list[str], Asked, str | None]:
    """Turn labels into classes from 0, or into float32 numbers or labels of 0 and 1.

    Args:
        values: M names, whole numbers (or -1, if `unknown`), or numbers; or numbers [M, T].
        source: names them in messages.
        target: one of Asked; None: floating numbers are a regression.
        class_names: of the numbers from 0; None: the labels that occur, in their order.
        unknown: whether -1, or an empty name, is a node without a label.

    Returns:
        labels [M] or [M, T], the names of the classes, the target, and a note if classes were numbered anew.

    Raises:
        UserError: labels of another kind or shape, or out of range.
    """
    if target not in (None, *get_args(Asked)):
        raise UserError(f"target={target}: allowed: {', '.join(get_args(Asked))}")
    listed = values.tolist() if isinstance(values, Tensor | np.ndarray) else list(values)
    if any(isinstance(value, str) or value is None for value in listed):
        if target not in (None, "classification"):
            raise UserError(f"{source}: are names; allowed with target={target}: numbers, NaN where unknown")
        return _number_names(listed, source, class_names, unknown)
    labels = as_tensor(values if isinstance(values, Tensor) else np.asarray(values), source)
    labels = labels.squeeze(1) if labels.ndim == 2 and labels.shape[1] == 1 and target != "multilabel" else labels
    if labels.ndim not in (1, 2) or labels.is_complex() or 0 in labels.shape:
        raise UserError(f"{source}: are {list(labels.shape)}; allowed: one for each, or [M, T]")
    target = target or ("regression" if labels.is_floating_point() else "classification")
    if target != "classification":
        labels = labels[:, None] if target == "multilabel" and labels.ndim == 1 else labels
        return labels.float(), [], cast(Asked, target), None
    if labels.ndim != 1:
        raise UserError(
            f"{source}: are {list(labels.shape)}; allowed: one class for each; fix: target=multilabel for labels of 0"
            " and 1, target=regression for numbers"
        )
    if labels.is_floating_point() and not bool((labels == labels.round()).all()):
        raise UserError(f"{source}: are fractions; allowed: whole numbers or names")
    labels = labels.long()
    if unknown and int(labels.min()) < UNKNOWN:
        raise UserError(f"{source}: {int(labels.min())}; allowed: 0 or more, or -1 for unknown")
    if class_names is not None:
        return labels, list(class_names), "classification", None
    known = labels[labels > UNKNOWN].unique() if unknown else labels.unique()
    numbers = torch.searchsorted(known, labels)
    numbers = torch.where(labels == UNKNOWN, UNKNOWN, numbers) if unknown else numbers
    names = known.tolist()
    return numbers, list(map(str, names)), "classification", _renumbered("classes", names)


def name_targets(labels: Tensor, target: str, names: Sequence[str] | None) -> list[str]:
    """Return the names of T numbers or labels: those given, or 0, 1, ...; of one number without a name: none.

    Raises:
        UserError: there are not T names, or a name is there twice.
    """
    if target == "classification":
        if names is not None:
            raise UserError("target_names: classes have none; fix: class_names")
        return []
    count = 1 if labels.ndim == 1 else labels.shape[1]
    if names is None:
        return [] if labels.ndim == 1 else list(map(str, range(count)))
    found = list(map(str, names))
    if len(found) != count or len({*found}) != count:
        raise UserError(f"target_names={', '.join(found)}: allowed: a name for each of {count} targets, each once")
    return found


def _number_names(
    labels: list[Any], source: str, class_names: list[str] | None, unknown: bool
) -> tuple[Tensor, list[str], Asked, str | None]:
    given = set(class_names or ())
    empty = [value is None or (is_missing(str(value)) and str(value) not in given) for value in labels]
    if any(empty) and not unknown:
        raise UserError(f"{source}: {empty.index(True)} has none; allowed: one for each")
    known = {str(value) for value, none in zip(labels, empty, strict=True) if not none}
    names = sorted(known) if class_names is None else list(class_names)
    if other := sorted(known - set(names)):
        raise UserError(f"{source}: {other[0]}; allowed: {', '.join(names)}")
    number = {name: place for place, name in enumerate(names)}
    numbers = [UNKNOWN if none else number[str(value)] for value, none in zip(labels, empty, strict=True)]
    return torch.tensor(numbers), names, "classification", None


def check_classes(source: str, classes: list[str]) -> None:
    """Raise UserError unless there are classes to tell apart."""
    if not classes:
        raise UserError(f"{source}: no node has a label; allowed: two classes or more")
    if len(classes) < 2:
        raise UserError(f"{source}: has one class only, {', '.join(classes)}; allowed: two classes or more")
