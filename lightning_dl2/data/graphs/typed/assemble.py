"""Make one graph of several types of nodes and edges: all nodes in one numbering, all features in one matrix.

Each type of nodes has columns of its own, and zeros stand in the columns of others. So one linear map of the matrix is
a projection of each type by its own weights, whatever the widths are; splits, samplers, tasks and baselines see one
graph.

Shapes: N nodes, n nodes of a type, E edges, R rows of a relation, F features of all types, f features of a type.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.own.columns import standardized, statistics
from lightning_dl2.data.graph_files.own.edges import WAYS, arrange_edges
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.graphs import SparseMatrix

REVERSE = "rev_"  # begins the name of a relation that is added; PyG's ToUndirected calls it so, too


@dataclass
class NodeType:
    """The nodes of one type.

    Attributes:
        name: of the type.
        ids: n names; they may occur in other types, too.
        features: float32 [n, f]; None: there are none.
        feature_names: f names; None: they have none.
    """

    name: str
    ids: list[str]
    features: Tensor | SparseMatrix | None = None
    feature_names: list[str] | None = None


@dataclass
class Relation:
    """The edges of one relation: from nodes of one type to nodes of one type, the same or another.

    Attributes:
        source, name, target: types of the ends, and the name between them.
        src, dst: int64 [R], numbers within the types.
        describe: names a row in a message.
        values: features, float64 [R, D], of the columns `names`; None: there are none.
        weights: float64 [R]; None: there are none.
        ways: what a message about repeated edges with other features offers.
    """

    source: str
    name: str
    target: str
    src: np.ndarray
    dst: np.ndarray
    describe: Callable[[int], str] = "edge {}".format
    values: np.ndarray | None = None
    names: list[str] = field(default_factory=list)
    weights: np.ndarray | None = None
    ways: str = WAYS

    @property
    def title(self) -> str:
        """Return the name of the relation among all."""
        return f"{self.source}.{self.name}.{self.target}"


@dataclass
class Asked:
    """Hold the targets of the nodes of one type; the fields are those of a NodeSet, for its n nodes."""

    type: str
    labels: Tensor
    splits: dict[str, Tensor] | None
    facts: dict[str, Any]  # class_names, target, target_names


def assemble(
    types: Sequence[NodeType],
    relations: Sequence[Relation],
    wanted: Asked,
    asked: Reading,
    *,
    preparation: dict[str, Any] | None = None,
    unique_ids: bool = False,
    ways: str = "data.undirected=false does not",
) -> tuple[NodeSet, list[str]]:
    """Make a NodeSet of types and relations; nodes are numbered type after type, edges relation after relation.

    Args:
        asked: how edges are completed. A reverse of a relation between two types is a relation of its own, and of one
            within a type the missing directions join it.
        preparation: of the features, see `NodeSet`.
        unique_ids: whether no two nodes have the same id; else ids get their type before them, except those of the
            asked type.
        ways: how a note says that no reverse is added.

    Returns:
        the set, and notes of what was added or left out.

    Raises:
        UserError: repeated edges have different features, or the parts do not fit together.
    """
    sizes, names = [len(kind.ids) for kind in types], [kind.name for kind in types]
    start = dict(zip(names, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    number = {name: place for place, name in enumerate(names)}
    relations, notes = _arrange(relations, dict(zip(names, sizes, strict=True)), asked, ways)
    features, feature_names = _join([kind.features for kind in types], sizes, _titles(types))
    values = [None if one.values is None else torch.from_numpy(one.values.astype(np.float32)) for one in relations]
    counts = [len(one.src) for one in relations]
    titles = [[f"{one.title}.{name}" for name in one.names] for one in relations]
    edge_features, edge_names = _join(values, counts, titles)
    offset, size, total = start[wanted.type], len(wanted.labels), sum(sizes)
    unknown = torch.nan if wanted.labels.is_floating_point() else -1
    labels = torch.full((total, *wanted.labels.shape[1:]), unknown, dtype=wanted.labels.dtype)
    labels[offset : offset + size] = wanted.labels
    splits = None if wanted.splits is None else {name: index + offset for name, index in wanted.splits.items()}
    found = NodeSet(
        src=torch.from_numpy(np.concatenate([one.src + start[one.source] for one in relations])),
        dst=torch.from_numpy(np.concatenate([one.dst + start[one.target] for one in relations])),
        num_nodes=total,
        features=features,
        labels=labels,
        splits=splits,
        edge_features=edge_features if isinstance(edge_features, Tensor) else None,
        edge_weights=_weights(relations, notes),
        node_ids=[
            id if unique_ids or kind.name == wanted.type else f"{kind.name}:{id}" for kind in types for id in kind.ids
        ],
        feature_names=feature_names,
        edge_feature_names=edge_names,
        preparation=preparation,
        node_types=torch.arange(len(types)).repeat_interleave(torch.tensor(sizes)),
        num_node_types=len(types),
        node_type_names=names,
        edge_types=torch.arange(len(relations)).repeat_interleave(torch.tensor(counts)),
        num_edge_types=len(relations),
        edge_type_names=[one.title for one in relations],
        relation_ends=[[number[one.source], number[one.target]] for one in relations],
        target_type=number[wanted.type],
        **wanted.facts,
    )
    return found, notes


def standardize(types: Sequence[NodeType], preparation: dict[str, Any], asked: Reading) -> None:
    """Shift and scale the features of each type by its own nodes, and keep how for other graphs.

    For the net of a run, features get the shifts and scales of the run, by their names.
    """
    if not asked.features.standardize:
        return
    columns = (asked.for_run or {}).get("columns") or {}
    run = columns.get("preparation") or {}
    known = (
        dict(zip(columns.get("features") or (), zip(run["mean"], run["scale"], strict=True), strict=True))
        if ("mean" in run and columns.get("features"))
        else {}
    )
    means: list[float] = []
    scales: list[float] = []
    for kind in types:
        if not isinstance(kind.features, Tensor):
            continue
        mean, scale = statistics(kind.features)
        for place, name in enumerate(kind.feature_names or ()):
            if known:
                mean[place], scale[place] = known.get(f"{kind.name}.{name}", (0.0, 1.0))
        kind.features = standardized(kind.features, mean, scale)
        means += mean.tolist()
        scales += scale.tolist()
    preparation |= {"mean": means, "scale": scales}


def name_bare_types(types: Sequence[NodeType]) -> list[str]:
    """Return a note of the types without features."""
    bare = [kind.name for kind in types if kind.features is None]
    return [f"nodes of {', '.join(bare)} have no features: the net learns a vector for each type"] if bare else []


def give_own_columns(types: Sequence[NodeType]) -> list[str]:
    """Give each node of a type without features a column of its own, so that the net learns a vector for each node."""
    told = []
    for kind in types:
        if kind.features is None:
            rows = torch.arange(len(kind.ids))
            kind.features = SparseMatrix.from_coo(rows, rows, torch.ones(len(rows)), (len(rows), len(rows)))
            kind.feature_names = None
            told.append(kind.name)
    return [f"the net learns a vector for each node of {', '.join(told)}"] if told else []


def _titles(types: Sequence[NodeType]) -> list[list[str] | None]:
    return [
        [] if kind.features is None else kind.feature_names and [f"{kind.name}.{name}" for name in kind.feature_names]
        for kind in types
    ]


def _join(
    parts: Sequence[Tensor | SparseMatrix | None], rows: Sequence[int], names: Sequence[list[str] | None]
) -> tuple[Tensor | SparseMatrix | None, list[str] | None]:
    """Put matrices into one, each with rows and columns of its own; sparse if one is. Names: None if one has none."""
    widths = [0 if part is None else part.shape[1] for part in parts]
    if not sum(widths):
        return None, None
    flat = None if any(name is None for name in names) else [name for part in names for name in part or ()]
    tops, lefts = np.cumsum([0, *rows]).tolist(), np.cumsum([0, *widths]).tolist()
    placed = [(part, top, left) for part, top, left in zip(parts, tops, lefts, strict=False) if part is not None]
    shape = sum(rows), sum(widths)
    if all(isinstance(part, Tensor) for part, _, _ in placed):
        whole = torch.zeros(shape)
        for part, top, left in placed:
            whole[top : top + part.shape[0], left : left + part.shape[1]] = part  # type: ignore[assignment]
        return whole, flat
    entries = []
    for part, top, left in placed:
        matrix = SparseMatrix.from_dense(part) if isinstance(part, Tensor) else part
        entries.append((matrix.row_of_entry() + top, matrix.indices + left, matrix.values))
    at, columns, values = (torch.cat(pieces) for pieces in zip(*entries, strict=True))
    return SparseMatrix.from_coo(at, columns, values, shape), flat


def _arrange(
    relations: Sequence[Relation], sizes: dict[str, int], asked: Reading, ways: str
) -> tuple[list[Relation], list[str]]:
    """Merge repeated edges, and add reverses where these are asked for and not there."""
    found: list[Relation] = []
    notes: list[str] = []
    pairs = {one.title: _pairs(one.src, one.dst, sizes[one.target]) for one in relations}
    reversed_by = {
        one.title: other.title
        for one in relations
        for other in relations
        if other is not one
        and (other.source, other.target) == (one.target, one.source)
        and np.array_equal(_pairs(one.dst, one.src, sizes[one.source]), pairs[other.title])
    }
    added = []
    for one in relations:
        inside, has_reverse = one.source == one.target, one.title in reversed_by
        parts = [part.reshape(len(one.src), -1) for part in (one.values, one.weights) if part is not None]
        compared = np.concatenate(parts, 1) if parts else None
        count = max(sizes[one.source], sizes[one.target])
        completes = replace(asked, undirected=asked.undirected and inside and not has_reverse)
        arranged = arrange_edges(one.src, one.dst, count, compared, completes, one.describe, one.ways)
        rows = arranged.rows
        whole = replace(
            one,
            src=arranged.src,
            dst=arranged.dst,
            values=None if one.values is None else one.values[rows],
            weights=None if one.weights is None else one.weights[rows],
        )
        found.append(whole)
        notes += [f"{one.title}: {arranged.note}"] if arranged.note else []
        if asked.undirected and not inside and not has_reverse:
            found.append(_reverse(whole))
            added.append(found[-1].title)
    if asked.undirected and (there := sorted({*reversed_by})):
        notes.append(f"{', '.join(there)} are the reverses of one another, and get none")
    if added:
        notes.append(f"the reverse of each relation is one, too ({ways}): {', '.join(added)}")
    return found, notes


def _reverse(one: Relation) -> Relation:
    return replace(one, source=one.target, name=REVERSE + one.name, target=one.source, src=one.dst, dst=one.src)


def _pairs(src: np.ndarray, dst: np.ndarray, count: int) -> np.ndarray:
    """Return the different pairs of ends as sorted numbers."""
    return np.unique(src * count + dst)


def _weights(relations: Sequence[Relation], notes: list[str]) -> Tensor | None:
    """Return the weights of all edges, float32 [E], with 1 in relations that have none; None: no relation has some."""
    if all(one.weights is None for one in relations):
        return None
    bare = [one.title for one in relations if one.weights is None]
    notes += [f"edges of {', '.join(bare)} have no weights: each gets 1"] if bare else []
    parts = [np.ones(len(one.src)) if one.weights is None else one.weights for one in relations]
    return torch.from_numpy(np.concatenate(parts).astype(np.float32))
