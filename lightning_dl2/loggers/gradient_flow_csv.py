"""Read gradient_flow.csv, and say what the loggers get of it."""

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import read_rows

if TYPE_CHECKING:
    from lightning_dl2.run.directory import Run

COLUMNS = ("step", "state", "layer", "direction", "steps_back", "norm")


def logged_rows(file: Path, last_step: int) -> list[dict[str, str]]:
    """What the loggers were given up to a step, like rows of metrics.csv; none where nothing was measured.

    Raises:
        UserError: the file is damaged.
    """
    steps: dict[str, list[tuple[str, ...]]] = {}
    for row in read_measurements(file):
        if int(row[0]) <= last_step:
            steps.setdefault(row[0], []).append(row)
    return [{"step": step} | summarize(rows) for step, rows in steps.items()]


def read_measurements(file: Path) -> list[tuple[str, ...]]:
    """Read a gradient_flow.csv without the measurements that lack rows; raise UserError where it is no such table."""
    try:
        rows = [tuple(row[column] for column in COLUMNS) for row in read_rows(file)]
        for step, _, layer, _, back, norm in rows:
            int(step), int(layer), int(back), float(norm)
    except (csv.Error, KeyError, OSError, TypeError, ValueError) as error:
        raise UserError(f"{file}: is damaged; allowed: to remove it, without its rows, or resume=restart") from error
    counts = Counter(row[0] for row in rows)
    return [row for row in rows if counts[row[0]] == max(counts.values())]


def summarize(rows: list[tuple[Any, ...]]) -> dict[str, str]:
    """Of the rows of one step, the gradients that reach the last and the first position of each layer."""
    found = {}
    for _, state, layer, direction, back, norm in rows:
        name = f"gradient_flow/{state}_l{int(layer) - 1}{'_reverse' * (direction == 'backward')}"
        found[f"{name}/first"] = norm  # the last row is
        if int(back) == 0:
            found[f"{name}/last"] = norm
    return found


def with_gradient_flow(rows: Iterable[dict[str, str]], run: "Run", last_step: int) -> list[dict[str, str]]:
    """Rows of metrics.csv, and what was logged beside them, in the order of the steps."""
    return sorted([*rows, *logged_rows(run.gradient_flow_file, last_step)], key=lambda row: int(row["step"]))
