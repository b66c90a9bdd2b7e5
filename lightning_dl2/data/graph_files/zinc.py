"""Read ZINC-12k: molecules and their penalised logP, a regression.

Dwivedi et al. (2020), Benchmarking Graph Neural Networks: 10,000 / 1,000 / 1,000 molecules of ZINC.

Shapes: n atoms of a molecule, M bonds of all molecules.
"""

import io
import math
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic
from torch import Tensor

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet
from lightning_dl2.data.graph_files.safe_pickle import NUMPY, Allowed, read_pickle
from lightning_dl2.data.graph_files.whole_numbers import whole_number
from lightning_dl2.data.splits import SPLITS

ATOM_TYPES = 28  # of the official files, occurring or not
BOND_TYPES = 4  # 0 none, 1 single, 2 double, 3 triple
FIELDS = ("num_nodes", "num_bonds", "atom", "src", "dst", "bond", "y")
LARGEST = 1 << 30  # bytes of all arrays; of the 250,000 molecules as int64 they are 210 MB
MOST_ATOMS = 1000  # kinds of atoms; ZINC has 28
KIND = "list of ZINC's molecules"


def read_zinc(path: str | Path) -> GraphSet:
    """Read the molecules of a rebuilt .npz file, or of the official files in a directory.

    The .npz file has train_num_nodes, train_num_bonds, train_atom, train_src, train_dst, train_bond and train_y (and
    the same for val and test), every bond once, and atom_names. The official files are data/molecules of
    benchmarking-gnns: {train,val,test}.pickle and, to choose 12,000 of the 250,000 molecules, {train,val,test}.index;
    without an index file all molecules of the pickle are taken. The official files were not available when this was
    written: their reader was tested with made-up files of their format.

    Raises:
        UserError: a file is missing, damaged, of another kind, or names code to run.
    """
    path = Path(path)
    check_format("zinc", path)
    if path.is_dir():
        parts, num_atoms = [_official(path, split) for split in SPLITS], ATOM_TYPES
    else:
        parts, num_atoms = _rebuilt(path)
    sizes = [len(part["num_nodes"]) for part in parts]
    whole = {field: torch.from_numpy(np.concatenate([part[field] for part in parts])) for field in FIELDS}
    numbers = torch.arange(sum(sizes)).split(sizes)

    def both(one: Tensor, other: Tensor) -> Tensor:
        """Interleave [M] and [M] to [2 M], so that a bond's two directions stay within their molecule."""
        return torch.stack([one, other], 1).reshape(-1)

    found = GraphSet(
        src=both(whole["src"], whole["dst"]),
        dst=both(whole["dst"], whole["src"]),
        num_nodes=whole["num_nodes"],
        num_edges=2 * whole["num_bonds"],
        node_types=whole["atom"],
        num_node_types=num_atoms,
        edge_types=both(whole["bond"], whole["bond"]),
        num_edge_types=BOND_TYPES,
        labels=whole["y"],
        class_names=[],
        target="regression",
        splits=dict(zip(SPLITS, numbers, strict=True)),
    )
    found.check(f"data.path={path}")
    return found


def _rebuilt(path: Path) -> tuple[list[dict[str, np.ndarray]], int]:
    """Read the three splits and the number of atom types."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [f"{split}_{field}" for split in SPLITS for field in FIELDS]
            _check_sizes(path, file.zip, [*names, "atom_names"])
            arrays = {name: file[name] for name in names}
            num_atoms = len(file["atom_names"])
            if num_atoms > MOST_ATOMS:
                raise UserError(f"data.path={path}: atom_names has {num_atoms} names; allowed: {MOST_ATOMS} at most")
    except KeyError as error:
        raise UserError(f"data.path={path}: {error.args[0]}; allowed: all arrays of ZINC") from error
    except UserError:
        raise
    except (OSError, ValueError, EOFError, BadZipFile, AttributeError, TypeError) as error:
        raise UserError(
            f"data.path={path}: is no .npz file of ZINC or cut short ({error}); allowed: a whole one"
        ) from error
    return [_part(path, split, arrays) for split in SPLITS], num_atoms


def _check_sizes(path: Path, archive: ZipFile, names: list[str]) -> None:
    """Raise UserError, before anything is unpacked, if the arrays would take far more memory than ZINC's."""
    members = [info for info in archive.infolist() if info.filename.removesuffix(".npy") in names]
    unpacked = sum(info.file_size for info in members)
    for info in members:
        with archive.open(info) as file:
            read = {1: read_array_header_1_0, 2: read_array_header_2_0}.get(read_magic(file)[0])
            shape, _, dtype = read(file) if read else ((), None, np.dtype("V"))
        if math.prod(shape) * dtype.itemsize > info.file_size:  # numpy would take the memory before it reads
            raise UserError(f"data.path={path}: {info.filename} is cut short; allowed: a whole .npz file")
    if unpacked > LARGEST:
        raise UserError(f"data.path={path}: unpacks to {unpacked:,} bytes; allowed: {LARGEST:,} at most")


