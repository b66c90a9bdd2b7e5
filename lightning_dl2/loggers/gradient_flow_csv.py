"""Read gradient_flow.csv, and summarise its measurements for the loggers."""

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.files import read_rows
from lightning_dl2.common.run_files import Damaged

if TYPE_CHECKING:
    from lightning_dl2.run.directory import Run

COLUMNS = ("step", "state", "layer", "direction", "steps_back", "norm")


def logged_rows(file: Path, last_step: int) -> list[dict[str, str]]:
    """Return the rows that the loggers got up to a step, in the form of metrics.csv; none without measurements.

    Raises:
        Damaged: the file is no such table.
    """
    steps: dict[str, list[tuple[str, ...]]] = {}
    for row in read_measurements(file):
        if int(row[0]) <= last_step:
            steps.setdefault(row[0], []).append(row)
    return [{"step": step} | summarize(rows) for step, rows in steps.items()]


def read_measurements(file: Path) -> list[tuple[str, ...]]:
    """Read a gradient_flow.csv without incomplete measurements.

    Raises:
        Damaged: the file is no such table.
    """
    try:
        rows = [tuple(row[column] for column in COLUMNS) for row in read_rows(file)]
        for step, _, layer, _, back, norm in rows:
            int(step), int(layer), int(back), float(norm)
    except (csv.Error, KeyError, OSError, TypeError, ValueError) as error:
        raise Damaged(file, "is damaged", "remove it, without its rows, or use resume=restart") from error
    counts = Counter(row[0] for row in rows)
    return [row for row in rows if counts[row[0]] == max(counts.values())]


def summarize(rows: list[tuple[Any, ...]]) -> dict[str, str]:
    """Return the gradients that reach the last and the first position of each layer, from the rows of one step."""
    found = {}
    for _, state, layer, direction, back, norm in rows:
        name = f"gradient_flow/{state}_l{int(layer) - 1}{'_reverse' * (direction == 'backward')}"
        found[f"{name}/first"] = norm  # rows go back in time: the last one stays
        if int(back) == 0:
            found[f"{name}/last"] = norm
    return found


def with_gradient_flow(rows: Iterable[dict[str, str]], run: "Run", last_step: int) -> list[dict[str, str]]:
    """Merge rows of metrics.csv with the summaries of the gradient flow, in the order of steps."""
    return sorted([*rows, *logged_rows(run.gradient_flow_file, last_step)], key=lambda row: int(row["step"]))
