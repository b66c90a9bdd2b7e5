"""Test reading ZINC from the rebuilt file, and from generated files in the official format."""

import os
import pickle
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from numpy.lib.format import write_array_header_1_0

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files import zinc
from lightning_dl2.data.graph_files.zinc import read_zinc
from lightning_dl2.data.splits import SPLITS
from tests.graph_files import REAL, needs

ZINC = "zinc12k/zinc12k_rebuilt.npz"


def arrays() -> dict[str, np.ndarray]:
    """Return a molecule C=O-N with a double bond and a single atom for each split."""
    one = {
        "num_nodes": np.array([3, 1], np.uint8),
        "num_bonds": np.array([2, 0], np.uint8),
        "atom": np.array([0, 2, 1, 0], np.uint8),
        "src": np.array([0, 1], np.uint8),
        "dst": np.array([1, 2], np.uint8),
        "bond": np.array([2, 1], np.uint8),
        "y": np.array([0.5, -1.5], np.float32),
    }
    return {f"{split}_{field}": array for split in SPLITS for field, array in one.items()} | {
        "atom_names": np.array(["C", "N", "O"])
    }


def molecules(kind: str = "torch") -> list[dict]:
    """Return the same molecules and a third one."""
    bonds = torch.zeros(3, 3, dtype=torch.int8)
    bonds[0, 1] = bonds[1, 0] = 2
    bonds[1, 2] = bonds[2, 1] = 1
    content = [(3, [0, 2, 1], bonds, 0.5)] + [
        (1, [atom], torch.zeros(1, 1).char(), y) for atom, y in ((0, -1.5), (27, 9))
    ]
    found = [
        {
            "num_atom": size,
            "atom_type": torch.tensor(atoms, dtype=torch.int8),
            "bond_type": bonds,
            "logP_SA_cycle_normalized": torch.tensor([y], dtype=torch.float32),
        }
        for size, atoms, bonds, y in content
    ]
    if kind == "numpy":
        found = [
            {key: value.numpy() if isinstance(value, torch.Tensor) else np.int64(value) for key, value in one.items()}
            for one in found
        ]
    return found


def write_official(directory: Path, content=None, index: str | None = "0,1\n", protocol: int = 3) -> Path:
    for split in SPLITS:
        (directory / f"{split}.pickle").write_bytes(pickle.dumps(molecules() if content is None else content, protocol))
        if index is not None:
            (directory / f"{split}.index").write_text(index)
    return directory


def write_npz(path: Path, **changes) -> Path:
    np.savez(path, **{name: array for name, array in (arrays() | changes).items() if array is not None})
    return path


@needs(ZINC)
def test_the_rebuilt_set():
    found = read_zinc(REAL / ZINC)
    found.check()
    assert {name: len(graphs) for name, graphs in found.splits.items()} == {"train": 10000, "val": 1000, "test": 1000}
    assert torch.cat([found.splits[name] for name in SPLITS]).tolist() == list(range(12000))
    assert found.num_nodes.sum() == 231082 + 23083 + 23117 and found.num_edges.sum() == 2 * (248555 + 24846 + 24860)
    assert found.target == "regression" and found.labels.dtype == torch.float32 and found.class_names == []
    assert found.edge_types.unique().tolist() == [1, 2, 3] and found.num_edge_types == 4
    assert found.num_node_types == 19 and found.node_types.max() == 18 and found.num_nodes.max() <= 38
    assert found.labels[0].item() == pytest.approx(2.101733)
    # A molecule is connected, so it has at least one bond fewer than atoms. Bonds are there in both directions.
    assert (found.num_edges >= 2 * found.num_nodes - 2).all()
    first = slice(0, int(found.num_edges[0]))
    edges = list(
        zip(found.src[first].tolist(), found.dst[first].tolist(), found.edge_types[first].tolist(), strict=True)
    )
    assert len(set(edges)) == 44 and all((v, u, bond) in edges and u != v for u, v, bond in edges)


def check_small(zinc, num_atoms: int) -> None:
    assert zinc.num_nodes.tolist() == [3, 1] * 3 and zinc.num_edges.tolist() == [4, 0] * 3
    assert zinc.src.tolist() == [0, 1, 1, 2] * 3 and zinc.dst.tolist() == [1, 0, 2, 1] * 3
    assert zinc.edge_types.tolist() == [2, 2, 1, 1] * 3 and zinc.num_edge_types == 4
    assert zinc.node_types.tolist() == [0, 2, 1, 0] * 3 and zinc.num_node_types == num_atoms
    assert zinc.labels.tolist() == [0.5, -1.5] * 3
    assert {name: graphs.tolist() for name, graphs in zinc.splits.items()} == {
        "train": [0, 1],
        "val": [2, 3],
        "test": [4, 5],
    }