def _part(path: Path, split: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Check the arrays of a split, and convert them to int64, the targets to float32."""
    part = {field: arrays[f"{split}_{field}"] for field in FIELDS}
    for field, array in part.items():
        kinds, kind = ("iuf", "numbers") if field == "y" else ("iu", "whole numbers")
        if array.ndim != 1 or array.dtype.kind not in kinds:
            raise UserError(
                f"data.path={path}: {split}_{field} is {array.dtype} {array.shape}; allowed: one row of {kind}"
            )
        part[field] = array.astype(np.float32 if field == "y" else np.int64)
    counts = {"atom": "num_nodes", "src": "num_bonds", "dst": "num_bonds", "bond": "num_bonds"}
    for field in FIELDS[1:]:
        count = part[counts[field]] if field in counts else np.ones_like(part["num_nodes"])
        total = sum(count.tolist())  # numpy's sum would overflow at 2**64
        if len(part[field]) != total or count.min(initial=0) < 0:
            raise UserError(
                f"data.path={path}: {split}_{field} is {part[field].shape}; allowed: ({total},)"
                + (f", and no negative {split}_{counts[field]}" if field in counts else "")
            )
    return part


class _Stored(NamedTuple):
    """A tensor of a pickle, not yet built: only 12,000 of 250,000 molecules are needed."""

    storage: bytes
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> np.ndarray:
        # torch's own unpickler for hostile files builds only tensors and storages.
        storage = torch.load(io.BytesIO(self.storage), weights_only=True)
        return torch.empty(0, dtype=storage.dtype).set_(storage, self.offset, self.size, self.stride).numpy()


def _rebuild(storage: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> _Stored:
    return _Stored(storage, offset, tuple(size), tuple(stride))


ALLOWED: Allowed = {
    **NUMPY,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch.storage", "_load_from_bytes"): lambda storage: storage,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
}


def _official(directory: Path, split: str) -> dict[str, np.ndarray]:
    path = directory / f"{split}.pickle"
    if not path.is_file():
        raise UserError(f"data.path={directory}: has no file {path.name}; allowed: ZINC's train, val and test.pickle")
    molecules = read_pickle(path, ALLOWED, KIND)
    if not isinstance(molecules, list) or not molecules:
        raise UserError(f"data.path={path}: holds no list of molecules; allowed: a {KIND}")
    columns = zip(*_molecules(path, molecules, _chosen(directory / f"{split}.index", len(molecules))), strict=True)
    num_nodes, num_bonds, *others = (list(column) for column in columns)
    found = {"num_nodes": np.array(num_nodes), "num_bonds": np.array(num_bonds)}
    return found | {field: np.concatenate(column) for field, column in zip(FIELDS[2:], others, strict=True)}


def _chosen(path: Path, number: int) -> list[int]:
    """Read the numbers of the molecules from an index file, in one line with commas; all without such a file."""
    if not path.is_file():
        return list(range(number))
    cells = path.read_text("utf-8", "replace").split("\n")[0].split(",")
    allowed = f"molecules, 0 to {number - 1}, with commas"
    return [whole_number(cell, f"{path}:1", allowed, number) for cell in cells]


def _molecules(path: Path, molecules: list[Any], chosen: list[int]) -> Iterator[tuple[Any, ...]]:
    """Yield the FIELDS of each chosen molecule."""
    for number in chosen:
        try:
            molecule = molecules[number]
            atoms, bonds, y = (_array(molecule[key]) for key in ("atom_type", "bond_type", "logP_SA_cycle_normalized"))
            size = int(_array(molecule["num_atom"]))
            atoms, bonds, y = atoms.astype(np.int64), bonds.astype(np.int64), y.astype(np.float32).reshape(1)
        except Exception as error:  # the file may hold anything in a molecule's place
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]  # torch's messages continue with advice
            raise UserError(
                f"data.path={path}: molecule {number} is none ({reason}); allowed: num_atom, atom_type, bond_type and"
                " logP_SA_cycle_normalized"
            ) from error
        if atoms.shape != (size,) or bonds.shape != (size, size) or (bonds != bonds.T).any():
            raise UserError(
                f"data.path={path}: molecule {number} has atoms {atoms.shape} and bonds {bonds.shape};"
                f" allowed: ({size},) and a symmetric ({size}, {size}), as num_atom says"
            )
        src, dst = np.nonzero(np.triu(bonds, 1))
        yield size, len(src), atoms, src, dst, bonds[src, dst], y


def _array(value: Any) -> np.ndarray:
    return value.array() if isinstance(value, _Stored) else np.asarray(value)
