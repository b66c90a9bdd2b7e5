"""Test reading a user's graph, and one line for every error in it."""

from pathlib import Path

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_csv import read_csv
from lightning_dl2.data.graph_files.own.reading import Reading

DIRECTED = Reading(undirected=False)
NODES = """\
id,label,split,height,weight
ann,red,train,1.5,2
bob,blue,val,-0.5,1e1
cy,,,0,0
"dee, the last",red,test,3,4
"""
EDGES = "src,dst\nann,bob\nbob,cy\n"


def write(directory: Path, nodes: str | bytes | None = NODES, edges: str | bytes | None = EDGES) -> Path:
    for name, text in (("nodes.csv", nodes), ("edges.csv", edges)):
        if text is not None:
            (directory / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return directory


def pairs(found) -> list[tuple[int, int]]:
    return list(zip(found.src.tolist(), found.dst.tolist(), strict=True))


def test_classes_are_in_the_order_of_their_numbers_and_of_their_names(tmp_path):
    long = "1" * 5000
    for labels, names in (
        (("10", "9", "09", "9"), ["09", "9", "10"]),
        (("b", "a", "10", "a"), ["10", "a", "b"]),
        ((long, "9", long, "10"), ["9", "10", long]),
    ):
        nodes = "id,label\n" + "".join(f"{n},{label}\n" for n, label in enumerate(labels))
        assert read_csv(write(tmp_path, nodes, "src,dst\n0,1\n")).class_names == names


def test_everything_that_the_format_has(tmp_path):
    found = read_csv(write(tmp_path))
    found.check()
    assert found.num_nodes == 4 and found.node_ids == ["ann", "bob", "cy", "dee, the last"]
    assert found.class_names == ["blue", "red"] and found.labels.tolist() == [1, 0, -1, 1]
    assert {name: nodes.tolist() for name, nodes in found.splits.items()} == {"train": [0], "val": [1], "test": [3]}
    assert found.features.tolist() == [[1.5, 2.0], [-0.5, 10.0], [0.0, 0.0], [3.0, 4.0]]
    assert pairs(found) == [(0, 1), (1, 2), (1, 0), (2, 1)] and found.edge_features is None
    assert found.src.dtype == found.labels.dtype == torch.int64 and found.features.dtype == torch.float32


def test_what_may_be_missing(tmp_path):
    found = read_csv(write(tmp_path, "id,label\n0,a\n1,b\n", "src,dst\n0,1\n"), DIRECTED)
    assert found.features is found.splits is found.edge_features is found.node_ids is None
    assert pairs(found) == [(0, 1)]


def test_columns_stand_in_any_order(tmp_path):
    found = read_csv(
        write(tmp_path, "h,label,id\n1,a,x\n2,b,y\n", "weight,dst,src\n5,x,y\n"), Reading(undirected=False)
    )
    assert found.features.tolist() == [[1.0], [2.0]] and found.labels.tolist() == [0, 1]
    assert pairs(found) == [(1, 0)] and found.edge_features.tolist() == [[5.0]]


def test_the_other_direction_is_added_where_it_is_missing(tmp_path):
    edges = "src,dst,w\na,b,1\nb,a,2\nb,c,3\nc,c,4\n"
    directory = write(tmp_path, "id,label\na,1\nb,2\nc,3\n", edges)
    found = read_csv(directory)
    assert pairs(found) == [(0, 1), (1, 0), (1, 2), (2, 2), (2, 1)]
    assert found.edge_features.flatten().tolist() == [1, 2, 3, 4, 3]
    assert pairs(read_csv(directory, DIRECTED)) == [(0, 1), (1, 0), (1, 2), (2, 2)]


def test_numbered_classes_keep_their_order(tmp_path):
    found = read_csv(write(tmp_path, "id,label\na,10\nb,2\nc,1\n", "src,dst\na,b\n"))
    assert found.class_names == ["1", "2", "10"] and found.labels.tolist() == [2, 1, 0]


def test_what_other_programs_write(tmp_path):
    r"""A byte order mark, \r
    , quotes, blanks after commas, empty lines and a missing final line end are read.
    """
    nodes = (
        b"\xef\xbb\xbfid, label, split\r\n"
        + '"a", "r\u00e9d", train\r\nb,r\u00e9d,val\r\n\r\nc,blue,test\r\n\r\n'.encode()
    )
    found = read_csv(write(tmp_path, nodes, b"src,dst\r\na, b\r\nb,c"), DIRECTED)
    assert found.class_names == ["blue", "r\u00e9d"] and found.node_ids == ["a", "b", "c"]
    assert pairs(found) == [(0, 1), (1, 2)]


def test_the_digest_changes_with_either_file(tmp_path):
    digests = [read_csv(write(tmp_path)).digest() for _ in range(2)]
    digests.append(read_csv(write(tmp_path, NODES.replace("1.5", "1.25"))).digest())
    digests.append(read_csv(write(tmp_path, NODES.replace("ann", "eve"), EDGES.replace("ann", "eve"))).digest())
    digests.append(read_csv(write(tmp_path, edges=EDGES + "cy,ann\n")).digest())
    assert digests[0] == digests[1] and len(set(digests)) == 4


WRONG_NODES = [
    ("", ": is empty; allowed: a line of column names with id and label, then rows"),
    ("\n", ": is empty; allowed"),
    ("id,label\n", ": has no rows below its column names"),
    ("id,color\nann,red\n", ":1: has no column label; allowed: id and label and columns of numbers"),
    ("name,label\nann,red\n", ":1: has no column id"),
    ("id,label,h,h\nann,red,1,2\n", ":1: has two columns h; allowed: each name once"),
    ("id,label,h\nann,red,1\nbob,blue\n", ":3: 2 cells instead of 3; allowed: one for each of id, label, h"),
    ("id,label,h\nann,red,1\nbob,blue,1,2\n", ":3: 4 cells instead of 3"),
    ("id,label,h\nann,red,1\nbob,bl", ":3: 2 cells instead of 3"),
    ('id,label\nann,red\n"bo', ":3: unexpected end of data; allowed: whole rows"),
    ("id,label,h\nann,red,tall\n", ":2: h='tall'; allowed: a finite number"),
    ("id,label,h\nann,red,1\nbob,blue,\n", ":3: h=''; allowed: a finite number"),
    ("id,label,h\nann,red,nan\n", ":2: h='nan'; allowed: a finite number"),
    ("id,label,h\nann,red,1\nbob,blue,-inf\n", ":3: h='-inf'; allowed: a finite number"),
    ("id,label,h\nann,red,1e39\n", ":2: h='1e39'; allowed: a finite number"),
    ("id,label\nann,red\nbob,red\nann,blue\n", ":4: the id ann is in line 2, too; allowed: each id once"),
    ("id,label\nann,red\n,blue\n", ":3: a node without an id"),
    ("id,label\nann,\nbob,\n", ": no node has a label"),
    ("id,label,split\nann,red,training\n", ":2: the split training; allowed: train, val, test or empty"),
    ("id,label,split\nann,red,train\nbob,,val\n", ":3: node bob of the split val has no label"),
    ("id,label,split\nann,red,train\nbob,red,val\n", ": no node has the split test; allowed: nodes of all three"),
    (b"id,label\nann,red\nbob,r\xe9d\n", ":3: is no UTF-8; allowed: UTF-8"),
    ("id,label\n\ufffd,red\n".encode() + b"bob,r\xe9d\n", ":3: is no UTF-8"),
]  # fmt: skip

WRONG_EDGES = [
    ("", ": is empty; allowed: a line of column names with src and dst, then rows"),
    ("src,dst\n", ": has no rows below its column names"),
    ("from,to\nann,bob\n", ":1: has no column src"),
    ("src,to\nann,bob\n", ":1: has no column dst"),
    ("src,dst\nann,bob\nbob,carl\n", ":3: node carl is not in nodes.csv; allowed: the ids there"),
    ("src,dst\neve,bob\n", ":2: node eve is not in nodes.csv"),
    ("src,dst\nann,bob\nbob", ":3: 1 cells instead of 2; allowed: one for each of src, dst"),
    ("src,dst,w\nann,bob,1\nbob,cy,\n", ":3: w=''; allowed: a finite number"),
    ("src,dst,w\nann,bob,nan\n", ":2: w='nan'; allowed: a finite number"),
    ('src,dst\n"ann\n,more",bob\n', ":3: node ann"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [("nodes.csv", *case) for case in WRONG_NODES] + [("edges.csv", *case) for case in WRONG_EDGES],
)
def test_the_first_wrong_line_is_named(tmp_path, file, text, message):
    with pytest.raises(UserError) as caught:
        read_csv(write(tmp_path, **{file.removesuffix(".csv"): text}))
    assert f"{tmp_path / file}{message}" in str(caught.value)
    assert "; allowed: " in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no such file; allowed: a directory with nodes.csv and edges.csv"):
        read_csv(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: is a file; allowed: a directory with nodes.csv and edges.csv"):
        read_csv(tmp_path / "file")
    with pytest.raises(UserError, match="has no file nodes.csv; allowed: nodes.csv and edges.csv"):
        read_csv(write(tmp_path, nodes=None))
    (tmp_path / "edges.csv").unlink()
    with pytest.raises(UserError, match="has no file edges.csv"):
        read_csv(write(tmp_path, edges=None))
