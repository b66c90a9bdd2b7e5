"""Read a graph from nodes.csv, with ids and labels, and edges.csv, with pairs of ids.

Shapes: N nodes, E edges, F features of a node, D of an edge.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.builtin.data_path import check_format
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.own.reading import PLAIN, Reading
from lightning_dl2.data.splits import SPLITS

LARGEST = float(np.finfo(np.float32).max)
Row = tuple[int, str, str, str, list[float]]  # line, the two required cells, the optional one or "", the numbers


def read_csv(directory: str | Path, asked: Reading = PLAIN) -> NodeSet:
    """Read the graph of nodes.csv and edges.csv in `directory`; each begins with a line of column names, in any order.

    nodes.csv: id, label (empty: unknown), optionally split (train, val, test or empty); other columns are features.
    edges.csv: src, dst; other columns are features of the edge. Features are finite numbers. UTF-8.

    Args:
        directory: of the two files.
        asked: how edges are completed.

    Raises:
        UserError: a missing file or column, or the first wrong line.
    """
    directory = Path(directory)
    check_format("graph_csv", directory)
    undirected = asked.undirected
    ids, labels, splits, features = _nodes(directory / "nodes.csv")
    src, dst, edge_features = _edges(directory / "edges.csv", ids)
    if undirected:
        pairs, turned = src * len(ids) + dst, dst * len(ids) + src
        missing = np.flatnonzero(~np.isin(turned, pairs))
        src, dst = np.concatenate([src, dst[missing]]), np.concatenate([dst, src[missing]])
        edge_features = np.concatenate([edge_features, edge_features[missing]])
    known = {label for label in labels if label}
    class_names = sorted(known, key=_numeric if all(label.isdecimal() for label in known) else None)
    classes = {name: number for number, name in enumerate(class_names)} | {"": -1}
    names = list(ids)
    found = NodeSet(
        src=torch.from_numpy(src),
        dst=torch.from_numpy(dst),
        num_nodes=len(ids),
        features=torch.from_numpy(features) if features.shape[1] else None,
        labels=torch.tensor([classes[label] for label in labels]),
        class_names=class_names,
        splits=splits,
        edge_features=torch.from_numpy(edge_features) if edge_features.shape[1] else None,
        node_ids=None if names == [str(number) for number in range(len(names))] else names,
    )
    found.check(f"data.path={directory}")
    return found


def _numeric(label: str) -> tuple[int, str, str]:
    """Return a key that sorts whole numbers of any length by value; int() refuses 4301 digits."""
    digits = label.lstrip("0")
    return len(digits), digits, label


def _nodes(path: Path) -> tuple[dict[str, int], list[str], dict[str, Tensor] | None, np.ndarray]:
    """Read the number of each id, the label of each node ("" for none), the splits or None, and features [N, F]."""
    ids: dict[str, int] = {}
    lines: list[int] = []
    labels, features = [], []
    members: dict[str, list[int]] = {name: [] for name in SPLITS}
    for line, name, label, split, numbers in _rows(path, ("id", "label"), "split"):
        if not name:
            raise UserError(f"{path}:{line}: a node without an id; allowed: a name or a number, each once")
        if name in ids:
            raise UserError(f"{path}:{line}: the id {name} is in line {lines[ids[name]]}, too; allowed: each id once")
        if split:
            if split not in SPLITS:
                raise UserError(f"{path}:{line}: the split {split}; allowed: {', '.join(SPLITS)} or empty")
            if not label:
                raise UserError(f"{path}:{line}: node {name} of the split {split} has no label; allowed: one that has")
            members[split].append(len(ids))
        ids[name] = len(ids)
        lines.append(line)
        labels.append(label)
        features += numbers  # flat: a list for each row would make the garbage collector slow
    if not any(labels):
        raise UserError(f"{path}: no node has a label; allowed: nodes with labels")
    splits = None
    if any(members.values()):
        if empty := [name for name in SPLITS if not members[name]]:
            raise UserError(
                f"{path}: no node has the split {empty[0]}; allowed: nodes of all three, or no column split"
            )
        splits = {name: torch.tensor(nodes) for name, nodes in members.items()}
    return ids, labels, splits, np.array(features, np.float32).reshape(len(ids), -1 if features else 0)


def _edges(path: Path, ids: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read sources [E] and destinations [E], int64, and features [E, D]."""
    src, dst, features = [], [], []
    for line, one, other, _, numbers in _rows(path, ("src", "dst"), None):
        try:
            src.append(ids[one])
            dst.append(ids[other])
        except KeyError as error:
            raise UserError(
                f"{path}:{line}: node {error.args[0]} is not in nodes.csv; allowed: the ids there"
            ) from None
        features += numbers
    return np.array(src), np.array(dst), np.array(features, np.float32).reshape(len(src), -1 if features else 0)


def _rows(path: Path, required: tuple[str, str], optional: str | None) -> Iterator[Row]:
    """Yield every row of the file below the names of its columns."""
    if not path.is_file():
        raise UserError(f"data.path={path.parent}: has no file {path.name}; allowed: nodes.csv and edges.csv")
    # Excel writes a mark before UTF-8. strict: an open quotation mark at the file's end is an error.
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True, skipinitialspace=True)
        try:
            yield from _checked(path, reader, required, optional)
        except csv.Error as error:
            raise UserError(f"{path}:{reader.line_num}: {error}; allowed: whole rows of cells with commas") from None
        except UnicodeDecodeError:
            raise UserError(f"{path}:{_first_not_utf8(path)}: is no UTF-8; allowed: UTF-8") from None


def _first_not_utf8(path: Path) -> int:
    """Find the first line with a bad byte: the reader is ahead of the rows that it has returned."""
    lines = path.read_bytes().decode(errors="surrogateescape").split("\n")  # turns a bad byte into a lone surrogate
    return next(number for number, line in enumerate(lines, start=1) if re.search("[\udc80-\udcff]", line))


def _checked(path: Path, reader: Any, required: tuple[str, str], optional: str | None) -> Iterator[Row]:
    header = [name.strip() for name in next(reader, [])]
    if not any(header):
        raise UserError(f"{path}: is empty; allowed: a line of column names with {' and '.join(required)}, then rows")
    for name in required:
        if name not in header:
            raise UserError(f"{path}:1: has no column {name}; allowed: {' and '.join(required)} and columns of numbers")
    if twice := [name for name in header if header.count(name) > 1]:
        raise UserError(f"{path}:1: has two columns {twice[0]}; allowed: each name once")
    first, second = (header.index(name) for name in required)
    third = header.index(optional) if optional in header else None
    others = [place for place in range(len(header)) if place not in (first, second, third)]
    width, none = len(header), True
    for row in reader:
        if not row:  # an empty line
            continue
        none = False
        if len(row) != width:
            raise UserError(
                f"{path}:{reader.line_num}: {len(row)} cells instead of {width}; allowed: one for each of"
                f" {', '.join(header)}"
            )
        numbers = []
        for place in others:
            try:
                number = float(row[place])
            except ValueError:
                number = np.nan
            if not abs(number) <= LARGEST:
                raise UserError(
                    f"{path}:{reader.line_num}: {header[place]}={row[place][:40]!r}; allowed: a finite number"
                )
            numbers.append(number)
        rest = "" if third is None else row[third].strip()
        yield reader.line_num, row[first].strip(), row[second].strip(), rest, numbers
    if none:
        raise UserError(f"{path}: has no rows below its column names; allowed: at least one")
