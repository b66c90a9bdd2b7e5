"""Choose the reader of a graph of the user's own: the one place that knows them all.

A new format is an entry in GRAPH_FORMATS of `builtin/graph_formats.py`, which tells it from its path without torch,
and its reader here.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.builtin.graph_formats import OWN_GRAPHS, find_graph_format
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.arrays import read_array_directory, read_npz
from lightning_dl2.data.graph_files.formats.build import make_node_set
from lightning_dl2.data.graph_files.formats.content import FileGraphs
from lightning_dl2.data.graph_files.formats.content_cites import read_content
from lightning_dl2.data.graph_files.formats.dgl_binary import read_dgl_binary
from lightning_dl2.data.graph_files.formats.dgl_csv import read_dgl_csv
from lightning_dl2.data.graph_files.formats.networkx_files import read_gml, read_graphml
from lightning_dl2.data.graph_files.formats.ogb import read_ogb
from lightning_dl2.data.graph_files.formats.torch_files import read_torch
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.own.columns import degree_columns, standardized, statistics
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graphs.typed.tables import read_any_csv
from lightning_dl2.graphs import SparseMatrix


def _one_graph(read: Callable[[Path], FileGraphs]) -> Callable[[Path, Reading], NodeSet]:
    return lambda path, asked: make_node_set(read(path), path, asked)


READERS: dict[str, Callable[[Path, Reading], NodeSet]] = {
    "dgl_csv": _one_graph(read_dgl_csv),
    "csv": read_any_csv,
    "gml": read_gml,
    "graphml": read_graphml,
    "npz": _one_graph(read_npz),
    "arrays": _one_graph(read_array_directory),
    "ogb": _one_graph(read_ogb),
    "torch": _one_graph(read_torch),
    "dgl": _one_graph(read_dgl_binary),
    "content": _one_graph(read_content),
}
NAMES_COLUMNS = ("csv", "gml", "graphml")  # the formats whose columns data.features chooses by their names


def read_own_graph(path: Path, asked: Reading, name: str = "graph_file") -> NodeSet:
    """Read the graph at a path by the reader of its format.

    Args:
        name: "graph_file", or "graph_csv", which reads CSV only.

    Raises:
        UserError: no reader takes such a path, or the reader refuses it.
    """
    check_format(name, path)
    found = find_graph_format(path, OWN_GRAPHS[name])
    assert found is not None  # check_format has refused others
    of_columns = asked.features
    for key in ("columns", "drop", "one_hot", "edge_columns"):
        if found not in NAMES_COLUMNS and (value := getattr(of_columns, key)) not in (None, (), []):
            raise UserError(f"data.features.{key}={list(value)}: {path} has no named columns; allowed: null or []")
    for key in ("node", "edge", "target"):
        if found != "csv" and (kind := getattr(asked, f"{key}_type")) is not None:
            raise UserError(f"data.types.{key}={kind}: {path} is no CSV; allowed: null")
    return finish_features(READERS[found](path, asked), asked, path)


def _with_own_features(found: NodeSet, path: Path) -> NodeSet:
    """Give each node of a graph without features one of its own."""
    if found.features is not None:
        raise UserError(f"data.features.identity=true: the nodes of {path} have features; allowed: false")
    rows = torch.arange(found.num_nodes)
    features = SparseMatrix.from_coo(rows, rows, torch.ones(len(rows)), (len(rows), len(rows)))
    return replace(found, features=features, preparation={**(found.preparation or {}), "identity": True})


def finish_features(found: NodeSet, asked: Reading, path: Path) -> NodeSet:
    """Add degrees to the features and standardise them, where `asked` says so.

    Of another graph than that of a run, degrees are added; `fit_to_run` standardises it as that of the run.
    """
    if found.node_types is not None:
        return found  # by type, where it was read
    if asked.features.identity:
        return _with_own_features(found, path)
    if not (asked.features.degrees or asked.features.standardize):
        return found
    features, names = found.features, list(found.feature_names or [])
    if isinstance(features, SparseMatrix):
        raise UserError(f"data.features: {path} has sparse features; allowed: neither degrees nor standardize")
    if asked.features.degrees:
        degrees = degree_columns(found.src, found.dst, found.num_nodes, asked.undirected)
        features = degrees if features is None else torch.cat([features, degrees], 1)
        names += ["log(1 + in-degree)", "log(1 + out-degree)"][: degrees.shape[1]]
    if features is None:
        raise UserError(f"data.features.standardize=true: {path} has no features; allowed: false")
    preparation = dict(found.preparation or {})
    if asked.features.standardize and asked.for_run is None:
        mean, scale = statistics(features)
        features = standardized(features, mean, scale)
        preparation |= {"mean": mean.tolist(), "scale": scale.tolist()}
    named = names if len(names) == features.shape[1] else None
    return replace(found, features=features, feature_names=named, preparation=preparation or None)
