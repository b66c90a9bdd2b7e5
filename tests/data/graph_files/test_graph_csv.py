"""Test reading a user's graph, and one line for every error in it."""

from pathlib import Path

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_csv import read_csv
from lightning_dl2.data.graph_files.own.readers import read_own_graph
from lightning_dl2.data.graph_files.own.reading import PLAIN, Features, Reading

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


REPEATED = "src,dst\na,b\na,b\nb,a\nb,c\nc,d\n"
FOUR = "id,label\na,x\nb,y\nc,x\nd,y\n"


@pytest.mark.parametrize(
    ("asked", "found", "told"),
    [
        (PLAIN, "ab ba bc cd cb dc", "1 repeated edge is merged (data.repeated_edges=keep counts each)"),
        (DIRECTED, "ab ba bc cd", "1 repeated edge is merged"),
        (Reading(repeated_edges="keep"), "ab ab ba bc cd ba cb dc", "1 repeated edge is counted each time"),
        (Reading(False, "keep"), "ab ab ba bc cd", "1 repeated edge is counted each time"),
    ],
)
def test_a_repeated_edge_is_one_edge_unless_repeats_count(tmp_path, asked, found, told):
    """A repeated edge is one edge both ways, with a note; kept ones count the same in both directions."""
    read = read_csv(write(tmp_path, FOUR, REPEATED), asked)
    assert [f"{read.node_ids[one]}{read.node_ids[other]}" for one, other in pairs(read)] == found.split()
    assert told in read.note and read.note.startswith(f"data.path={tmp_path}: ") and "\n" not in read.note
    added = 3 if asked.repeated_edges == "keep" else 2
    assert (f"the reverse of {added} edges is added (data.undirected=false does not)" in read.note) == asked.undirected


def test_repeated_edges_with_other_features_are_refused_or_kept(tmp_path):
    edges = "src,dst,w,t\na,b,1,5\nb,a,2,5\na,b,1,6\n"
    with pytest.raises(UserError) as caught:
        read_csv(write(tmp_path, FOUR, edges))
    says = "edges.csv:4: is the same edge as {}/edges.csv:2, with other features; fix: list it once"
    assert says.format(tmp_path) in str(caught.value)
    merged = read_csv(tmp_path, Reading(features=Features(edge_columns=["w"])))
    assert pairs(merged) == [(0, 1), (1, 0)] and merged.edge_features.tolist() == [[1], [2]]
    assert "columns of edges that are not read: t" in merged.note
    kept = read_csv(tmp_path, Reading(repeated_edges="keep"))
    assert pairs(kept) == [(0, 1), (1, 0), (0, 1), (1, 0)] and kept.edge_features[:, 1].tolist() == [5, 5, 6, 6]


def labelled(directory: Path, *labels: str) -> Path:
    rows = "".join(f'{number},"{label}"\n' for number, label in enumerate(labels))
    return write(directory, f"id,label\n{rows}", "src,dst\n0,1\n")


def test_what_says_that_nothing_is_known_is_no_class(tmp_path):
    found = read_csv(labelled(tmp_path, "x", "nan", "NA", "None", "null", "", "NaN", "y"))
    assert found.class_names == ["x", "y"] and found.labels.tolist() == [0, -1, -1, -1, -1, -1, -1, 1]
    assert "5 labels are unknown (NA, NaN, None, nan, null)" in found.note


def test_equal_numbers_are_one_class(tmp_path):
    found = read_csv(labelled(tmp_path, "1", "1.0", "2", "10.0"))
    assert found.class_names == ["1", "2", "10"] and found.labels.tolist() == [0, 0, 1, 2]
    assert "the label 1.0 is read as 1" in found.note
    assert read_csv(labelled(tmp_path, "-1", "1", "-1")).class_names == ["-1", "1"]


WRONG_LABELS = {
    ":2: the label is a number with a fraction, which is no class; fix: data.target=regression": "0.31 0.52 0.44 0.71",
    ":3: the label is a number with a fraction": "1 2.5 2",
    ":2: the labels are 12 different numbers of 12 nodes, which are hardly classes": " ".join(map(str, range(12))),
    ":3: the label 0,1 is several labels; fix: give a column of 0 and 1 for each, with data.labels=[": "0 0,1 1",
    ":2: the label [0; 1] is several labels": "[0;_1] 1 0",
    ":4: the label red|blue is several labels": "red blue red|blue",
}


