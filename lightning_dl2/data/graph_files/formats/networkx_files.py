"""Read GML and GraphML by networkx, which torch itself needs.

Shapes: N nodes, E edges.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.content import FileGraphs, reading, told
from lightning_dl2.data.graphs.libraries import read_graph
from lightning_dl2.data.splits import SPLITS

LABELS = ("class", "y", "value")  # usual names beside `label`, which is often the name of a node; Newman has `value`


def read_gml(path: Path) -> FileGraphs:
    """Read the graph of a GML file.

    Raises:
        UserError: the file is damaged.
    """

    def load(networkx: Any) -> Any:
        text = path.read_text("utf-8", "replace")
        # Other programs repeat edges without saying so, which networkx refuses.
        several = re.sub(r"\bmultigraph\s+\d+", "", text)
        several = re.sub(r"\bgraph\s*\[", "graph [ multigraph 1 ", several, count=1)
        return networkx.parse_gml(several.split("\n"), label="id")

    return _read(path, "GML file", load)


def read_graphml(path: Path) -> FileGraphs:
    """Read the graph of a GraphML file.

    Raises:
        UserError: the file is damaged.
    """

    def load(networkx: Any) -> Any:
        return networkx.read_graphml(io.BytesIO(path.read_bytes()), force_multigraph=True)

    return _read(path, "GraphML file", load)


def _read(path: Path, kind: str, load: Callable[[Any], Any]) -> FileGraphs:
    with reading(path, kind):
        import networkx  # takes a fifth of a second

        graph = load(networkx)
        if not len(graph):
            raise UserError(f"data.path={path}: has no nodes; allowed: a graph with nodes")
        _complete([data for _, data in graph.nodes(data=True)])
        _complete([data for *_, data in graph.edges(data=True)])
        parts = read_graph(graph, f"data.path={path}")
        parts.library = "file"
        notes = [_take_names(parts)]
        if "label" not in parts.nodes:
            name = next((name for name in LABELS if name in parts.nodes), None)
            if name is not None:
                parts.nodes["label"] = parts.nodes.pop(name)
                notes.append(f"the labels are {name}")
        _take_splits(parts, path)
        parts.note = told(parts.note, *notes)
        return FileGraphs([parts], {})


def _complete(rows: list[dict[str, Any]]) -> None:
    """Give an item None for what only others have: None is an unknown label, and no feature."""
    names = dict.fromkeys(name for row in rows for name in row)
    for row in rows:
        row |= {name: None for name in names if name not in row}


def _take_names(parts: Any) -> str | None:
    """Take `label` as the nodes' names if no two are alike, as in GML, and not as their classes."""
    labels = parts.nodes.get("label")
    if labels is None or len(set(labels.tolist())) < len(labels) or len(labels) < 3:
        return None
    parts.ids = list(map(str, parts.nodes.pop("label").tolist()))
    return "label is the name of a node, as no two are alike"


def _take_splits(parts: Any, path: Path) -> None:
    """Turn an attribute `split`, of the names of splits, to masks."""
    splits = parts.nodes.get("split")
    if splits is None or splits.dtype.kind not in "OU":
        return
    if other := {str(name) for name in splits.tolist() if name not in (None, "")} - set(SPLITS):
        raise UserError(f"data.path={path}: the split {min(other)}; allowed: {', '.join(SPLITS)} or empty")
    del parts.nodes["split"]
    for name in SPLITS:
        parts.nodes[f"{name}_mask"] = np.array([value == name for value in splits.tolist()])
