"""Test reading Cora, and small, odd or damaged files of the same format."""

import os
import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.planetoid import PARTS, read_planetoid
from tests.graph_files import REAL, csr_matrix, dump, needs, write_planetoid

CORA = REAL / "cora"


@pytest.fixture
def small(tmp_path):
    """Return `small(name, **changes)`, which writes a Planetoid set of 7 nodes as scipy would.

    x, y: nodes 0 and 1. allx, ally: nodes 0 to 3. tx, ty: node 6, then node 4. Node 5 is isolated, as in Citeseer.
    """

    def write(name: str = "citeseer", **changes) -> Path:
        allx = [[1, 0, 0], [0, 2, 0], [0, 0, 0], [1, 0, 3]]
        ally = np.array([[1, 0], [0, 1], [0, 1], [1, 0]])
        content = {
            "x": csr_matrix(allx[:2]),
            "y": ally[:2],
            "tx": csr_matrix([[0, 6, 0], [4, 0, 4]]),
            "ty": np.array([[0, 1], [1, 0]]),
            "allx": csr_matrix(allx),
            "ally": ally,
            # 0-1 in both directions, 1-2 in one, 3-6 twice, 4-4 a self-loop
            "graph": defaultdict(list, {0: [1], 1: [0, 2], 2: [], 3: [6, 6], 4: [4], 5: [], 6: [3]}),
        } | changes
        for part, value in content.items():
            if part != "test_index":
                dump(value, tmp_path / f"ind.{name}.{part}")
        (tmp_path / f"ind.{name}.test.index").write_text(changes.get("test_index", "6\n4\n"))
        return tmp_path

    return write


@needs("cora")
def test_cora():
    cora = read_planetoid(CORA, "Cora")
    cora.check()
    assert cora.num_nodes == 2708 and len(cora.src) == len(cora.dst) == 10556
    assert cora.features.shape == (2708, 1433) and cora.features.nnz == 49216
    assert {float(value) for value in cora.features.values.unique()} == {1.0}
    assert cora.labels.bincount().tolist() == [351, 217, 418, 818, 426, 298, 180]
    assert cora.class_names[2] == "Genetic_Algorithms" and len(cora.class_names) == 7
    assert cora.splits["train"].tolist() == list(range(140))
    assert cora.labels[:140].bincount().tolist() == [20] * 7
    assert cora.splits["val"].tolist() == list(range(140, 640))
    assert cora.splits["test"].tolist() == list(range(1708, 2708))
    edges = set(zip(cora.src.tolist(), cora.dst.tolist(), strict=True))
    assert len(edges) == 10556 and all((v, u) in edges and u != v for u, v in edges)
    assert cora.src.dtype == cora.labels.dtype == torch.int64 and cora.features.dtype == torch.float32
    assert cora.src.diff().min() >= 0


@pytest.mark.slow
@needs("cora")
def test_cora_is_what_dgl_makes_of_it():
    """Cora equals DGL's Cora, node by node, by an independent reading with scipy."""
    scipy = pytest.importorskip("scipy.sparse")
    parts = {
        part: pickle.loads((CORA / f"ind.cora.{part}").read_bytes(), encoding="latin1")
        for part in ("allx", "tx", "ally", "ty")
    }
    test = np.loadtxt(CORA / "ind.cora.test.index", np.int64)
    words = scipy.vstack((parts["allx"], parts["tx"])).tolil()
    words[test, :] = words[np.sort(test), :]
    classes = np.vstack((parts["ally"], parts["ty"]))
    classes[test] = classes[np.sort(test)]
    cora = read_planetoid(CORA, "cora")
    assert (cora.features.to_dense().numpy() == words.toarray()).all()
    assert (cora.labels.numpy() == classes.argmax(1)).all()


@pytest.mark.parametrize("part", [part for part in PARTS if part not in ("x", "test.index")])
def test_a_file_cut_short(tmp_path, part):
    path = write_planetoid(tmp_path) / f"ind.cora.{part}"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=f"data.path={path}: is damaged or no Planetoid file") as caught:
        read_planetoid(tmp_path, "cora")
    assert "\n" not in str(caught.value)


def test_rows_of_tx_belong_to_the_nodes_of_test_index(small):
    found = read_planetoid(small(), "Citeseer")
    assert found.num_nodes == 7
    assert found.features.to_dense().tolist() == [
        [1, 0, 0], [0, 2, 0], [0, 0, 0], [1, 0, 3], [4, 0, 4], [0, 0, 0], [0, 6, 0],
    ]  # fmt: skip
    assert found.labels.tolist() == [0, 1, 1, 0, 0, -1, 1]
    assert {name: nodes.tolist() for name, nodes in found.splits.items()} == {
        "train": [0, 1],
        "val": [2, 3],
        "test": [4, 6],
    }
    assert found.class_names == ["0", "1"]  # not the six of Citeseer


