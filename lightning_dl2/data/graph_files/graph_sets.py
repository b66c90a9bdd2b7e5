"""Result of every reader and generator of graphs: one graph whose nodes have labels, or many graphs.

They are plain tensors, which can be sent to a worker process whatever engine computes on them later.

What is to be predicted is `labels`, of the kind that `target` says:

- "classification": int64, class numbers of `class_names`; of the nodes of one graph, -1 is unknown;
- "regression": float32, one number, or T with the names `target_names`; NaN is unknown;
- "multilabel": float32, T labels of 0 or 1 with the names `target_names`; NaN is unknown.

Shapes: N nodes, E directed edges, F node features, D edge features, G graphs, T targets.
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from hashlib import sha256
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema.targets import TargetKind
from lightning_dl2.data.splits import SPLITS
from lightning_dl2.graphs import SparseMatrix

# Fields that are no part of the digest: for messages, and for other graphs that the net of a run is to read.
TOLD = ("note", "feature_names", "edge_feature_names", "preparation", "node_type_names", "edge_type_names")
YOUNGER = {"younger": True}  # marks a field that was added after the first runs
PART_NAMES = {"src": "ends of edges", "dst": "ends of edges", "node_ids": "names of nodes"}  # others: the field's


def _is_default(part: Field[Any], value: Any) -> bool:
    default = part.default_factory() if part.default_factory is not MISSING else part.default
    return type(value) is type(default) and bool(value == default)


def _feed(digest: Any, name: str, value: Any) -> None:
    """Add a value and its name to a digest."""
    digest.update(f"\0{name}\0{type(value).__name__}\0".encode())
    if isinstance(value, Tensor):
        digest.update(f"{value.dtype}{list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().data)
    elif isinstance(value, SparseMatrix):
        for part in ("indptr", "indices", "values", "shape"):
            _feed(digest, part, getattr(value, part))
    elif isinstance(value, dict):
        for key in sorted(value):
            _feed(digest, key, value[key])
    elif isinstance(value, list | tuple) and any(isinstance(part, list | tuple | Tensor) for part in value):
        for number, part in enumerate(value):
            _feed(digest, str(number), part)
    else:
        digest.update(json.dumps(value).encode())


def known_rows(labels: Tensor) -> Tensor:
    """Tell which rows of labels, [M] or [M, T], have a target that is known, bool [M]: no -1, not NaN alone."""
    if not labels.is_floating_point():
        return labels >= 0
    known = ~labels.isnan()
    return known if known.ndim == 1 else known.any(1)


@dataclass
class _Content:
    """Base of both: dataclasses of tensors, names and numbers."""

    def known(self) -> Tensor:
        """Tell which rows of `labels` have a target that is known, bool."""
        return known_rows(self.labels)  # type: ignore[attr-defined]

    def digest(self) -> str:
        """Hash the whole content to 16 hexadecimal digits.

        A field added after the first runs has `field(default=..., metadata=YOUNGER)`: while it has its default, the
        digests of older runs stay as they were.
        """
        digest = sha256()
        for name, value in self._content():
            _feed(digest, name, value)
        return digest.hexdigest()[:16]

    def parts(self) -> dict[str, str | int]:
        """Return what the content consists of, numbers or short digests by name, to tell what has changed."""
        found: dict[str, str | int] = {"edges": len(self.src)}  # type: ignore[attr-defined]
        digests: dict[str, Any] = {}
        for name, value in self._content():
            if isinstance(value, int) and not isinstance(value, bool):
                found[name.removeprefix("num_").replace("_", " ")] = value
            elif value is not None:
                _feed(digests.setdefault(PART_NAMES.get(name, name.replace("_", " ")), sha256()), name, value)
        return found | {name: digest.hexdigest()[:8] for name, digest in digests.items()}

    def _content(self) -> Iterator[tuple[str, Any]]:
        """Yield the fields that are content; a younger one that holds nothing leaves older digests as they were."""
        for part in fields(self):
            value = getattr(self, part.name)
            if part.name not in TOLD and not (part.metadata.get("younger") and _is_default(part, value)):
                yield part.name, value


@dataclass
class NodeSet(_Content):
    """One graph whose nodes have labels. An undirected edge is stored in both directions."""

    src: Tensor  # int64 [E]
    dst: Tensor  # int64 [E]
    num_nodes: int
    features: Tensor | SparseMatrix | None  # float32 [N, F]
    labels: Tensor  # [N], or [N, T]
    class_names: list[str]
    splits: dict[str, Tensor] | None = None  # int64: node numbers by split; None: they must be drawn
    edge_features: Tensor | None = None  # float32 [E, D]
    node_ids: list[str] | None = None  # the user's names of the nodes; None: their numbers
    edge_weights: Tensor | None = field(default=None, metadata=YOUNGER)  # float32 [E], 0 or more
    # What is to be predicted of the R edges that a file lists: rows, int64 [E], the one of each edge; labels, target,
    # class_names, and names of several targets, as of the nodes, [R]; splits by their rows, or None.
    edge_targets: dict[str, Any] | None = field(default=None, metadata=YOUNGER)
    feature_names: list[str] | None = None  # of the columns of features; no part of the digest
    edge_feature_names: list[str] | None = None  # likewise
    preparation: dict[str, Any] | None = None  # of the features: fill, one_hot, mean, scale; no part of the digest
    note: str | None = None  # what the reader dropped, doubled or completed; no part of the digest
    target: TargetKind = field(default="classification", metadata=YOUNGER)
    target_names: list[str] = field(default_factory=list, metadata=YOUNGER)
    # Of a graph of several types: types of nodes and edges, for each relation the types of its source and target, and
    # the type of the nodes that have targets. Each type has columns of its own in `features`, see `typed/assemble.py`.
    node_types: Tensor | None = field(default=None, metadata=YOUNGER)  # int64 [N]
    num_node_types: int = field(default=0, metadata=YOUNGER)
    edge_types: Tensor | None = field(default=None, metadata=YOUNGER)  # int64 [E]
    num_edge_types: int = field(default=0, metadata=YOUNGER)
    relation_ends: list[list[int]] = field(default_factory=list, metadata=YOUNGER)
    target_type: int | None = field(default=None, metadata=YOUNGER)
    node_type_names: list[str] | None = None  # of the types from 0; no part of the digest
    edge_type_names: list[str] | None = None  # likewise

    def check(self, source: str = "data") -> None:
        """Raise UserError, naming `source` and the first bad item, if the parts do not fit together."""
        _check_edges(source, self.src, self.dst, self.num_nodes, self.edge_features)
        if self.features is not None:
            _check_rows(source, "features", self.features, self.num_nodes, "node")
        if self.edge_weights is not None:
            _check_rows(source, "edge_weights", self.edge_weights, len(self.src), "edge")
        _check_targets(source, self, self.num_nodes, "node", -1)
        _check_splits(source, self.splits, "node", self.num_nodes)
        known = self.known()
        for name, nodes in (self.splits or {}).items():
            if (bad := _first(~known[nodes])) is not None:
                raise UserError(
                    f"{source}: node {self._name(int(nodes[bad]))} of the split {name} has no label;"
                    " allowed: nodes with one"
                )

    def _name(self, node: int) -> str:
        return str(node) if self.node_ids is None else self.node_ids[node]


@dataclass
class GraphSet(_Content):
    """Many graphs, one after the other. src and dst number the nodes of each graph from 0."""

    src: Tensor  # int64 [sum E]
    dst: Tensor  # int64 [sum E]
    num_nodes: Tensor  # int64 [G]
    num_edges: Tensor  # int64 [G]
    labels: Tensor  # [G] or [G, T]; at level "node" of all nodes
    class_names: list[str]  # empty without classes
    node_types: Tensor | None = None  # int64 [sum N]
    num_node_types: int = 0
    node_features: Tensor | None = None  # float32 [sum N, F]
    edge_types: Tensor | None = None  # int64 [sum E]
    num_edge_types: int = 0
    edge_features: Tensor | None = None  # float32 [sum E, D]
    level: Literal["graph", "node"] = "graph"
    target: TargetKind = "classification"
    splits: dict[str, Tensor] | None = None  # int64: graph numbers by split; None: they must be drawn
    folds: list[tuple[Tensor, Tensor]] | None = None  # int64: graph numbers of training and test
    graph_ids: list[str] | None = None
    node_type_names: list[str] | None = None  # of the types from 0; no part of the digest
    edge_type_names: list[str] | None = None  # likewise
    preparation: dict[str, Any] | None = None  # of the nodes' features: mean, scale; no part of the digest
    note: str | None = None  # what the reader dropped, doubled or completed; no part of the digest
    target_names: list[str] = field(default_factory=list, metadata=YOUNGER)
    # int64: of the training graphs of each fold, those that validate; None: they must be drawn
    validation: list[Tensor] | None = field(default=None, metadata=YOUNGER)

    def __len__(self) -> int:
        return len(self.num_nodes)

    def known_graphs(self) -> Tensor:
        """Tell which graphs have a target that is known, or a node with one, bool [G]."""
        known = self.known()
        if self.level == "graph":
            return known
        owner = torch.arange(len(self)).repeat_interleave(self.num_nodes)
        return torch.zeros(len(self), dtype=torch.int64).index_add(0, owner, known.long()) > 0

    def check(self, source: str = "data", least_class: int = 0) -> None:
        """Raise UserError, naming `source` and the first bad item, if the parts do not fit together.

        Args:
            least_class: -1 where the class of a graph may be unknown.
        """
        nodes, edges = int(self.num_nodes.sum()), int(self.num_edges.sum())
        _check_rows(source, "num_edges", self.num_edges, len(self), "graph")
        if (empty := _first(self.num_nodes < 1)) is not None:
            raise UserError(f"{source}: graph {empty} has no nodes; allowed: at least one")
        if (negative := _first(self.num_edges < 0)) is not None:
            raise UserError(f"{source}: graph {negative} has {int(self.num_edges[negative])} edges; allowed: 0 or more")
        limits = self.num_nodes.repeat_interleave(self.num_edges)
        if len(limits) != len(self.src):
            raise UserError(f"{source}: num_edges sums to {edges}; allowed: the number of edges, {len(self.src)}")
        _check_edges(source, self.src, self.dst, limits, self.edge_features)
        for name, values, rows, item in (
            ("node_types", self.node_types, nodes, "node"),
            ("node_features", self.node_features, nodes, "node"),
            ("edge_types", self.edge_types, edges, "edge"),
        ):
            if values is not None:
                _check_rows(source, name, values, rows, item)
        if self.node_types is not None:
            _check_range(source, "node", "type", self.node_types, 0, self.num_node_types)
        if self.edge_types is not None:
            _check_range(source, "edge", "type", self.edge_types, 0, self.num_edge_types)
        _check_targets(source, self, nodes if self.level == "node" else len(self), self.level, least_class)
        _check_splits(source, self.splits, "graph", len(self))
        known = self.known_graphs()
        for name, graphs in (self.splits or {}).items():
            if (bad := _first(~known[graphs])) is not None:
                raise UserError(
                    f"{source}: graph {int(graphs[bad])} of the split {name} has no target; allowed: graphs with one"
                )
        for number, (train, test) in enumerate(self.folds or [], start=1):
            _check_splits(f"{source}, fold {number}", {"train": train, "test": test}, "graph", len(self))
        for number, ((train, _), val) in enumerate(zip(self.folds or [], self.validation or [], strict=False), start=1):
            if (bad := _first(~torch.isin(val, train))) is not None:
                raise UserError(
                    f"{source}, fold {number}: graph {int(val[bad])} validates; allowed: graphs of its training part"
                )


def _first(bad: Tensor) -> int | None:
    """Return the number of the first true entry, or None."""
    found = bad.nonzero()
    return int(found[0, 0]) if len(found) else None


def _check_edges(source: str, src: Tensor, dst: Tensor, limits: int | Tensor, features: Tensor | None) -> None:
    if src.shape != dst.shape:
        raise UserError(f"{source}: {len(src)} edges begin and {len(dst)} end; allowed: as many")
    if (bad := _first((src < 0) | (src >= limits) | (dst < 0) | (dst >= limits))) is not None:
        limit = limits if isinstance(limits, int) else int(limits[bad])
        raise UserError(
            f"{source}: edge {bad} goes from node {int(src[bad])} to node {int(dst[bad])};"
            f" allowed: nodes 0 to {limit - 1}"
        )
    if features is not None:
        _check_rows(source, "edge_features", features, len(src), "edge")


def _check_rows(source: str, name: str, values: Tensor | SparseMatrix, rows: int, item: str) -> None:
    if values.shape[0] != rows:
        raise UserError(f"{source}: {name} has {values.shape[0]} rows; allowed: one for each {item}, {rows}")
    numbers = values if isinstance(values, Tensor) else values.values
    if numbers.is_floating_point() and (bad := _first(~numbers.isfinite())) is not None:
        row = bad if isinstance(values, Tensor) else int(values.row_of_entry()[bad])
        raise UserError(f"{source}: {name} of {item} {row}: not a number or infinite; allowed: finite numbers")


def _check_targets(source: str, found: NodeSet | GraphSet, rows: int, item: str, least_class: int) -> None:
    labels, names = found.labels, found.target_names
    if found.target == "classification":
        _check_rows(source, "labels", labels, rows, item)
        _check_range(source, item, "label", labels, least_class, len(found.class_names))
        return
    _check_rows(source, "labels", torch.where(labels.isnan(), 0.0, labels), rows, item)
    if (several := 1 if labels.ndim == 1 else labels.shape[1]) != len(names) and (names or several > 1):
        raise UserError(f"{source}: {several} targets have {len(names)} names; allowed: a name for each")
    if found.target == "multilabel":
        bad = ~((labels == 0) | (labels == 1) | labels.isnan())
        if (place := _first(bad)) is not None:
            value = float(labels[place][bad[place]][0])
            raise UserError(f"{source}: a label of {item} {place} is {value:g}; allowed: 0, 1, or NaN for unknown")


def _check_range(source: str, item: str, name: str, values: Tensor, low: int, high: int) -> None:
    if (bad := _first((values < low) | (values >= high))) is not None:
        raise UserError(f"{source}: {name} {int(values[bad])} of {item} {bad}; allowed: {low} to {high - 1}")


def _check_splits(source: str, splits: dict[str, Tensor] | None, item: str, number: int) -> None:
    seen = torch.zeros(number, dtype=torch.bool)
    for name, members in (splits or {}).items():
        if name not in SPLITS:
            raise UserError(f"{source}: the split {name}; allowed: {', '.join(SPLITS)}")
        if (bad := _first((members < 0) | (members >= number))) is not None:
            raise UserError(
                f"{source}: {item} {int(members[bad])} of the split {name}; allowed: {item}s 0 to {number - 1}"
            )
        twice = _first(seen[members])
        if twice is None:
            _, place, times = members.unique(return_inverse=True, return_counts=True)
            twice = _first(times[place] > 1)
        if twice is not None:
            raise UserError(f"{source}: {item} {int(members[twice])} is in the splits twice; allowed: once")
        seen[members] = True