def test_a_small_npz_file(tmp_path):
    check_small(read_zinc(write_npz(tmp_path / "zinc.npz")), num_atoms=3)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_the_official_form(tmp_path, kind, protocol):
    check_small(read_zinc(write_official(tmp_path, molecules(kind), protocol=protocol)), num_atoms=28)


def test_without_an_index_all_molecules_are_taken(tmp_path):
    found = read_zinc(write_official(tmp_path, index=None))
    assert found.labels.tolist() == [0.5, -1.5, 9.0] * 3 and found.splits["val"].tolist() == [3, 4, 5]


def test_the_index_chooses_and_orders(tmp_path):
    found = read_zinc(write_official(tmp_path, index="2, 0\n"))
    assert found.labels.tolist() == [9.0, 0.5] * 3 and found.num_nodes.tolist() == [1, 3] * 3


def test_a_view_of_a_larger_tensor(tmp_path):
    """A tensor with strides and an offset into shared storage is read."""
    content = molecules()
    wide = torch.arange(18).reshape(3, 6).to(torch.int8)
    content[0]["bond_type"] = torch.stack([content[0]["bond_type"]] * 2, 2)[:, :, 1].t()
    content[0]["atom_type"] = wide.t()[1, :]
    found = read_zinc(write_official(tmp_path, content))
    assert found.node_types[:3].tolist() == [1, 7, 13] and found.edge_types[:4].tolist() == [2, 2, 1, 1]


class Command:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_command_is_refused(tmp_path):
    directory = write_official(tmp_path, [*molecules(), Command(tmp_path / "marker")])
    with pytest.raises(UserError, match="train.pickle: is no list of ZINC's molecules: it asks for (posix|nt).system"):
        read_zinc(directory)
    assert not (tmp_path / "marker").exists()


def test_a_command_inside_a_tensor_is_refused(tmp_path):
    """A command in the inner pickle of a tensor's numbers is refused."""

    class Storage:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (pickle.dumps(Command(tmp_path / "marker"), 2),)

    class Tensor:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (Storage(), 0, (1,), (1,), False, {})

    content = molecules()
    content[0]["atom_type"] = Tensor()
    directory = write_official(tmp_path, content)
    with pytest.raises(UserError, match="train.pickle: molecule 0 is none") as caught:
        read_zinc(directory)
    assert not (tmp_path / "marker").exists() and "\n" not in str(caught.value)


def damaged(**changes) -> list[dict]:
    return [molecules()[0] | changes, *molecules()[1:]]


