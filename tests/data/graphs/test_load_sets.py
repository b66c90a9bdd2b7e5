"""Test loading a set by name: generated sets take no path, and unreadable ones are reported in one line."""

import pytest

from lightning_dl2 import GraphSetDataModule, NodeDataModule, UserError
from lightning_dl2.builtin.graph_data import GENERATED, NODE_SETS
from lightning_dl2.builtin.graph_formats import OWN_GRAPHS
from lightning_dl2.data.graph_files.graph_sets import GraphSet, NodeSet
from lightning_dl2.data.graph_files.own.readers import READERS
from lightning_dl2.data.graphs import load_sets
from tests.small import write_graph


def test_a_graph_of_ones_own_is_read_by_its_format(tmp_path):
    """The format follows from the path, and a file of no format is told with all that there are."""
    path = write_graph(tmp_path / "graph", [(0, 1), (1, 2)], "aba", "tve")
    one, other = (load_sets.load_node_set(name, str(path)) for name in OWN_GRAPHS)
    assert one.digest() == other.digest() and set(READERS) == set(OWN_GRAPHS["graph_file"])
    (path / "graph.docx").touch()
    for name in OWN_GRAPHS:
        with pytest.raises(UserError, match="graph.docx: is a file; allowed: .*a directory with nodes.csv and edges"):
            load_sets.load_node_set(name, str(path / "graph.docx"))


def test_the_note_of_a_reader_is_told_and_changes_no_digest(tmp_path):
    found = load_sets.load_node_set("graph_csv", str(write_graph(tmp_path / "graph", [(0, 1)], "aba", "tve")))
    digest, found.note = found.digest(), "one edge is dropped"
    assert found.digest() == digest and NodeDataModule(found).note == found.note


@pytest.mark.parametrize("name", GENERATED)
def test_generated_graphs_have_no_path(name):
    module = NodeDataModule if name in NODE_SETS else GraphSetDataModule
    with pytest.raises(UserError, match=f"^data.path=DIR: data={name} is generated; fix: leave it out, or"):
        module(name, path="DIR")


def test_a_set_in_the_tu_format_is_asked_for_in_its_words(tmp_path):
    with pytest.raises(UserError, match="there is no such file; allowed: a directory with files of the TU format"):
        GraphSetDataModule("tu", path=str(tmp_path / "typo"))
    with pytest.raises(UserError, match=r"has no file \*_A.txt"):
        GraphSetDataModule("tu", path=str(tmp_path))
    (tmp_path / "SMALL_A.txt").touch()
    with pytest.raises(UserError, match="allowed: the files of the TU format"):  # the files are of another set
        GraphSetDataModule("mutag", path=str(tmp_path))
    with pytest.raises(UserError, match="SMALL_A.txt:1: .*the number of graphs"):
        GraphSetDataModule("ten_fold", path=str(tmp_path))


@pytest.mark.parametrize(("name", "reader"), [("tu", "read_tu"), ("ten_fold", "read_ten_fold"), ("zinc", "read_zinc")])
def test_a_file_that_may_not_be_read(name, reader, tmp_path, monkeypatch):
    def refused(path, **_):
        raise PermissionError(13, "Permission denied", str(path / "FILE"))

    monkeypatch.setattr(load_sets, reader, refused)
    with pytest.raises(UserError, match=f"^data.path={tmp_path}/FILE: cannot be read .Permission denied.; allowed: "):
        GraphSetDataModule(name, path=str(tmp_path))


def test_what_is_read_is_checked_once(tmp_path, monkeypatch):
    checked = []
    for kind in (NodeSet, GraphSet):
        monkeypatch.setattr(kind, "check", lambda self, source="data": checked.append(source))
    path = str(write_graph(tmp_path / "graph", [(0, 1), (1, 2)], "aba", "tve"))
    load_sets.load_node_set("graph_csv", path)
    graphs = tmp_path / "graphs.txt"
    graphs.write_text("2\n1 0\n0 0\n1 1\n0 0\n")  # of one node each
    load_sets.load_graph_set("ten_fold", str(graphs), sizes={}, cache=None)
    assert checked == [f"data.path={path}", f"data.path={graphs}"]
