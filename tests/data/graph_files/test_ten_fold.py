"""Test reading MUTAG and PROTEINS with their folds, and every possible wrong line."""

import os
from pathlib import Path

import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.ten_fold import read_ten_fold
from tests.graph_files import REAL, needs

# A triangle whose edges stand in one direction or twice, and a node with a self-loop; two attributes.
SMALL = "2\n3 4\n0 2 1 2 0.5 -1\n5 1 2 1.5 0\n0 0 2.5 0\n1 -1\n9 1 0 3 1e-3\n"


def write(directory: Path, text: str = SMALL, folds: dict[str, str] | None = None) -> Path:
    (directory / "SMALL.txt").write_text(text)
    if folds is not None:
        (directory / "10fold_idx").mkdir(exist_ok=True)
        for name, numbers in folds.items():
            (directory / "10fold_idx" / f"{name}.txt").write_text(numbers)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "graphs", "nodes", "edges", "classes", "types", "tested"),
    [
        pytest.param("MUTAG", 188, 3371, 7442, [63, 125], 7, 180, marks=needs("mutag")),
        pytest.param("PROTEINS", 1113, 43471, 162088, [663, 450], 3, 1110, marks=needs("proteins")),
    ],
)
def test_the_sets_of_the_field(name, graphs, nodes, edges, classes, types, tested):
    """All folds have the same size, so 8 graphs of MUTAG and 3 of PROTEINS are in no test fold."""
    found = read_ten_fold(REAL / name.lower() / f"{name}.txt")
    found.check()
    assert (len(found), int(found.num_nodes.sum()), len(found.src)) == (graphs, nodes, edges)
    assert found.num_edges.sum() == edges and found.labels.bincount().tolist() == classes
    assert found.num_node_types == types and found.node_types.max() == types - 1 and found.node_features is None
    assert len(found.folds) == 10
    tests = [test.tolist() for _, test in found.folds]
    assert {len(test) for test in tests} == {tested // 10} and len(set().union(*tests)) == tested
    for train, test in found.folds:
        assert len(train) + len(test) == graphs and not set(train.tolist()) & set(test.tolist())


@needs("mutag")
def test_the_first_graph_of_mutag():
    """The first graph equals the file's lines: 23 nodes, of which node 20 has tag 5 and neighbours 6, 21 and 22."""
    found = read_ten_fold(REAL / "mutag")
    assert found.class_names == ["0", "2"] and found.labels[0] == 1
    assert found.num_nodes[0] == 23 and found.num_edges[0] == 54
    src, dst = found.src[:54], found.dst[:54]
    assert dst[src == 20].tolist() == [6, 21, 22] and dst[src == 0].tolist() == [1, 13]
    assert found.node_types[:23].bincount().tolist() == [0, 0, 20, 0, 0, 1, 2]


def test_edges_are_made_symmetric_and_attributes_follow_the_neighbours(tmp_path):
    found = read_ten_fold(write(tmp_path))
    assert found.src.tolist() == [0, 0, 1, 1, 2, 2, 0] and found.dst.tolist() == [1, 2, 0, 2, 0, 1, 0]
    assert found.num_nodes.tolist() == [3, 1] and found.num_edges.tolist() == [6, 1]
    assert found.class_names == ["-1", "4"] and found.labels.tolist() == [1, 0]
    assert found.node_types.tolist() == [0, 1, 0, 2] and found.num_node_types == 3
    assert found.node_features.tolist() == [[0.5, -1.0], [1.5, 0.0], [2.5, 0.0], [3.0, pytest.approx(1e-3)]]
    assert found.folds is None and found.src.dtype == torch.int64 and found.node_features.dtype == torch.float32


def test_the_digest_changes_with_the_file_and_the_folds(tmp_path):
    digests = [read_ten_fold(write(tmp_path)).digest() for _ in range(2)]
    digests.append(read_ten_fold(write(tmp_path, SMALL.replace("3 4", "3 5"))).digest())
    digests.append(read_ten_fold(write(tmp_path, folds={"train_idx-1": "0\n", "test_idx-1": "1\n"})).digest())
    assert digests[0] == digests[1] and len(set(digests)) == 3


WRONG = [
    ("", ":1: 0 numbers; allowed: 1, the number of graphs"),
    ("two\n", ":1: 'two'; allowed: whole numbers"),
    ("0\n", ":1: 0 graphs; allowed: at least one"),
    ("1\n", ":2: the file ends before the nodes and the label of graph 0 of 1; allowed: a whole file"),
    ("1\n2\n0 0\n0 0\n", ":2: 1 numbers; allowed: 2, the nodes and the label of graph 0 of 1"),
    ("1\n0 1\n", ":2: a graph of 0 nodes; allowed: at least one"),
    ("1\n3 1\n0 0\n0 0\n", ":5: the file ends within graph 0; allowed: its 3 nodes"),
    ("2\n1 1\n0 0\n", ":4: the file ends before the nodes and the label of graph 1 of 2"),
    ("1\n2 1\n0 1 1\n0 2 1\n", ":4: 3 numbers; allowed: tag, number of neighbours, neighbours"),
    ("1\n2 1\n0 1 1 0.5\n0 1 0\n", ":4: 3 numbers; allowed: tag, number of neighbours, neighbours, 1 attributes"),
    ("1\n2 1\n0 3 1\n0 0\n", ":3: 3 numbers; allowed: tag, number of neighbours, neighbours"),
    ("1\n2 1\n0\n0 0\n", ":3: 1 numbers; allowed: tag"),
    ("1\n2 1\n0 -1\n0 0\n", ":3: 2 numbers; allowed: tag"),
    ("1\n2 1\n99999999999999999999 0\n0 0\n", ":3: '99999999999999999999 0'; allowed: whole numbers"),
    ("1\n2 " + "9" * 5000 + "\n0 0\n0 0\n", ":2: '2 9999"),
    ("1\n2 1\nx 0\n0 0\n", ":3: 'x 0'; allowed: whole numbers"),
    ("1\n2 1\n0 1 2\n0 0\n", ":3: neighbour 2; allowed: 0 to 1"),
    ("1\n2 1\n0 1 -1\n0 0\n", ":3: neighbour -1; allowed: 0 to 1"),
    ("1\n1 1\n0 0 nan\n", ":3: 'nan'; allowed: finite numbers as attributes"),
    ("1\n1 1\n0 0 abc\n", ":3: 'abc'; allowed: finite numbers as attributes"),
    ("1\n1 1\n0 0\n0 0\n", ":4: more lines after the last graph; allowed: 1 graphs, as in line 1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_the_first_wrong_line_is_named(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        read_ten_fold(write(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path}/SMALL.txt{message}") and "\n" not in str(caught.value)


def test_what_a_fold_trains_on_and_what_it_tests_on(tmp_path):
    three = "3\n1 0\n0 0\n1 1\n0 0\n1 0\n0 0\n"
    files = {"train_idx-1": "2\n0\n", "test_idx-1": "1\n", "train_idx-2": "1\n", "test_idx-2": "0\n2\n"}
    folds = read_ten_fold(write(tmp_path, three, files)).folds
    assert [(train.tolist(), test.tolist()) for train, test in folds] == [([2, 0], [1]), ([1], [0, 2])]


WRONG_FOLDS = [
    ({"test_idx-1": "1\n"}, "has no file train_idx-1.txt; allowed: one for each of 1 folds"),
    ({"train_idx-1": "0\n", "test_idx-1": "2\n"}, "test_idx-1.txt:1: '2'; allowed: a graph, 0 to 1"),
    ({"train_idx-1": "0\n", "test_idx-1": "9" * 5000}, "test_idx-1.txt:1: '9999"),
    ({"train_idx-1": "0\nx\n", "test_idx-1": "1\n"}, "train_idx-1.txt:2: 'x'; allowed: a graph, 0 to 1"),
    ({"train_idx-1": "0\n1\n", "test_idx-1": "1\n"}, "fold 1 has 2 + 1 graphs; allowed: each of the 2 once"),
    ({"train_idx-1": "0\n", "test_idx-1": "0\n"}, "fold 1 has 1 + 1 graphs; allowed: each of the 2 once"),
]  # fmt: skip


@pytest.mark.parametrize(("folds", "message"), WRONG_FOLDS)
def test_folds_that_do_not_fit(tmp_path, folds, message):
    with pytest.raises(UserError) as caught:
        read_ten_fold(write(tmp_path, folds=folds))
    assert message in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(
        UserError, match="there is no such file; allowed: a text file of DGCNN's format or a directory with one"
    ):
        read_ten_fold(tmp_path / "nothing.txt")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(
        UserError, match="fifo: is a FIFO; allowed: a text file of DGCNN's format or a directory with one"
    ):
        read_ten_fold(tmp_path / "fifo")
    with pytest.raises(UserError, match="has 0 text files; allowed: one"):
        read_ten_fold(tmp_path)
    (tmp_path / "OTHER.txt").touch()
    with pytest.raises(UserError, match=r"has 2 text files \(OTHER.txt, SMALL.txt\); allowed: one"):
        read_ten_fold(write(tmp_path))
