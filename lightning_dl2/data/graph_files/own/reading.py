"""Hold what a user asks of the reading of a graph of her own, whatever its format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightning_dl2.config.schema.targets import Asked


@dataclass(frozen=True)
class Features:
    """Keys of `data.features`: which columns are features, and what becomes of their cells.

    Attributes:
        columns: names of the nodes' features; None: all columns that have no other use.
        drop: columns that are no features.
        one_hot: columns of texts, a feature for each text that occurs.
        fill: of cells without a value: "none" refuses them, "zero", "mean" and "median" fill them.
        standardize: shift and scale each feature to mean 0 and variance 1 over all nodes; those of 0 and 1 stay.
        degrees: add log(1 + in-degree), of a directed graph log(1 + out-degree), too.
        edge_columns: names of the edges' features; None: all columns that have no other use.
        identity: each node without features, of all nodes or of a type, gets a feature of its own.
    """

    columns: Sequence[str] | None = None
    drop: Sequence[str] = ()
    one_hot: Sequence[str] = ()
    fill: str = "none"
    standardize: bool = False
    degrees: bool = False
    edge_columns: Sequence[str] | None = None
    identity: bool = False


@dataclass(frozen=True)
class Reading:
    """Keys of `data` that say how files are read; a reader takes those that it has a use for, and refuses others.

    Attributes:
        undirected: add the missing direction of every edge.
        repeated_edges: "merge": edges between the same two nodes are one; "keep": each counts.
        label: name of the labels; None: the usual one.
        labels: names of several numbers or labels; None: there is one, `label`.
        target: the kind of what is to be predicted; None: as the source says.
        edge_weight: name of the edges' weights; None: there are none.
        node_type: column of the nodes' types; None: there is one type, or a file for each. Likewise `edge_type`.
        target_type: the type of the nodes that have the targets; None: the only one with labels.
        split_index: the split that is read where a source has several, from 0.
        features: which columns are features.
        node_attributes: whether the nodes of a set in the TU format have their attributes as features; None: where the
            files hold some.
        labelled: whether the labels of the nodes are wanted; False: nodes need none.
        labels_edges: whether the labels, and the column split, are those of the edges.
        for_run: the spec of the data of a run whose net is to read this graph: labels and splits may be missing, gaps
            are filled as in training, and `fit_to_run` standardises. None: the graph is to be trained on.
    """

    undirected: bool = True
    repeated_edges: str = "merge"
    label: str | None = None
    labels: Sequence[str] | None = None
    target: Asked | None = None
    edge_weight: str | None = None
    node_type: str | None = None
    edge_type: str | None = None
    target_type: str | None = None
    split_index: int = 0
    features: Features = Features()
    node_attributes: bool | None = None
    labelled: bool = True
    labels_edges: bool = False
    for_run: Mapping[str, Any] | None = None

    def known_columns(self, columns: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return those of the nodes' columns that the run was trained with, or all, and notes of the others."""
        trained = (self.for_run or {}).get("columns") or {}
        if (names := trained.get("features")) is None:
            return list(columns), []
        one_hot = (trained.get("preparation") or {}).get("one_hot", ())
        left = [name for name in columns if name not in (*names, *one_hot)]
        note = f"columns that the run was not trained with are not read: {', '.join(left)}"
        return [name for name in columns if name not in left], [note] if left else []

    def features_of(self, columns: Sequence[str]) -> Features:
        """Return `features`; another graph than that of the run may lack columns that are dropped."""
        if self.for_run is None:
            return self.features
        return replace(self.features, drop=[name for name in self.features.drop if name in columns])

    @property
    def fills(self) -> dict[str, float]:
        """Return what fills the gaps of each column: that of the run; empty where it is to be computed."""
        preparation = ((self.for_run or {}).get("columns") or {}).get("preparation") or {}
        return dict(preparation.get("fill", {}))


PLAIN = Reading()  # nothing is asked for
