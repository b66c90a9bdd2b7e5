"""Choose the reader of a set of graphs of the user's own."""

from collections.abc import Callable
from pathlib import Path

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.builtin.graph_formats import OWN_GRAPH_SETS, find_graph_format
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.build import make_graph_set
from lightning_dl2.data.graph_files.formats.content import FileGraphs
from lightning_dl2.data.graph_files.formats.dgl_binary import read_dgl_binary
from lightning_dl2.data.graph_files.formats.dgl_csv import read_dgl_csv
from lightning_dl2.data.graph_files.formats.ogb import read_ogb
from lightning_dl2.data.graph_files.formats.torch_files import read_torch
from lightning_dl2.data.graph_files.graph_sets import GraphSet
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graph_files.ten_fold import read_ten_fold
from lightning_dl2.data.graph_files.tu_format import read_tu


def _graphs(read: Callable[[Path], FileGraphs]) -> Callable[[Path, Reading], GraphSet]:
    return lambda path, asked: make_graph_set(read(path), path, asked)


def _without_names(read: Callable[[Path, Reading], GraphSet], *kinds: str) -> Callable[[Path, Reading], GraphSet]:
    """Return a reader of a format whose labels have no names, and are of these kinds."""

    def read_plain(path: Path, asked: Reading) -> GraphSet:
        if asked.label is not None:
            raise UserError(f"data.label={asked.label}: the labels in {path} have no name; allowed: null")
        if asked.target not in (None, *kinds):
            raise UserError(f"data.target={asked.target}: allowed with {path}: null, {', '.join(kinds)}")
        return read(path, asked)

    return read_plain


SET_READERS: dict[str, Callable[[Path, Reading], GraphSet]] = {
    "dgl_csv": _graphs(read_dgl_csv),
    "ogb": _graphs(read_ogb),
    "torch": _graphs(read_torch),
    "dgl": _graphs(read_dgl_binary),
    "tu": _without_names(lambda path, asked: read_tu(path, asked=asked), "classification", "regression"),
    "ten_fold": _without_names(lambda path, asked: read_ten_fold(path), "classification"),
}


def read_own_graph_set(path: Path, asked: Reading, name: str = "graph_set_file") -> GraphSet:
    """Read the graphs at a path by the reader of their format.

    Raises:
        UserError: no reader takes such a path, or the reader refuses it.
    """
    check_format(name, path)
    found = find_graph_format(path, OWN_GRAPH_SETS[name])
    assert found is not None  # check_format has refused others
    return SET_READERS[found](path, asked)