@pytest.mark.parametrize("says", WRONG_LABELS)
def test_numbers_and_lists_are_no_classes(tmp_path, says):
    with pytest.raises(UserError) as caught:
        read_csv(labelled(tmp_path, *(label.replace("_", " ") for label in WRONG_LABELS[says].split())))
    assert f"nodes.csv{says}" in str(caught.value) and "\n" not in str(caught.value)
    assert read_csv(labelled(tmp_path, "a,b", "c,d", "a")).class_names == ["a", "a,b", "c,d"]  # a name with a comma


def test_another_column_of_labels(tmp_path):
    found = read_csv(write(tmp_path, "id,x,kind\na,1,p\nb,2,q\n", "src,dst\na,b\n"), Reading(label="kind"))
    assert found.class_names == ["p", "q"] and found.feature_names == ["x"]
    with pytest.raises(UserError, match="nodes.csv:1: has no column label"):
        read_csv(tmp_path)


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
@pytest.mark.parametrize("file", ["nodes.csv", "edges.csv"])
def test_the_index_of_pandas_is_refused(tmp_path, file, name):
    nodes, edges = f"{name},id,label\n0,a,x\n1,b,y\n", f"{name},src,dst\n0,a,b\n"
    write(tmp_path, nodes if file == "nodes.csv" else FOUR, edges if file == "edges.csv" else REPEATED)
    with pytest.raises(UserError, match=f"{file}:1: column 1 is .*the index of pandas; fix: leave it out .to_csv"):
        read_csv(tmp_path)


def test_a_column_that_counts_the_nodes_is_told(tmp_path):
    found = read_csv(write(tmp_path, "id,label,no\na,x,5\nb,y,6\nc,x,7\n", "src,dst\na,b\n"))
    assert "the column no counts the nodes, and is a feature (data.features.drop=[no] leaves it out)" in found.note


@pytest.mark.parametrize(("mark", "suffix"), [(";", ".csv"), ("\t", ".tsv"), ("\t", ".txt")])
def test_other_separators(tmp_path, mark, suffix):
    for name, text in (("nodes", NODES.replace('"dee, the last"', "dee")), ("edges", EDGES)):
        (tmp_path / f"{name}{suffix}").write_text(text.replace(",", mark))
    found = read_csv(tmp_path)
    assert found.node_ids == ["ann", "bob", "cy", "dee"] and found.features.shape == (4, 2) and len(found.src) == 4
    assert f"its cells are separated by {'semicolons' if mark == ';' else 'tabs'}" in found.note


@pytest.mark.parametrize(
    ("edges", "told"),
    [
        ("a,b,2\nb,c,3\n", "edges.csv: there are no column names, and the first two columns are read as src and dst"),
        ("# of SNAP\na\tb\t2\nb\tc\t3\n", "edges.csv: 1 line of comment is not read"),
        ("weight,Source,Target\n2,a,b\n3,b,c\n", "edges.csv: Source and Target are read as src and dst"),
    ],
)
def test_lists_of_edges_of_other_programs(tmp_path, edges, told):
    """A missing line of names is told, a pair of names of other programs, and comments."""
    found = read_csv(write(tmp_path, FOUR, edges), DIRECTED)
    assert pairs(found) == [(0, 1), (1, 2)] and found.edge_features.tolist() == [[2], [3]] and told in found.note
    weighted = read_csv(tmp_path, Reading(False, edge_weight="weight"))
    assert weighted.edge_weights.tolist() == [2, 3] and weighted.edge_features is None


