"""Read GML and GraphML by networkx, which torch itself needs, by the rules for tables of nodes and edges.

Shapes: N nodes, E edges.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.content import reading, told
from lightning_dl2.data.graph_files.graph_csv import graph_of_tables
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.own.edge_targets import edge_columns_to_predict
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graph_files.own.tables import Table, is_number

LABELS = ("label", "class", "y", "value")  # usual names of the classes; `label` may name the nodes, Newman has `value`


def read_gml(path: Path, asked: Reading) -> NodeSet:
    """Read the graph of a GML file.

    Raises:
        UserError: the file is damaged, or its attributes are no labels and features.
    """

    def load(networkx: Any) -> Any:
        text = path.read_text("utf-8", "replace")
        # Other programs repeat edges without saying so, which networkx refuses.
        several = re.sub(r"\bmultigraph\s+\d+", "", text)
        several = re.sub(r"\bgraph\s*\[", "graph [ multigraph 1 ", several, count=1)
        return networkx.parse_gml(several.split("\n"), label="id")

    return _read(path, "GML file", load, asked)


def read_graphml(path: Path, asked: Reading) -> NodeSet:
    """Read the graph of a GraphML file.

    Raises:
        UserError: the file is damaged, or its attributes are no labels and features.
    """

    def load(networkx: Any) -> Any:
        return networkx.read_graphml(io.BytesIO(path.read_bytes()), force_multigraph=True)

    return _read(path, "GraphML file", load, asked)


@dataclass
class _Attributes(Table):
    """Attributes of the nodes or edges as a table, whose rows have no lines in a file."""

    item: str = field(default="node", kw_only=True)

    def place(self, row: int) -> str:
        name = self.rows[row][0] if self.item == "node" else "-".join(self.rows[row][:2])
        return f"data.path={self.path}: {self.item} {name}"


def _read(path: Path, kind: str, load: Callable[[Any], Any], asked: Reading) -> NodeSet:
    if asked.split_index:
        raise UserError(f"data.split_index={asked.split_index}: a {kind} has one split; allowed: 0")
    with reading(path, kind):
        import networkx  # takes a fifth of a second

        graph = load(networkx)
        if not len(graph):
            raise UserError(f"data.path={path}: has no nodes; allowed: a graph with nodes")
        rows = [{name: _text(value) for name, value in _flat(data).items()} for _, data in graph.nodes(data=True)]
        names, note = _take_names([str(node) for node in graph], rows, asked)
        of_nodes = asked.labels is None and not asked.labels_edges
        label = _label(path, rows, asked) if of_nodes else asked.label
        nodes = _table(
            path, "node", ["id"], [[name] for name in names], rows, {label, "split", *(asked.labels or ())}, asked
        )
        of = dict(zip(graph, names, strict=True))
        ends = [[of[one], of[other]] for one, other, *_ in graph.edges]
        rows = [{name: _text(value) for name, value in _flat(data).items()} for *_, data in graph.edges(data=True)]
        needed = {asked.edge_weight, *edge_columns_to_predict(asked)}
        edges = _table(path, "edge", ["src", "dst"], ends, rows, needed, asked)
        both = not graph.is_directed()
        found = graph_of_tables(path, nodes, edges, replace(asked, label=label, undirected=asked.undirected or both))
    notes = (note, label not in (None, "label", asked.label) and f"the labels are {label}", found.note)
    found.note = told(*notes)
    return found


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    """Give each number of a list an attribute of its own."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        parts = {f"{name}.{place}": one for place, one in enumerate(value)} if isinstance(value, list | tuple) else {}
        flat |= parts or {str(name): value}
    return flat


def _text(value: Any) -> str:
    return "" if value is None else str(int(value)) if isinstance(value, bool) else str(value).strip()


def _take_names(ids: list[str], rows: list[dict[str, str]], asked: Reading) -> tuple[list[str], str | None]:
    """Take the attribute `label` as the names of the nodes if no two are alike, as GML's are, and not as classes."""
    labels = [row.get("label", "") for row in rows]
    is_class = asked.label == "label" and not asked.labels_edges
    if len({*labels}) < max(len(labels), 3) or "" in labels or is_class:
        return ids, None
    for row in rows:
        del row["label"]
    return labels, None if labels == ids else "label is the name of a node, as no two are alike"


def _label(path: Path, rows: list[dict[str, str]], asked: Reading) -> str | None:
    """Return the attribute of the nodes with the classes; None: there is none, and none is needed."""
    names = dict.fromkeys(name for row in rows for name in row)
    found = next((name for name in LABELS if name in names), None) if asked.label is None else asked.label
    if (found is None or found not in names) and asked.labelled:
        have = ", ".join(names) or "nothing"
        raise UserError(
            f"data.path={path}: its nodes have no {asked.label or 'label'}; they have: {have};"
            " fix: set data.label=NAME of their labels"
        )
    return found


def _table(
    path: Path,
    item: str,
    keys: list[str],
    ids: list[list[str]],
    rows: list[dict[str, str]],
    needed: set[str | None],
    asked: Reading,
) -> Table:
    """Make a table of ids and attributes; one of texts is left out unless it is asked for by its name."""
    features = asked.features
    edges = features.edge_columns or ()
    wanted = needed | ({*(features.columns or ()), *features.one_hot, *features.drop} if item == "node" else {*edges})
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in keys]
    texts = [name for name in names if name not in wanted and not any(is_number(row.get(name, "")) for row in rows)]
    names = [name for name in names if name not in texts]
    table = _Attributes(
        path,
        [*keys, *names],
        [],
        [(*key, *(row.get(name, "") for name in names)) for key, row in zip(ids, rows, strict=True)],
        ",",
        item=item,
    )
    if texts:
        how = " (data.features.one_hot reads them)" if item == "node" else ""
        table.told.append(f"texts of {item}s are not read: {', '.join(texts)}{how}")
    return table
