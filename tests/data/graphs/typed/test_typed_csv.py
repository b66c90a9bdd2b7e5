"""Test graphs of several types from CSV: columns of types, a file for each type, gaps, labels, splits, messages."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.own.readers import read_own_graph
from lightning_dl2.data.graph_files.own.reading import Features, Reading
from lightning_dl2.graphs import SparseMatrix

NODES = """id,kind,label,split,year,age,city
p1,paper,good,train,2001,,
p2,paper,bad,val,2003,,
p3,paper,good,test,2005,,
a1,author,,,,30,Rome
a2,author,,,,50,Oslo
"""
EDGES = """src,dst,relation,weight
a1,p1,writes,1
a1,p2,writes,2
a2,p3,writes,3
p2,p1,cites,
p2,p1,cites,
"""
ASKED = Reading(
    node_type="kind", edge_type="relation", features=Features(drop=["author.city"], edge_columns=[]), undirected=False
)


def write(path: Path, **files: str) -> Path:
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / f"{name.replace('__', '.')}.csv").write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def one_table(tmp_path):
    return write(tmp_path / "one", nodes=NODES, edges=EDGES)


@pytest.fixture
def files(tmp_path):
    return write(
        tmp_path / "many",
        nodes__paper="id,label,split,year\n1,good,train,2001\n2,bad,val,2003\n3,good,test,2005\n",
        nodes__author="id,age,city\n1,30,Rome\n2,50,Oslo\n",
        edges__author__writes__paper="author,paper,weight\n1,1,1\n1,2,2\n2,3,3\n",
        edges__paper__cites__paper="src,dst\n2,1\n2,1\n",
    )


def test_a_column_says_the_type(one_table):
    found = read_own_graph(one_table, ASKED)
    assert (found.node_type_names, found.edge_type_names) == (
        ["paper", "author"], ["author.writes.paper", "paper.cites.paper"],
    )  # fmt: skip
    assert found.node_types.tolist() == [0, 0, 0, 1, 1] and found.edge_types.tolist() == [0, 0, 0, 1]
    assert found.relation_ends == [[1, 0], [0, 0]] and found.target_type == 0
    assert found.feature_names == ["paper.year", "author.age"]
    assert found.features.tolist() == [[2001, 0], [2003, 0], [2005, 0], [0, 30], [0, 50]]
    assert found.labels.tolist() == [1, 0, 1, -1, -1] and found.class_names == ["bad", "good"]
    assert {name: index.tolist() for name, index in found.splits.items()} == {"train": [0], "val": [1], "test": [2]}
    assert list(zip(found.src.tolist(), found.dst.tolist(), strict=True)) == [(3, 0), (3, 1), (4, 2), (1, 0)]
    assert found.node_ids == ["p1", "p2", "p3", "a1", "a2"]
    assert "paper.cites.paper: 1 repeated edge is merged" in found.note


def test_a_file_for_each_type_is_the_same_graph(one_table, files):
    found = read_own_graph(files, replace(ASKED, node_type=None, edge_type=None))
    assert found.node_type_names == ["author", "paper"] and found.feature_names == ["author.age", "paper.year"]
    assert found.node_ids == ["author:1", "author:2", "1", "2", "3"], "ids of other types get their type before them"
    assert found.labels.tolist() == [-1, -1, 1, 0, 1] and found.splits["test"].tolist() == [4]
    assert list(zip(found.src.tolist(), found.dst.tolist(), strict=True)) == [(0, 2), (0, 3), (1, 4), (3, 2)]
    assert found.relation_ends == [[0, 1], [1, 1]]
    assert "author and paper are read as src and dst" in found.note


def test_reverses_are_relations_of_their_own_between_two_types(one_table):
    found = read_own_graph(one_table, replace(ASKED, undirected=True))
    assert found.edge_type_names == ["author.writes.paper", "paper.rev_writes.author", "paper.cites.paper"]
    assert found.edge_types.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert (found.src[3:6].tolist(), found.dst[3:6].tolist()) == ([0, 1, 2], [3, 3, 4])
    assert (found.src[6:].tolist(), found.dst[6:].tolist()) == ([1, 0], [0, 1])
    assert "the reverse of each relation is one, too (data.undirected=false does not): paper.rev_writes.author" in (
        found.note
    )
    both = EDGES + "".join(f"p{n},a{m},written_by,{n}\n" for n, m in ((1, 1), (2, 1), (3, 2)))
    (one_table / "edges.csv").write_text(both, encoding="utf-8")
    found = read_own_graph(one_table, replace(ASKED, undirected=True))
    assert found.edge_type_names == ["author.writes.paper", "paper.cites.paper", "paper.written_by.author"]
    assert "are the reverses of one another, and get none" in found.note


def test_weights_of_some_relations_and_features_of_each(one_table):
    found = read_own_graph(one_table, replace(ASKED, edge_weight="weight"))
    assert found.edge_weights.tolist() == [1, 2, 3, 1]
    assert "edges of paper.cites.paper have no weights: each gets 1" in found.note
    found = read_own_graph(one_table, replace(ASKED, features=Features(drop=["city"])))
    assert found.edge_feature_names == ["author.writes.paper.weight"] and found.edge_features.flatten().tolist() == [
        1, 2, 3, 0,
    ]  # fmt: skip


def test_gaps_kinds_and_scales_are_those_of_a_type(one_table):
    text = NODES.replace("2003", "")
    (one_table / "nodes.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"nodes.csv:3: year=''; allowed: a finite number; fix: data.features.fill"):
        read_own_graph(one_table, ASKED)
    features = Features(fill="mean", one_hot=["city"], standardize=True, edge_columns=[])
    found = read_own_graph(one_table, replace(ASKED, features=features))
    assert found.feature_names == ["paper.year", "author.age", "author.city=Oslo", "author.city=Rome"]
    assert found.preparation["fill"] == {"paper.year": 2003.0, "author.age": 40.0}
    scale = (8 / 3) ** 0.5
    torch.testing.assert_close(found.features[:3, 0], torch.tensor([-2 / scale, 0, 2 / scale]))
    assert found.features[3:].tolist() == [[0, -1, 0, 1], [0, 1, 1, 0]]
    assert "paper: 1 gaps of the column year are filled with 2003" in found.note


def test_types_without_features_are_told_and_may_learn_a_vector_for_each_node(one_table):
    bare = replace(ASKED, features=Features(columns=["year"], edge_columns=[]))
    found = read_own_graph(one_table, bare)
    assert found.features.shape == (5, 1)
    assert "nodes of author have no features: the net learns a vector for each type" in found.note
    own = read_own_graph(one_table, replace(bare, features=replace(bare.features, identity=True)))
    assert isinstance(own.features, SparseMatrix) and "a vector for each node of author" in own.note
    assert own.features.to_dense()[:, 1:].tolist() == [[0, 0]] * 3 + [[1, 0], [0, 1]]


def test_splits_of_a_file_and_several_types_with_labels(one_table):
    text = NODES.replace(",split", "").replace("train,", "").replace("val,", "").replace("test,", "")
    text = text.replace("author,,,,", "author,,,").replace("a1,author,", "a1,author,good")
    (one_table / "nodes.csv").write_text(text, encoding="utf-8")
    (one_table / "splits.csv").write_text("id,one\np3,train\np1,val\np2,test\n", encoding="utf-8")
    with pytest.raises(UserError, match="data.types.target=null: paper and author have label; allowed: paper, author"):
        read_own_graph(one_table, ASKED)
    found = read_own_graph(one_table, replace(ASKED, target_type="paper"))
    assert found.splits["train"].tolist() == [2]
    assert "author: not read, as the targets are of paper: label" in found.note


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"node_type": "sort"}, "data.types.node=sort: .*nodes.csv has no such column; allowed: id, kind, label"),
        ({"target_type": "papr"}, "data.types.target=papr: .* has no such type; did you mean paper"),
        ({"target_type": "author"}, "data.types.target=author: its nodes have no label"),
        ({"label": "grade"}, "no type of nodes has grade; fix: set data.label=NAME"),
        ({"edge_weight": "cost"}, "data.edge_weight=cost: no relation has such a column"),
        ({"features": Features(drop=["ctiy"])}, "data.features.drop=ctiy: no type of nodes has such a column"),
        ({"features": Features(degrees=True)}, "data.features.degrees=true: .* several types of edges"),
        ({"labelled": False}, "has several types, whose edges are no items; allowed: data.level=node"),
        ({"split_index": 1}, "data.split_index=1: .* has no splits.csv; allowed: 0"),
    ],
)
def test_what_is_wrong_is_one_line(one_table, change, message):
    with pytest.raises(UserError, match=message):
        read_own_graph(one_table, replace(ASKED, **change))


def test_wrong_files_are_one_line(files, one_table):
    plain = replace(ASKED, node_type=None, edge_type=None)
    with pytest.raises(UserError, match=r"data.types.node=kind: .* has a file for each type; allowed: null"):
        read_own_graph(files, ASKED)
    write(files, edges__author__writes__paper="src,dst\n1,7\n")
    with pytest.raises(UserError, match="edges.author.writes.paper.csv:2: node 7 is not in nodes.paper.csv"):
        read_own_graph(files, plain)
    write(files, edges__author__writes__papr="src,dst\n1,1\n")
    with pytest.raises(UserError, match=r"there is no nodes.papr.csv; did you mean paper"):
        read_own_graph(files, plain)
    (files / "edges.author.writes.papr.csv").rename(files / "edges.author.writes.csv")
    with pytest.raises(UserError, match=r"edges.author.writes.csv: is of no type; allowed: nodes.TYPE.csv and edges"):
        read_own_graph(files, plain)
    (files / "edges.author.writes.csv").rename(files / "edges.csv")
    with pytest.raises(UserError, match=r"edges.csv: stands beside a file of one type"):
        read_own_graph(files, plain)
    (one_table / "nodes.csv").write_text(NODES.replace("a2,author", "a2,"), encoding="utf-8")
    with pytest.raises(UserError, match=r"nodes.csv:6: kind=''; allowed: the name of a type"):
        read_own_graph(one_table, ASKED)


def test_one_type_of_nodes_may_have_many_relations(one_table):
    found = read_own_graph(one_table, replace(ASKED, node_type=None, features=Features(columns=[], edge_columns=[])))
    assert found.node_type_names == ["node"] and found.edge_type_names == ["node.cites.node", "node.writes.node"]
    assert found.node_ids == ["p1", "p2", "p3", "a1", "a2"] and found.features is None
