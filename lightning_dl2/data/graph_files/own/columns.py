"""Turn columns of texts into features: choose them, fill gaps, count texts as kinds, standardise.

Shapes: R rows, F features.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet
from lightning_dl2.data.graph_files.own.labels import is_missing
from lightning_dl2.data.graph_files.own.reading import Features
from lightning_dl2.data.graph_files.own.tables import Table

LARGEST = float(np.finfo(np.float32).max)
TYPES = ("type", "kind", "node_type", "ntype")  # usual names of a column of types
MOST_KINDS = 1000  # texts of a column that become features of their own


def choose_columns(key: str, asked: Sequence[str] | None, others: Sequence[str], table: Table) -> list[str]:
    """Return the columns that `key` asks for, or all others, in the order of the file.

    Raises:
        UserError: the file has no such column, or it has another use.
    """
    for name in asked or ():
        if name not in others:
            has = ", ".join(others) or "none"
            raise UserError(f"{key}={name}: {table.path} has no such column of features; allowed: {has}")
    return [name for name in others if asked is None or name in asked]


def node_features(
    table: Table, others: Sequence[str], asked: Features, fills: dict[str, float]
) -> tuple[np.ndarray, list[str], list[str]]:
    """Read the nodes' features float32 [R, F], their names, and notes of what was filled.

    Args:
        others: the columns that have no other use.
        fills: see `read_numbers`.

    Raises:
        UserError: the first cell that is no finite number, or a column that does not exist.
    """
    one_hot = choose_columns("data.features.one_hot", asked.one_hot, others, table) if asked.one_hot else []
    dropped = choose_columns("data.features.drop", asked.drop, others, table) if asked.drop else []
    chosen = choose_columns("data.features.columns", asked.columns, others, table)
    chosen = [name for name in chosen if name not in dropped]
    numeric = [name for name in chosen if name not in one_hot]
    values, notes = read_numbers(table, numeric, asked.fill, fills=fills)
    notes += [
        f"the column {name} counts the nodes, and is a feature (data.features.drop=[{name}] leaves it out)"
        for place, name in enumerate(numeric)
        if len(values) > 2 and np.array_equal(values[:, place] - values[0, place], np.arange(len(values)))
    ]
    parts, names = [values.astype(np.float32)], list(numeric)
    for name in one_hot:
        kinds, found, gaps = _one_hot(table, name, asked.fill)
        parts.append(found)
        names += [f"{name}={kind}" for kind in kinds]
        notes += [f"{gaps} gaps of the column {name} are no kind"] if gaps else []
    return np.concatenate(parts, 1), names, notes


def read_numbers(
    table: Table, names: Sequence[str], fill: str, edges: bool = False, fills: dict[str, float] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Read columns of numbers, float64 [R, F], with notes of what was filled.

    Args:
        fills: fills the gaps of the columns that it has; gets that of each other column, for other graphs.

    Raises:
        UserError: the first cell that is no finite number.
    """
    found = np.zeros((len(table.rows), len(names)))
    notes, worst = [], None
    fills = {} if fills is None else fills
    for place, name in enumerate(names):
        cells = table.column(name)
        values = _numbers(cells)
        bad = np.flatnonzero(~(np.abs(values) <= LARGEST))
        gaps = [row for row in bad.tolist() if is_missing(cells[row])]
        wrong = [row for row in bad.tolist() if not is_missing(cells[row])] if fill != "none" else bad.tolist()
        if wrong:
            worst = min(worst or (wrong[0], name), (wrong[0], name), key=lambda found: found[0])
        elif fill != "none":
            if len(gaps) == len(cells) and name not in fills:
                raise UserError(f"{table.path}: the column {name} is empty; fix: data.features.drop=[{name}]")
            with_ = fills.setdefault(name, _fill(np.delete(values, gaps), fill))
            values[gaps] = with_
            notes += [f"{len(gaps)} gaps of the column {name} are filled with {with_:.6g}"] if gaps else []
        found[:, place] = values
    if worst is not None:
        row, name = worst
        raise UserError(_not_a_number(table, row, name, edges))
    return found, notes