WRONG = [
    ({"content": {"a": 1}}, "train.pickle: holds no list of molecules"),
    ({"content": []}, "train.pickle: holds no list of molecules"),
    ({"content": [1, 2]}, "train.pickle: molecule 0 is none"),
    ({"content": damaged(num_atom=4)}, "train.pickle: molecule 0 has atoms (3,) and bonds (3, 3)"),
    ({"content": damaged(bond_type=torch.ones(3, 2))}, "train.pickle: molecule 0 has atoms (3,) and bonds (3, 2)"),
    ({"content": damaged(bond_type=torch.tensor([[0, 1, 0], [0, 0, 0], [0, 0, 0]]))}, "molecule 0 has atoms (3,) and"),
    ({"content": damaged(logP_SA_cycle_normalized="x")}, "train.pickle: molecule 0 is none (ValueError"),
    ({"content": [{"num_atom": 1}, *molecules()]}, "train.pickle: molecule 0 is none (KeyError: 'atom_type')"),
    ({"content": damaged(logP_SA_cycle_normalized=torch.tensor([float("nan")]))}, "of the split train has no target"),
    ({"content": damaged(bond_type=5 * molecules()[0]["bond_type"])}, "type 10 of edge 0; allowed: 0 to 3"),
    ({"index": "0,3\n"}, "train.index:1: '3'; allowed: molecules, 0 to 2"),
    ({"index": "0," + "9" * 5000}, "train.index:1: '9999"),
    ({"index": "0,one\n"}, "train.index:1: 'one'; allowed: molecules, 0 to 2"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_official_files_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(UserError) as caught:
        read_zinc(write_official(tmp_path, **changes))
    assert message in str(caught.value) and "; allowed: " in str(caught.value) and "\n" not in str(caught.value)


# With int64 overflow, the numbers of nodes sum to 4.
WRAPPED = {
    "val_num_nodes": np.array([2**62] * 4 + [4]),
    "val_num_bonds": np.array([0, 0, 0, 0, 2]),
    "val_y": np.zeros(5, np.float32),
}
WRONG_NPZ = [
    ({"val_bond": None}, "val_bond"),
    ({"atom_names": None}, "atom_names"),
    ({"test_src": np.array([0], np.uint8)}, "test_src is (1,); allowed: (2,)"),
    ({"train_y": np.zeros(3, np.float32)}, "train_y is (3,); allowed: (2,)"),
    ({"train_num_bonds": np.array([1, 0])}, "train_src is (2,); allowed: (1,)"),
    ({"train_dst": np.array([1, 3])}, "edge 2 goes from node 1 to node 3; allowed: nodes 0 to 2"),
    ({"train_atom": np.array([0, 3, 0, 0])}, "type 3 of node 1; allowed: 0 to 2"),
    ({"train_y": np.array([0, np.inf])}, "labels of graph 1: not a number or infinite"),
    ({"train_y": np.zeros((2, 1), np.float32)}, "train_y is float32 (2, 1); allowed: one row of numbers"),
    ({"val_num_nodes": np.array([[3], [1]])}, "val_num_nodes is int64 (2, 1); allowed: one row of whole numbers"),
    (WRAPPED, f"val_atom is (4,); allowed: ({2**64 + 4},)"),
    ({"atom_names": np.zeros(2**20, np.uint8)}, "atom_names has 1048576 names; allowed: 1000 at most"),
    ({"val_num_nodes": np.array(3)}, "val_num_nodes is int64 (); allowed: one row of whole numbers"),
    ({"test_atom": np.array([0.5, 2, 1, 0])}, "test_atom is float64 (4,); allowed: one row of whole numbers"),
    ({"test_num_bonds": np.array([3, -1])}, "test_src is (2,); allowed: (2,), and no negative test_num_bonds"),
    ({"train_y": np.array([{}, 1], object)}, "is no .npz file of ZINC or cut short"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG_NPZ)
def test_npz_files_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(UserError) as caught:
        read_zinc(write_npz(tmp_path / "zinc.npz", **changes))
    assert message in str(caught.value) and "; allowed: " in str(caught.value) and "\n" not in str(caught.value)


def test_what_would_not_fit_into_memory_is_not_unpacked(tmp_path, monkeypatch):
    """Compressed zeros and headers that announce more than memory holds are refused before unpacking."""
    path = tmp_path / "zinc.npz"
    np.savez_compressed(path, **arrays() | {"train_atom": np.zeros(1 << 20, np.uint8)})
    monkeypatch.setattr(zinc, "LARGEST", 1 << 20)
    with pytest.raises(UserError, match=r"zinc.npz: unpacks to 1,0\d\d,\d\d\d bytes; allowed: 1,048,576 at most"):
        read_zinc(path)
    header = BytesIO()
    write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 50,)})
    write_npz(path, train_atom=None)
    with ZipFile(path, "a") as archive:
        archive.writestr("train_atom.npy", header.getvalue() + b"\0" * 4)
    with pytest.raises(UserError, match="zinc.npz: train_atom.npy is cut short; allowed: a whole .npz file"):
        read_zinc(path)


def test_each_split_is_read_from_its_own_arrays(tmp_path):
    changes = {f"{split}_y": np.array([number, number + 0.5]) for number, split in enumerate(SPLITS)}
    found = read_zinc(write_npz(tmp_path / "zinc.npz", **changes))
    assert {name: found.labels[graphs].tolist() for name, graphs in found.splits.items()} == {
        "train": [0, 0.5],
        "val": [1, 1.5],
        "test": [2, 2.5],
    }
    write_official(tmp_path)
    for number, split in enumerate(SPLITS):
        (tmp_path / f"{split}.index").write_text(f"{number}\n")
    found = read_zinc(tmp_path)
    assert [found.labels[found.splits[name]].tolist() for name in SPLITS] == [[0.5], [-1.5], [9.0]]


def test_files_that_are_cut_short_or_not_there(tmp_path):
    path = write_npz(tmp_path / "zinc.npz")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="zinc.npz: is no .npz file of ZINC or cut short"):
        read_zinc(path)
    directory = write_official(tmp_path)
    train = directory / "train.pickle"
    train.write_bytes(train.read_bytes()[:-20])
    with pytest.raises(UserError, match="train.pickle: is damaged or no list of ZINC's molecules"):
        read_zinc(directory)
    train.unlink()
    with pytest.raises(UserError, match="has no file train.pickle; allowed: ZINC's train, val and test.pickle"):
        read_zinc(directory)
    with pytest.raises(UserError, match="null: is a device; allowed: an .npz file or a directory of ZINC"):
        read_zinc("/dev/null")
    with pytest.raises(UserError, match="there is no such file; allowed: an .npz file or a directory of ZINC"):
        read_zinc(tmp_path / "nothing")


def test_the_digest_changes_with_the_file(tmp_path):
    digests = [read_zinc(write_npz(tmp_path / "zinc.npz")).digest() for _ in range(2)]
    digests.append(read_zinc(write_npz(tmp_path / "zinc.npz", test_bond=np.array([2, 3]))).digest())
    assert digests[0] == digests[1] != digests[2]
