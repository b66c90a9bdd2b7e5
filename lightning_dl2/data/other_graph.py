"""Fit another graph, or other graphs, to the net of a run: later nodes, or graphs that training never saw.

Classes, columns and types are matched by their names where both sides have names, and by their numbers otherwise. What
is put in another order, left out or unknown is told.

Shapes: N nodes, E edges, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, TypeVar

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet, known_rows
from lightning_dl2.data.graph_files.own.columns import standardized

SHOWN = 8  # names in a message
Graphs = TypeVar("Graphs", NodeSet, GraphSet)


def describe_columns(found: NodeSet | GraphSet) -> dict[str, Any]:
    """Return what the spec of a run keeps of its graphs for others: names, [] where there is nothing, None unnamed."""
    of = "features" if isinstance(found, NodeSet) else "node_features"
    named = {"features": (of, "feature_names"), "edge_features": ("edge_features", "edge_feature_names")}
    if found.node_types is not None or isinstance(found, GraphSet):
        named |= {"node_types": ("node_types", "node_type_names"), "edge_types": ("edge_types", "edge_type_names")}
    names: dict[str, Any] = {
        key: [] if getattr(found, part) is None else getattr(found, field, None) or None
        for key, (part, field) in named.items()
    }
    preparation = getattr(found, "preparation", None)
    return names | ({"preparation": preparation} if preparation else {})


def fit_to_run(found: Graphs, trained: Mapping[str, Any], source: str) -> tuple[Graphs, str]:
    """Return graphs as the net of a run reads them, and a note of what was matched by what.

    Labels of unknown classes are unknown. Features are standardised as those of the run.

    Args:
        found: read with `Reading.for_run`.
        trained: the spec of the run's data; one of an older version has no names.
        source: begins the messages.

    Raises:
        UserError: a column or a type is missing or unknown, or the numbers of columns differ.
    """
    columns = trained.get("columns") or {}
    notes: list[str] = []
    part = "features" if isinstance(found, NodeSet) else "node_features"
    preparation = columns.get("preparation") or {}
    constant = getattr(found, part) is None and trained["in_feats"] == 1 and not columns.get("features")  # ones
    x = getattr(found, part)
    if not constant:
        match = _Columns(source, "node features", notes, preparation.get("one_hot", ()))
        x = match(x, getattr(found, "feature_names", None), columns.get("features"), trained["in_feats"])
    typed = isinstance(found, NodeSet) and (found.target_type is not None or bool(trained.get("relation_ends")))
    if "mean" in preparation and isinstance(x, Tensor) and not typed:  # else it is done, by type
        mean, scale = (torch.tensor(preparation[key], dtype=torch.float64) for key in ("mean", "scale"))
        x = standardized(x, mean, scale)
    names = getattr(found, "edge_feature_names", None), columns.get("edge_features")
    e = _Columns(source, "edge features", notes)(found.edge_features, *names, trained["edge_feats"])
    changes: dict[str, Any] = {part: x, "edge_features": e, "preparation": preparation or None}
    if isinstance(found, NodeSet):
        changes |= {"feature_names": columns.get("features") or None}
    if isinstance(found, NodeSet) and typed:
        changes |= _several_types(found, trained, columns, source, notes)
    elif isinstance(found, GraphSet):
        for item in ("node", "edge"):
            changes |= _types(found, item, columns.get(f"{item}_types"), trained[f"{item}_types"], source, notes)
    if trained["level"] == "edge" and isinstance(found, NodeSet):
        changes["edge_targets"] = _edge_targets(found.edge_targets, trained, notes)
    elif trained["level"] != "link":
        changes |= _labels(found, trained, notes)
    return replace(found, **changes), "; ".join(notes)


class _Columns:
    """Match the columns of features.

    Args:
        one_hot: columns whose texts are features: one that training has not seen is none of the kinds.
    """

    def __init__(self, source: str, what: str, notes: list[str], one_hot: Sequence[str] = ()) -> None:
        self.source, self.what, self.notes = source, what, notes
        self.one_hot = tuple(f"{name}=" for name in one_hot)

    def __call__(self, x: Any, names: list[str] | None, trained: list[str] | None, width: int) -> Any:
        """Return the columns [N, F] in the order of training; `width` is the F that the net reads."""
        found = 0 if x is None else x.shape[1]
        if trained == [] and found:
            self.notes.append(f"{self.what} are not read: the run was trained without them")
            return None
        if trained and names and isinstance(x, Tensor):
            return self._by_name(x, names, trained)
        if found != width and trained != []:
            allowed = f"{width}, as in training" + (f": {_list(trained)}" if trained else "")
            raise UserError(f"{self.source}: has {found} {self.what}; allowed: {allowed}")
        if found:
            who = "these have" if trained else "those of the run have"
            self.notes.append(f"{self.what} are matched by number: {who} no names")
        return x

    def _by_name(self, x: Tensor, names: list[str], trained: list[str]) -> Tensor:
        missing = [name for name in trained if name not in names and not name.startswith(self.one_hot or ("\0",))]
        if missing:
            raise UserError(
                f"{self.source}: has no column {missing[0]}, which the run was trained with; allowed: {_list(trained)}"
            )
        new = [name for name in names if name not in trained]
        kinds = [name for name in new if self.one_hot and name.startswith(self.one_hot)]
        if kinds:
            count = int((x[:, [names.index(name) for name in kinds]] != 0).any(1).sum())
            self.notes.append(f"{count} nodes are of a kind that training has not seen, and of none: {_list(kinds)}")
        if left := [name for name in new if name not in kinds]:
            self.notes.append(f"columns that the run was not trained with are not read: {_list(left)}")
        if (there := [name for name in names if name in trained]) != [name for name in trained if name in there]:
            self.notes.append(f"the columns of {self.what} are put into the order of training")
        place = {name: number for number, name in enumerate(names)}
        empty = x.new_zeros(len(x))
        return torch.stack([x[:, place[name]] if name in place else empty for name in trained], 1)


def _several_types(
    found: NodeSet, trained: Mapping[str, Any], columns: Mapping[str, Any], source: str, notes: list[str]
) -> dict[str, Any]:
    """Return the types of nodes and edges by the numbers of training; the graph may lack some of them."""
    if found.target_type is None or not trained.get("relation_ends"):
        here, there = ("one type", "several types")[:: 1 if found.target_type is None else -1]
        raise UserError(f"{source}: has {here} of nodes and edges; allowed: {there}, as the run was trained with")
    changes: dict[str, Any] = {"relation_ends": trained["relation_ends"]}
    for item in ("node", "edge"):
        names = columns[f"{item}_types"]
        changes |= _types(found, item, names, len(names), source, notes)
        if lacks := [name for name in names if name not in (getattr(found, f"{item}_type_names") or ())]:
            notes.append(f"there are no {item}s of the type {_list(lacks)}")
    return changes | {"target_type": columns["node_types"].index(trained["target_type"])}


def _types(
    found: Graphs, item: str, trained: list[str] | None, number: int, source: str, notes: list[str]
) -> dict[str, Any]:
    """Return the types of nodes or edges by the numbers of training, and their number."""
    key = f"{item}_types"
    types, names = getattr(found, key), getattr(found, f"{item}_type_names")
    if types is None or not number:
        if number:
            raise UserError(f"{source}: its {item}s have no types; allowed: {_list(trained) or number}, as in training")
        if types is not None:
            notes.append(f"{item} types are not read: the run was trained without them")
        return {key: None, f"num_{key}": 0}
    if not (trained and names):
        if (here := getattr(found, f"num_{key}")) != number:
            raise UserError(
                f"{source}: has {here} {item} types, and the run {number} without names, so that nobody can tell which"
                " is which; fix: train the run again"
            )
        notes.append(f"{item} types are matched by number: the run or the graphs have no names of them")
        return {}
    if unknown := [name for name in names if name not in trained]:
        raise UserError(
            f"{source}: has the {item} type {unknown[0]}, which the run was not trained with; allowed: {_list(trained)}"
        )
    numbers = torch.tensor([trained.index(name) for name in names], dtype=torch.int64)
    return {key: numbers[types], f"num_{key}": number, f"{item}_type_names": list(trained)}


def _edge_targets(found: dict[str, Any] | None, trained: Mapping[str, Any], notes: list[str]) -> dict[str, Any] | None:
    """Return the labels of edges as those of nodes."""
    if found is None:
        return None
    labels, names = found["labels"], found["names"]
    read = SimpleNamespace(**found, target_names=names, known=lambda: known_rows(labels))
    changes = _labels(read, trained, notes)
    return found | {"names": changes.pop("target_names")} | changes


def _labels(found: Any, trained: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Return labels by the classes of training; those of other classes, or of another kind, are unknown.

    Args:
        found: a NodeSet or GraphSet, or what has its labels, target, class_names, target_names and `known`.
    """
    target, rows, names = trained["target"], len(found.labels), trained.get("target_names") or []
    known = found.known()
    same = {"class_names": list(trained["class_names"]), "target": target}
    if hasattr(found, "target_names"):
        same["target_names"] = list(names)
    kind = getattr(found, "target", "classification")
    if not known.any() or kind != target or (target != "classification" and found.target_names != names):
        if known.any():
            notes.append(f"labels are not compared: they are of another {'kind' if kind != target else 'name'}")
        if target == "classification":
            return same | {"labels": torch.full((rows,), -1)}
        shape = (rows, trained["num_outputs"]) if names and found.labels.ndim < 2 else tuple(found.labels.shape)
        several = trained["num_outputs"] > 1 or (names and found.labels.ndim == 2)
        return same | {"labels": torch.full(shape if several else (rows,), torch.nan)}
    if target != "classification":
        return same
    classes = same["class_names"]
    numbers = [classes.index(name) if name in classes else -1 for name in found.class_names]
    if other := [name for name in found.class_names if name not in classes]:
        unknown = torch.tensor([number < 0 for number in numbers])
        count = int(unknown[found.labels[known]].sum())
        notes.append(f"{count} labels are of classes that the run does not know, and are not compared: {_list(other)}")
    at = torch.tensor([*numbers, -1])  # the last one is that of label -1
    return same | {"labels": at[found.labels]}


def _list(names: Sequence[str] | None) -> str:
    names = names or ()
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
