"""Test reading MUTAG in the format of TU Dortmund, a generated set with all its features, and every wrong line."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graph_files.ten_fold import read_ten_fold
from lightning_dl2.data.graph_files.tu_format import read_attributes, read_tu
from tests.graph_files import REAL, needs

MUTAG = REAL / "mutag"

# Two graphs: the path 1 - 2 - 3 and the edge 4 - 5. The edges of the two are mixed.
SMALL = {
    "A": "1, 2\n4, 5\n2, 1\n2, 3\n3, 2\n5, 4\n",
    "graph_indicator": "1\n1\n1\n2\n2\n",
    "graph_labels": "3\n-1\n",
    "node_labels": "7\n5\n7\n9\n5\n",
    "node_attributes": "1.0, -2e-1\n2.0, 0\n3.0, 0\n4.0, 0\n5.0, 0.5\n",
    "edge_labels": "0\n1\n0\n2\n2\n1\n",
    "edge_attributes": "0.5\n1.5\n0.5\n2.5\n2.5\n1.5\n",
}


def write(directory: Path, **changes: str | None) -> Path:
    for part, text in (SMALL | changes).items():
        if text is not None:
            (directory / f"SMALL_{part}.txt").write_text(text)
    return directory


def shapes(graphs: GraphSet) -> Counter:
    """Count the graphs by label, number of nodes, number of edges and degrees."""
    degrees = [
        tuple(torch.bincount(src, minlength=int(n)).sort().values.tolist())
        for n, src in zip(graphs.num_nodes, graphs.src.split(graphs.num_edges.tolist()), strict=True)
    ]
    return Counter(
        zip(graphs.num_nodes.tolist(), graphs.num_edges.tolist(), degrees, graphs.labels.tolist(), strict=True)
    )


@needs("mutag")
def test_mutag():
    graphs = read_tu(MUTAG / "tu_format")
    graphs.check()
    assert len(graphs) == 188 and graphs.num_nodes.sum() == 3371 and graphs.num_edges.sum() == len(graphs.src) == 7442
    assert graphs.class_names == ["-1", "1"] and graphs.labels.bincount().tolist() == [63, 125]
    assert graphs.num_node_types == 7 and graphs.node_types.bincount().tolist() == [2395, 345, 593, 12, 1, 23, 2]
    assert graphs.num_edge_types == 4 and len(graphs.edge_types) == 7442
    assert graphs.node_features is graphs.edge_features is graphs.splits is graphs.folds is None
    assert graphs.level == "graph" and graphs.target == "classification"


@needs("mutag")
def test_both_formats_of_mutag_hold_the_same_graphs():
    """Both formats hold the same graphs, in other orders of graphs, nodes and labels."""
    assert shapes(read_tu(MUTAG / "tu_format")) == shapes(read_ten_fold(MUTAG))


def test_everything_that_the_format_has(tmp_path):
    graphs = read_tu(write(tmp_path))
    assert graphs.num_nodes.tolist() == [3, 2] and graphs.num_edges.tolist() == [4, 2]
    assert graphs.src.tolist() == [0, 1, 1, 2, 0, 1] and graphs.dst.tolist() == [1, 0, 2, 1, 1, 0]
    assert graphs.class_names == ["-1", "3"] and graphs.labels.tolist() == [1, 0]
    assert graphs.node_types.tolist() == [1, 0, 1, 2, 0] and graphs.num_node_types == 3
    assert graphs.edge_types.tolist() == [0, 0, 2, 2, 1, 1] and graphs.num_edge_types == 3
    assert graphs.edge_features.tolist() == [[0.5], [0.5], [2.5], [2.5], [1.5], [1.5]]
    assert graphs.node_features.shape == (5, 2) and graphs.node_features[0].tolist() == pytest.approx([1.0, -0.2])
    assert graphs.node_features.dtype == graphs.edge_features.dtype == torch.float32


def test_attributes_of_nodes_are_left_out_or_demanded(tmp_path):
    left, needed = (Reading(node_attributes=wanted) for wanted in (False, True))
    assert read_tu(write(tmp_path), asked=left).node_features is None
    whole = read_tu(tmp_path, asked=needed)
    assert whole.digest() == read_tu(tmp_path).digest() and whole.node_features is not None
    assert torch.equal(read_attributes(tmp_path / "SMALL_node_attributes.txt", whole), whole.node_features)
    (tmp_path / "SMALL_node_attributes.txt").unlink()
    with pytest.raises(UserError, match="data.node_attributes=true: .* has no file SMALL_node_attributes.txt; allowed"):
        read_tu(tmp_path, asked=needed)


def test_the_optional_files_are_optional(tmp_path):
    optional = dict.fromkeys(("node_labels", "node_attributes", "edge_labels", "edge_attributes"))
    graphs = read_tu(write(tmp_path, **optional), "SMALL")
    assert graphs.node_types is graphs.node_features is graphs.edge_types is graphs.edge_features is None
    assert graphs.src.tolist() == [0, 1, 1, 2, 0, 1]


def test_graphs_without_edges_and_several_labels_of_a_node(tmp_path):
    graphs = read_tu(
        write(tmp_path, A="", edge_labels=None, edge_attributes=None, node_labels="0, 1\n0, 0\n0, 1\n1, 0\n0, 0\n")
    )
    assert graphs.num_edges.tolist() == [0, 0] and len(graphs.src) == 0
    assert graphs.node_types.tolist() == [1, 0, 1, 2, 0] and graphs.num_node_types == 3


def test_edges_that_are_listed_once_go_both_ways(tmp_path):
    """A set with each edge once is completed, with a note; undirected=False reads it as it is."""
    once = {"A": "4, 5\n1, 2\n2, 3\n2, 3\n", "edge_labels": "1\n0\n2\n2\n", "edge_attributes": None}
    found = read_tu(write(tmp_path, **once))
    assert found.src.tolist() == [0, 1, 1, 2, 0, 1] and found.dst.tolist() == [1, 2, 0, 1, 1, 0]
    assert found.edge_types.tolist() == [0, 2, 0, 2, 1, 1] and found.num_edges.tolist() == [4, 2]
    assert found.note.startswith(f"data.path={tmp_path}: 1 repeated edge is merged (data.repeated_edges=keep counts")
    assert "the reverse of 3 edges is added" in found.note
    directed = read_tu(tmp_path, asked=Reading(False, "keep"))
    assert directed.num_edges.tolist() == [3, 1] and directed.note.endswith(": 1 repeated edge is counted each time")
    (tmp_path / "SMALL_edge_labels.txt").write_text("1\n0\n2\n1\n")
    with pytest.raises(UserError, match="SMALL_A.txt:4: is the same edge as .*SMALL_A.txt:3, with other features"):
        read_tu(tmp_path)


def test_a_set_with_both_directions_is_read_as_it_is(tmp_path):
    """The digest is that of versions that read edges as they are listed."""
    found = read_tu(write(tmp_path))
    assert found.note is None and found.digest() == read_tu(tmp_path, asked=Reading(False, "keep")).digest()
    assert found.digest() == "e8714121fc634086"


def test_the_numbers_of_graphs(tmp_path):
    asked, attributes = Reading(target="regression"), tmp_path / "SMALL_graph_attributes.txt"
    with pytest.raises(UserError, match=r"has no file SMALL_graph_attributes.txt; allowed: the files of the TU format"):
        read_tu(write(tmp_path), asked=asked)
    attributes.write_text("0.5, 1\n-2, 3\n")
    found = read_tu(tmp_path, asked=asked)
    assert found.labels.tolist() == [[0.5, 1], [-2, 3]] and (found.target, found.class_names) == ("regression", [])
    assert found.target_names == ["0", "1"]
    attributes.write_text("0.5\n-2\n")
    assert read_tu(tmp_path, asked=asked).labels.tolist() == [0.5, -2]
    (tmp_path / "SMALL_graph_labels.txt").unlink()
    with pytest.raises(UserError, match=r"no file SMALL_graph_labels.txt; fix: data.target=regression reads"):
        read_tu(tmp_path)


def test_the_digest_changes_with_any_file(tmp_path):
    digests = {read_tu(write(tmp_path)).digest(), read_tu(write(tmp_path)).digest()}
    assert len(digests) == 1
    for part, text in {
        "A": "1, 3\n4, 5\n3, 1\n2, 3\n3, 2\n5, 4\n",
        "edge_labels": "0\n1\n0\n0\n0\n1\n",
        "graph_labels": "3\n4\n",
    }.items():
        digests.add(read_tu(write(tmp_path, **{part: text})).digest())
        write(tmp_path)
    assert len(digests) == 4


WRONG = [
    ("A", "1, 2\n2, 6\n", "SMALL_A.txt:2: an edge between the nodes 2, 6; allowed: 1 to 5"),
    ("A", "0, 2\n", "SMALL_A.txt:1: an edge between the nodes 0, 2; allowed: 1 to 5"),
    ("A", "1, 2\n2, 1\n3, 4\n", "SMALL_A.txt:3: an edge between the graphs 1 and 2; allowed: within one"),
    ("A", "1, 2\n2, 1\n3\n", "SMALL_A.txt:3: 1 numbers instead of 2; allowed: 2 whole numbers"),
    ("A", "1, 2\n2, 1, 3\n", "SMALL_A.txt:2: 3 numbers instead of 2"),
    ("A", "1, 2\n2, \n", "SMALL_A.txt:2: ''; allowed: 2 whole numbers"),
    ("A", "1, 2\n\n2, 1\n", "SMALL_A.txt:2: ''; allowed: 2 whole numbers"),
    ("A", "1, 2\n2, 1.5\n", "SMALL_A.txt:2: '1.5'; allowed: 2 whole numbers"),
    ("A", "1, 2\n2, one\n", "SMALL_A.txt:2: 'one'; allowed: 2 whole numbers"),
    ("graph_indicator", "1\n1\n1\n3\n3\n", "SMALL_graph_indicator.txt:4: graph 3; allowed: 1 to 2"),
    ("graph_indicator", "0\n1\n1\n2\n2\n", "SMALL_graph_indicator.txt:1: graph 0; allowed: 1 to 2"),
    ("graph_indicator", "1\n1\n2\n1\n2\n", "SMALL_graph_indicator.txt:4: graph 1 after graph 2; allowed: the graphs"),
    ("graph_indicator", "2\n2\n2\n2\n2\n", "SMALL_graph_indicator.txt:1: graph 2 after graph 0; allowed: the graphs"),
    ("graph_indicator", "1\n1\n1\n1\n1\n", "SMALL_graph_indicator.txt:6: the end after graph 1; allowed: the graphs"),
    ("graph_indicator", "1\n1\n1\n2\n", "SMALL_A.txt:2: an edge between the nodes 4, 5; allowed: 1 to 4"),
    ("graph_labels", "1\nyes\n", "SMALL_graph_labels.txt:2: 'yes'; allowed: whole numbers, one a line"),
    ("graph_labels", "1, 2\n3, 4\n", "SMALL_graph_labels.txt:1: 2 numbers instead of 1"),
    ("graph_labels", "", "SMALL_graph_labels.txt:1: ''; allowed: whole numbers, one a line"),
    ("node_labels", "7\n5\n7\n", "SMALL_node_labels.txt:4: 3 lines; allowed: one for each of the 5 nodes"),
    ("node_labels", "7\n5\n7\n9\n5\n5\n", "SMALL_node_labels.txt:6: 6 lines; allowed: one for each of the 5 nodes"),
    ("node_labels", "7\n5\n7\n9007199254740993\n5\n", "SMALL_node_labels.txt:4: '9007199254740993'; allowed: whole"),
    ("node_labels", "7\n5\n7\nnan\n5\n", "SMALL_node_labels.txt:4: 'nan'; allowed: whole numbers"),
    ("node_attributes", "1\n2\n3\n4\nnan\n", "SMALL_node_attributes.txt:5: 'nan'; allowed: finite numbers"),
    ("node_attributes", "1, 2\n2, 2\n3, inf\n4, 2\n5, 2\n", "SMALL_node_attributes.txt:3: 'inf'; allowed: 2 finite"),
    ("node_attributes", "1, 2\n2, 2\n3\n4, 2\n5, 2\n", "SMALL_node_attributes.txt:3: 1 numbers instead of 2"),
    ("edge_labels", "0\n1\n0\n2\n2\n", "SMALL_edge_labels.txt:6: 5 lines; allowed: one for each of the 6 edges"),
    ("edge_attributes", "0.5\n", "SMALL_edge_attributes.txt:2: 1 lines; allowed: one for each of the 6 edges"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "text", "message"), WRONG)
def test_the_first_wrong_line_is_named(tmp_path, part, text, message):
    with pytest.raises(UserError) as caught:
        read_tu(write(tmp_path, **{part: text}))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no such file; allowed: a directory with files of the TU format"):
        read_tu(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"has no file \*_A.txt; allowed: the files of one set"):
        read_tu(tmp_path)
    write(tmp_path, graph_labels=None)
    with pytest.raises(UserError, match="has no file SMALL_graph_labels.txt"):
        read_tu(tmp_path)
    (tmp_path / "OTHER_A.txt").touch()
    with pytest.raises(UserError, match=r"has 2 sets \(OTHER, SMALL\); allowed: the files of one set"):
        read_tu(tmp_path)