def test_one_file(tmp_path):
    """One file is a list of edges, or has the neighbours of each node."""
    file = tmp_path / "graph.txt"
    file.write_text("% of KONECT\n10 2\n2 7\n")
    found = read_csv(file)
    assert found.node_ids == ["2", "7", "10"] and pairs(found) == [(2, 0), (0, 1), (0, 2), (1, 0)]
    assert found.class_names == [] and found.labels.tolist() == [-1] * 3 and found.features is None
    file.write_text("id;label;neighbors;x\na;1;b c;5\nb;2;a;3\nc;1;;4\n")
    found = read_csv(file)
    assert pairs(found) == [(0, 1), (0, 2), (1, 0), (2, 0)] and found.features.flatten().tolist() == [5, 3, 4]
    for text, says in (
        ("id,label,neighbors\na,1,c\n", ":2: neighbors: node c is no id"),
        ("id,label\na,1\n", ":1: has no column neighbors, which one file of nodes needs"),
        ("begin,end\na,b\n", ":1: has no column src"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=f"{file}{says}"):
            read_csv(file)


def test_splits_in_a_file_of_their_own(tmp_path):
    write(tmp_path, FOUR, REPEATED)
    splits = tmp_path / "splits.csv"
    splits.write_text("id,s0,s1\nd,train,test\na,val,train\nb,test,val\n")
    expected = [{"train": [3], "val": [0], "test": [1]}, {"train": [0], "val": [1], "test": [3]}]
    for index in (0, 1):
        found = read_csv(tmp_path, Reading(split_index=index))
        assert {name: nodes.tolist() for name, nodes in found.splits.items()} == expected[index]
        assert f"splits.csv has 2 splits, of which s{index} is read (data.split_index)" in found.note
        assert "1 nodes have no row in splits.csv, and are in no split" in found.note
    for text, asked, says in (
        ("id,s0\na,train\n", Reading(split_index=1), "data.split_index=1: .* has 1 splits; allowed: 0 to 0"),
        ("id,s0\ne,train\n", PLAIN, "splits.csv:2: node e is not in nodes.csv"),
        ("id,s0\na,train\na,val\n", PLAIN, "splits.csv:3: the id a is in line 2, too"),
        ("id,s0\na,training\n", PLAIN, "splits.csv:2: the split training; allowed: train, val, test or empty"),
        ("node,s0\na,train\n", PLAIN, "splits.csv:1: has the columns node, s0; allowed: id, and a column"),
    ):
        splits.write_text(text)
        with pytest.raises(UserError, match=says):
            read_csv(tmp_path, asked)
    splits.unlink()
    with pytest.raises(UserError, match="data.split_index=1: .* has no splits.csv; allowed: 0"):
        read_csv(tmp_path, Reading(split_index=1))


COLUMNS = "id,label,city,age,height,born\na,x,Rome,30,1.5,2001-01-02\nb,y,,NA,1.7,2001-01-03\nc,x,Oslo,50,1.6,\n"


def test_columns_are_chosen_filled_and_counted(tmp_path):
    """Columns are features as asked: numbers with gaps, and texts that each become a feature."""
    write(tmp_path, COLUMNS, "src,dst\na,b\n")
    asked = Features(drop=["born"], one_hot=["city"], fill="mean")
    found = read_csv(tmp_path, Reading(features=asked))
    assert found.feature_names == ["age", "height", "city=Oslo", "city=Rome"]
    assert torch.allclose(found.features, torch.tensor([[30, 1.5, 0, 1], [40, 1.7, 0, 0], [50, 1.6, 1, 0]]))
    for told in ("1 gaps of the column age are filled with 40", "1 gaps of the column city are no kind"):
        assert told in found.note
    assert read_csv(tmp_path, Reading(features=Features(["height"]))).feature_names == ["height"]
    both = Features(["age", "city"], one_hot=["city"], fill="median", standardize=True, degrees=True)
    found = read_own_graph(tmp_path, Reading(features=both), "graph_csv")
    assert found.feature_names == ["age", "city=Oslo", "city=Rome", "log(1 + in-degree)"]
    assert found.features[:, 1].tolist() == [0, 0, 1]  # of 0 and 1: it stays
    assert torch.allclose(found.features[:, [0, 3]].mean(0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(found.features[:, [0, 3]].std(0, correction=0), torch.ones(2), atol=1e-6)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Features(), ":2: city='Rome'; allowed: a finite number; fix: data.features.one_hot=[city] or data.features.d"),
        (Features(drop=["city", "born"]), ":3: age='NA'; allowed: a finite number; fix: data.features.fill=mean"),
        (Features(columns=["age", "weight"]), "data.features.columns=weight: .* has no such column of features; allow"),
        (Features(columns=["label"]), "data.features.columns=label: .*; allowed: city, age, height, born"),
        (Features(one_hot=["town"]), "data.features.one_hot=town: "),
        (Features(drop=["born"], one_hot=["city"]), ":3: age='NA'"),
        (Features(["city"], one_hot=["city"]), ":3: city=''; allowed: a text; fix: data.features.fill=zero"),
    ],
)
def test_columns_that_cannot_be_features(tmp_path, asked, says):
    with pytest.raises(UserError, match=says.replace("[", r"\[")):
        read_csv(write(tmp_path, COLUMNS, "src,dst\na,b\n"), Reading(features=asked))


