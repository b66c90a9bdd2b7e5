"""Choose the reader of a graph of the user's own: the one place that knows them all.

A new format is an entry in GRAPH_FORMATS of `builtin/graph_formats.py`, which tells it from its path without torch,
and its reader here.
"""

from collections.abc import Callable
from pathlib import Path

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.builtin.graph_formats import find_graph_format
from lightning_dl2.data.graph_files.graph_csv import read_csv
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.own.reading import Reading

READERS: dict[str, Callable[[Path, Reading], NodeSet]] = {"csv": read_csv}


def read_own_graph(path: Path, asked: Reading, name: str = "graph_file") -> NodeSet:
    """Read the graph at a path by the reader of its format.

    Args:
        name: "graph_file", or "graph_csv", which reads CSV only.

    Raises:
        UserError: no reader takes such a path, or the reader refuses it.
    """
    check_format(name, path)
    found = find_graph_format(path)
    assert found is not None  # check_format has refused others
    return READERS[found](path, asked)
