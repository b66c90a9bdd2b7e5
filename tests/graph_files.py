"""Provide files of graph sets: real ones where they are at hand, and generated ones in the same format."""

import os
import pickle
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
# This package may not redistribute the sets. Tests of their published figures need them here.
REAL = Path(os.environ.get("GRAPH_FILES", ROOT.parent / "shared/data/graphs"))


def needs(name: str) -> pytest.MarkDecorator:
    """Skip a test if the files of the set are not at hand."""
    path = REAL / name
    return pytest.mark.skipif(not path.exists(), reason=f"the set's own files are not at {path} (GRAPH_FILES=DIR)")


class csr_matrix:  # noqa: N801 - the name is what a pickle of scipy's holds
    """Build a matrix as scipy would write it, without scipy."""

    def __init__(self, dense: Any) -> None:
        dense = np.array(dense, np.float32)
        rows, self.indices = (part.astype(np.int32) for part in dense.nonzero())
        self.data = dense[dense != 0]
        self.indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(dense)))]).astype(np.int32)
        self._shape = dense.shape


csr_matrix.__module__ = "scipy.sparse.csr"


def dump(content: Any, path: Path) -> None:
    """Write a pickle of Python 2, in which a csr_matrix is scipy's."""
    modules = {name: ModuleType(name) for name in ("scipy", "scipy.sparse", "scipy.sparse.csr")}
    modules["scipy.sparse.csr"].csr_matrix = csr_matrix
    with patch.dict(sys.modules, modules):
        path.write_bytes(pickle.dumps(content, protocol=2))


def write_planetoid(directory: Path, name: str = "cora") -> Path:
    """Generate a set in Planetoid's format: 7 classes, 140 nodes to train on, 500 to validate and 60 to test on."""
    rng, train, known, tested, classes, words = np.random.default_rng(0), 140, 650, 60, 7, 21
    nodes = known + tested
    labels = np.arange(nodes) % classes
    one_hot = np.eye(classes, dtype=np.int32)[labels]
    features = (rng.random((nodes, words)) < 0.1) | (np.arange(words) // 3 == labels[:, None])
    test = known + rng.permutation(tested)
    graph = defaultdict(list, {node: [(node + 1) % nodes, (node + classes) % nodes] for node in range(nodes)})
    content = {"x": csr_matrix(features[:train]), "y": one_hot[:train]}
    content |= {"allx": csr_matrix(features[:known]), "ally": one_hot[:known]}
    content |= {"tx": csr_matrix(features[test]), "ty": one_hot[test], "graph": graph}
    directory.mkdir(exist_ok=True)
    for part, value in content.items():
        dump(value, directory / f"ind.{name}.{part}")
    (directory / f"ind.{name}.test.index").write_text("".join(f"{node}\n" for node in test), "utf-8")
    return directory


def write_heterophilous(directory: Path, name: str) -> Path:
    """Generate a set of the heterophilous benchmark: a ring of 12 nodes with 2 classes and ten splits."""
    masks = np.eye(3, dtype=bool)[np.add.outer(np.arange(10), np.arange(12)) % 3]  # [10, 12, 3]
    parts = {f"{split}_masks": masks[..., number] for number, split in enumerate(("train", "val", "test"))}
    edges = np.array([[node, (node + 1) % 12] for node in range(12)])
    directory.mkdir(exist_ok=True)
    labels, features = np.arange(12) // 2 % 2, np.eye(12, 7, dtype=np.float32)
    np.savez(directory / f"{name}.npz", node_features=features, node_labels=labels, edges=edges, **parts)
    return directory


def write_ten_fold(directory: Path, name: str = "MUTAG", num_graphs: int = 42) -> Path:
    """Generate a set in GIN's text format with ten folds; its classes are rings and paths."""
    lines, numbers = [f"{num_graphs}"], np.random.default_rng(0).permutation(num_graphs)
    for graph in range(num_graphs):
        size, is_ring = 4 + graph % 3, graph % 2
        lines.append(f"{size} {is_ring}")
        for node in range(size):
            next_to = [other % size for other in (node - 1, node + 1) if is_ring or 0 <= other < size]
            lines.append(" ".join(map(str, (graph % 3, len(next_to), *next_to))))
    (directory / "10fold_idx").mkdir(parents=True)
    (directory / f"{name}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    for fold in range(10):
        test = numbers[fold::10]
        for part, members in (("test", test), ("train", np.setdiff1d(numbers, test))):
            text = "".join(f"{graph}\n" for graph in members)
            (directory / "10fold_idx" / f"{part}_idx-{fold + 1}.txt").write_text(text, "utf-8")
    return directory


def write_planar_sat(directory: Path, num_pairs: int = 20) -> Path:
    """Generate a set in the format of EXP: in turns a ring of 6 nodes and two rings of 3, which 1-WL cannot tell."""
    lines = [f"{2 * num_pairs}"]
    for graph in range(2 * num_pairs):
        lines.append(f"6 {1 - graph % 2}")
        for node in range(6):
            ring = [(node + step) % 6 for step in (1, 5)]
            triangle = [node // 3 * 3 + (node + step) % 3 for step in (1, 2)]
            next_to = triangle if graph % 2 else ring
            lines.append(" ".join(map(str, (graph // 2 % 2, 2, *next_to))))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "GRAPHSAT.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return directory