def test_weights_of_edges(tmp_path):
    write(tmp_path, FOUR, "src,dst,weight,t\na,b,2,1\na,b,2,1\nb,c,0.5,1\n")
    found = read_csv(tmp_path, Reading(edge_weight="weight"))
    assert found.edge_weights.tolist() == [2, 0.5, 2, 0.5] and found.edge_features.tolist() == [[1]] * 4
    assert found.digest() != read_csv(tmp_path).digest()
    for name, text, says in (
        ("w", "1", "data.edge_weight=w: .* has no such column; allowed: weight"),
        ("weight", "-1", ":2: weight=-1; allowed: a weight of 0 or more"),
        ("weight", "", ":2: weight=''; allowed: a finite number"),
    ):
        (tmp_path / "edges.csv").write_text(f"src,dst,weight\na,b,{text}\n")
        with pytest.raises(UserError, match=says):
            read_csv(tmp_path, Reading(edge_weight=name))


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
    ("begin,end\nann,bob\n", ":1: has no column src"),
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
    with pytest.raises(
        UserError, match="there is no such file; allowed: .* or a directory with nodes.csv and edges.csv"
    ):
        read_csv(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: is a file; allowed: a file .csv, .tsv, .txt or a directory with n"):
        read_csv(tmp_path / "file")
    with pytest.raises(UserError, match="has no file nodes.csv; allowed: nodes.csv and edges.csv"):
        read_csv(write(tmp_path, nodes=None))
    (tmp_path / "edges.csv").unlink()
    with pytest.raises(UserError, match="has no file edges.csv"):
        read_csv(write(tmp_path, edges=None))


TARGETS = {"income": "10.5 ,20,nan,1e3,-2".split(","), "age": "1,0,True,NA,".split(",")}


def write_targets(directory: Path, **columns: list[str]) -> Path:
    """Write a path of five nodes with a feature x and these columns."""
    directory.mkdir()
    header = ["id", "x", *columns]
    rows = [[f"n{node}", str(node), *cells] for node, cells in enumerate(zip(*columns.values(), strict=True))]
    (directory / "nodes.csv").write_text("\n".join(map(",".join, [header, *rows])) + "\n")
    (directory / "edges.csv").write_text("src,dst\n" + "".join(f"n{node},n{node + 1}\n" for node in range(4)))
    return directory


def test_numbers_and_labels_are_read_with_their_gaps(tmp_path):
    path = write_targets(tmp_path / "g", **TARGETS)
    one = read_csv(path, Reading(label="income", target="regression", features=Features(drop=["age"])))
    assert (one.target, one.target_names, one.class_names) == ("regression", ["income"], [])
    assert one.labels.nan_to_num(nan=7.0).tolist() == [10.5, 20, 7, 1000, -2] and one.feature_names == ["x"]
    assert "; unknown: income of 1 nodes;" in one.note and one.known().tolist() == [True, True, False, True, True]
    labels = read_csv(path, Reading(label="age", target="multilabel", features=Features(drop=["income"])))
    assert labels.labels.shape == (5, 1) and labels.labels[:, 0].nan_to_num(nan=7.0).tolist() == [1, 0, 1, 7, 7]
    other = write_targets(tmp_path / "h", a=["1", "0", "", "", "1"], b=["0.5", "", "NaN", "2", "3"])
    both = read_csv(other, Reading(labels=["b", "a"], target="regression"))
    assert both.target_names == ["b", "a"] and both.known().tolist() == [True, True, False, True, True]
    assert both.labels.nan_to_num(nan=7.0).tolist() == [[0.5, 1], [7, 0], [7, 7], [2, 7], [3, 1]]
    assert "unknown: b of 2 nodes, a of 2 nodes" in both.note and both.features.shape == (5, 1)
    classes = read_csv(other, Reading(label="b", target="classification", features=Features(drop=["a"])))
    assert classes.target == "classification" and len(classes.class_names) == 3


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"labels": ["a", "b"]}, "data.labels=['a', 'b']: several columns are no class; fix: data.target=regression"),
        ({"label": "a", "target": "regression"}, "nodes.csv:4: a='big'; allowed: a finite number"),
        ({"labels": ["b"], "target": "regression"}, "nodes.csv:3: b='inf'; allowed: a finite number"),
        ({"labels": ["b"], "target": "multilabel"}, "nodes.csv:2: b='0.5'; allowed: 0 or 1, or empty for unknown"),
        ({"labels": ["b", "c"], "target": "regression"}, "nodes.csv:1: has no column c; allowed: id and b and c"),
    ],
)
def test_targets_of_another_kind_are_one_line(tmp_path, asked, says):
    path = write_targets(tmp_path / "g", a=["1", "2", "big", "4", "5"], b=["0.5", "inf", "1", "0", "1"])
    with pytest.raises(UserError) as error:
        read_csv(path, Reading(**asked, features=Features(columns=["x"])))
    assert says in str(error.value) and "\n" not in str(error.value)