def _fill(known: np.ndarray, fill: str) -> float:
    if fill == "zero" or not len(known):
        return 0.0
    return float(known.mean() if fill == "mean" else np.median(known))


def _numbers(cells: Sequence[str]) -> np.ndarray:
    """Convert texts to float64 [R]; NaN for those that are no numbers."""
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        pass
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        try:
            values[row] = float(cell)
        except ValueError:
            continue
    return values


def _not_a_number(table: Table, row: int, name: str, edges: bool) -> str:
    cell = table.column(name)[row]
    says = f"{table.place(row)}: {name}={cell[:40]!r}; allowed: a finite number"
    if is_missing(cell):
        return says if edges else f"{says}; fix: data.features.fill=mean, or data.features.drop=[{name}]"
    if edges:
        return f"{says}; fix: name the columns that are features in data.features.edge_columns, [] for none"
    ways = f"data.features.one_hot=[{name}] or data.features.drop=[{name}]"
    if name.lower() in TYPES:
        ways = f"data.types.node={name} if it is the type of a node, {ways} if not"
    return f"{says}; fix: {ways}"


def _one_hot(table: Table, name: str, fill: str) -> tuple[list[str], np.ndarray, int]:
    """Return the texts that occur, sorted, a column float32 for each, and the number of gaps, whose rows are zeros."""
    cells = table.column(name)
    gaps = [row for row, cell in enumerate(cells) if is_missing(cell)]
    if gaps and fill == "none":
        raise UserError(
            f"{table.place(gaps[0])}: {name}={cells[gaps[0]]!r}; allowed: a text; fix: data.features.fill=zero"
        )
    kinds = sorted({cell for cell in cells if not is_missing(cell)})
    if len(kinds) > MOST_KINDS:
        raise UserError(
            f"data.features.one_hot={name}: {table.path} has {len(kinds)} different texts there;"
            f" allowed: {MOST_KINDS} at most"
        )
    number = {kind: place for place, kind in enumerate(kinds)}
    found = np.zeros((len(cells), len(kinds)), np.float32)
    for row, cell in enumerate(cells):
        if cell in number:
            found[row, number[cell]] = 1
    return kinds, found, len(gaps)


def degree_columns(src: Tensor, dst: Tensor, num_nodes: int, undirected: bool) -> Tensor:
    """Return log(1 + in-degree), of a directed graph also log(1 + out-degree): float32 [N, 1 or 2]."""
    ends = [dst] if undirected else [dst, src]
    return torch.stack([torch.bincount(end, minlength=num_nodes).float().log1p() for end in ends], 1)


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each column, float64 [F]; 0 and 1 of columns of 0 and 1, which stay as they are."""
    wide = features.double()
    binary = ((wide == 0) | (wide == 1)).all(0)
    deviation = wide.std(0, correction=0)
    scale = torch.where(deviation > 0, deviation, 1.0)
    return torch.where(binary, 0.0, wide.mean(0)), torch.where(binary, 1.0, scale)


def standardized(features: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Shift and scale each column of features [R, F] by float64 [F]."""
    return ((features.double() - mean) / scale).float()


def standardize_nodes(graphs: GraphSet) -> GraphSet:
    """Standardise the features of the nodes of all graphs; columns of 0 and 1 stay.

    Raises:
        UserError: the nodes have none.
    """
    if graphs.node_features is None:
        raise UserError("data.standardize=true: the nodes of these graphs have no numbers; allowed: false")
    mean, scale = statistics(graphs.node_features)
    features = standardized(graphs.node_features, mean, scale)
    return replace(graphs, node_features=features, preparation={"mean": mean.tolist(), "scale": scale.tolist()})
