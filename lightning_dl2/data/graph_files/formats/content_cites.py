"""Read NAME.content and NAME.cites, the files in which Cora, Citeseer and WebKB were first given out.

Sen et al. (2008), Collective Classification in Network Data. A line of .content is a paper: id, words, class; a line of
.cites the id of a cited paper, and that of the citing one.

Shapes: N nodes, E edges, F features.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.formats.content import FileGraphs, reading
from lightning_dl2.data.graphs.libraries import GraphParts

KIND = "pair of .content and .cites"
SPARSE = 0.1  # share of numbers other than 0 up to which features are a sparse matrix


def read_content(path: Path) -> FileGraphs:
    """Read the graph of NAME.content and NAME.cites, given either file or their directory.

    An edge leads from the citing paper to the cited one. Citations of papers without a line in .content are left out.

    Raises:
        UserError: a missing file, or the first wrong line.
    """
    content, cites = _find(path)
    with reading(content, KIND):
        ids, labels, features = _papers(content)
    with reading(cites, KIND):
        pairs, dropped = _citations(cites, ids)
    dense = torch.from_numpy(features)
    is_sparse = features.size and np.count_nonzero(features) <= SPARSE * features.size
    nodes = {"label": np.array(labels), "feat": dense.to_sparse_coo() if is_sparse else dense}
    if not features.shape[1]:
        del nodes["feat"]
    cited, citing = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    note = f"{dropped} citations of papers without a line in {content.name} are left out" if dropped else None
    return FileGraphs([GraphParts("file", citing, cited, len(ids), nodes, {}, ids=list(ids), note=note)], {})


def _find(path: Path) -> tuple[Path, Path]:
    if path.is_dir():
        files = sorted(path.glob("*.content"))
        if len(files) != 1:
            raise UserError(f"data.path={path}: has {len(files)} files *.content; allowed: one, and its .cites")
        path = files[0]
    content, cites = path.with_suffix(".content"), path.with_suffix(".cites")
    for file in (content, cites):
        if not file.is_file():
            raise UserError(f"data.path={path}: has no {file.name} beside it; allowed: both .content and .cites")
    return content, cites


def _papers(path: Path) -> tuple[dict[str, int], list[str], np.ndarray]:
    """Read the number of each id, the labels [N] and the features float32 [N, F]."""
    ids: dict[str, int] = {}
    labels: list[str] = []
    rows: list[np.ndarray] = []
    width = None
    for place, cells in _lines(path):
        width = len(cells) if width is None else width
        if len(cells) != width or width < 2:
            raise UserError(f"{place}: {len(cells)} words; allowed: {max(width, 2)}, an id, numbers and a class")
        if cells[0] in ids:
            raise UserError(f"{place}: the id {cells[0][:40]} stands in another line, too; allowed: each id once")
        try:
            row = np.array(cells[1:-1], np.float32)
        except ValueError as error:
            raise UserError(f"{place}: {error}; allowed: numbers between the id and the class") from error
        if not np.isfinite(row).all():
            raise UserError(f"{place}: a number is infinite or none; allowed: finite numbers")
        ids[cells[0]] = len(ids)
        labels.append(cells[-1])
        rows.append(row)
    if not ids:
        raise UserError(f"data.path={path}: is empty; allowed: lines of id, numbers, class")
    return ids, labels, np.stack(rows)


def _citations(path: Path, ids: dict[str, int]) -> tuple[list[tuple[int, int]], int]:
    """Read pairs of the cited and the citing paper, and count those of an unknown paper."""
    pairs, dropped = [], 0
    for place, cells in _lines(path):
        if len(cells) != 2:
            raise UserError(f"{place}: {len(cells)} words; allowed: two ids, of the cited and of the citing paper")
        if cells[0] in ids and cells[1] in ids:
            pairs.append((ids[cells[0]], ids[cells[1]]))
        else:
            dropped += 1
    if dropped and not pairs:
        raise UserError(f"data.path={path}: cites none of the ids in .content; allowed: ids that stand there")
    return pairs, dropped


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the words of each line that has some."""
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if cells := line.split():
                yield f"{path}:{number}", cells