def test_edges_stand_in_both_directions_once_and_without_self_loops(small):
    found = read_planetoid(small(), "citeseer")
    assert list(zip(found.src.tolist(), found.dst.tolist(), strict=True)) == [
        (0, 1),
        (1, 0),
        (1, 2),
        (2, 1),
        (3, 6),
        (6, 3),
    ]


def test_the_digest_changes_with_the_files(small):
    before = read_planetoid(small(), "citeseer").digest()
    assert read_planetoid(small(), "citeseer").digest() == before
    assert read_planetoid(small(ty=np.array([[1, 0], [1, 0]])), "citeseer").digest() != before


def test_a_pickle_that_runs_a_command_is_refused(small, tmp_path):
    class Command:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/marker",)

    directory = small(graph=Command())
    with pytest.raises(
        UserError, match="ind.citeseer.graph: is no Planetoid file: it asks for (posix|nt).system; allowed"
    ):
        read_planetoid(directory, "citeseer")
    assert not (tmp_path / "marker").exists()


WRONG = [
    ({"test_index": "6\nfour\n"}, "ind.citeseer.test.index:2: 'four'; allowed: the number of a node"),
    ({"test_index": "6\n6\n"}, "test.index: has node 6 twice"),
    ({"test_index": ""}, "test.index: is empty"),
    ({"test_index": "6\n3\n"}, "test.index: has node 3; allowed: from 4 on"),
    ({"test_index": "6\n4\n5\n"}, "ind.citeseer.ty: has 2 rows; allowed: 3, as test.index"),
    ({"ally": np.eye(2)}, "ind.citeseer.ally: has 2 rows; allowed: 4, as allx"),
    ({"ty": [1, 2]}, "ind.citeseer.ty: holds no matrix of labels"),
    ({"graph": {0: [7]}}, "ind.citeseer.graph: has node 7; allowed: 0 to 6"),
    ({"graph": {0: [-1]}}, "ind.citeseer.graph: has node -1; allowed: 0 to 6"),
    ({"graph": [1, 2]}, "ind.citeseer.graph: holds no lists of neighbours"),
    ({"graph": {0: ["a"]}}, "ind.citeseer.graph: holds no lists of neighbours"),
    ({"graph": {0: [[1, 2]]}}, "ind.citeseer.graph: holds no lists of neighbours"),
    ({"allx": np.eye(4)}, "ind.citeseer.allx: holds no sparse matrix"),
    ({"test_index": "6\n" + "9" * 5000}, "ind.citeseer.test.index:2: '9999"),
    ({"test_index": f"6\n{10**17}\n"}, f"ind.citeseer.graph: is of 7 nodes; allowed: {10**17 + 1}, as test.index"),
    ({"graph": {0: [1]}}, "ind.citeseer.graph: is of 1 nodes; allowed: 7, as test.index"),
    ({"y": np.eye(2)[:0]}, "ind.citeseer.y: has 0 rows; allowed: 1 to 3, fewer than ally"),
    ({"y": np.ones((9, 2))}, "ind.citeseer.y: has 9 rows; allowed: 1 to 3, fewer than ally"),
    ({"y": np.eye(2)[[1]]}, "ind.citeseer.y: is not the beginning of ally; allowed: its first rows"),
    ({"ty": np.eye(3)[:2]}, "ind.citeseer.ty: is of 3 classes; allowed: 2, as ally"),
    ({"ty": np.array([[0, 0], [1, 0]])}, "node 6 of the split test has no label"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_files_that_do_not_fit(small, changes, message):
    with pytest.raises(UserError) as caught:
        read_planetoid(small(**changes), "citeseer")
    assert message in str(caught.value) and "; allowed: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_matrix(small):
    wrong = csr_matrix([[0, 6, 0], [4, 0, 4]])
    wrong.indices[0] = 3
    with pytest.raises(UserError, match="ind.citeseer.tx: its sparse matrix is damaged"):
        read_planetoid(small(tx=wrong), "citeseer")
    with pytest.raises(UserError, match=r"ind.citeseer.tx: is \(2, 4\); allowed: \(2, 3\)"):
        read_planetoid(small(tx=csr_matrix([[0, 6, 0, 1], [4, 0, 4, 1]])), "citeseer")


def test_a_missing_file_and_a_wrong_name(small):
    directory = small()
    (directory / "ind.citeseer.tx").unlink()
    with pytest.raises(UserError, match="has no file ind.citeseer.tx; allowed: all of ind.citeseer."):
        read_planetoid(directory, "citeseer")
    with pytest.raises(UserError, match="data.name=corra: is no set of Planetoid; did you mean cora"):
        read_planetoid(directory, "corra")
