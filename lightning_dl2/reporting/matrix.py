"""Lay out runs as a matrix of one key against another, such as data against cells, to be read like a map."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lightning_dl2.builtin.results import matrix_keys
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.common.statistics import MeanStd, bare_name, by_quality
from lightning_dl2.config.overrides import format_override
from lightning_dl2.config.schema.component import TARGET
from lightning_dl2.reporting.records import Record, printable
from lightning_dl2.reporting.size_curves import AT, BEYOND
from lightning_dl2.reporting.variants import Experiment, Variant

SOLVED = 0.99  # an accuracy from which a run counts as solving its task
MARKS = {"all": "●", "some": "◐", "none": "○", "": ""}


@dataclass(frozen=True)
class Field:
    """The runs of one place of the matrix."""

    row: str
    column: str
    experiment: Experiment
    variant: Variant  # of several with these two values, the best in validation
    others: int  # number of the other ones
    values: list[float]  # the metric of the completed runs

    @property
    def spread(self) -> MeanStd | None:
        return MeanStd.of(self.values)


@dataclass(frozen=True)
class Matrix:
    """Rows and columns, both from those that solve most to those that solve least.

    Attributes:
        keys: of the rows and of the columns.
        solved: a run whose metric is at least this has solved its task; None: the metric has no such level.
        references: name and value, by row, of the test figure without a net.
    """

    keys: tuple[str, str]
    metric: str
    solved: float | None
    rows: list[str]
    columns: list[str]
    fields: dict[tuple[str, str], Field]
    references: dict[str, tuple[str, float]]

    @property
    def title(self) -> str:
        return f"{self.metric}: {self.keys[0]} × {self.keys[1]}"

    def verdict(self, field: Field) -> str:
        """Say which of the completed runs have solved the task: all, some, none; empty where nobody knows."""
        if self.solved is None or not field.values:
            return ""
        solved = self.count_solved(field)
        return "all" if solved == len(field.values) else "some" if solved else "none"

    def count_solved(self, field: Field) -> int:
        return sum(value >= self.solved for value in field.values) if self.solved is not None else 0

    def texts(self, field: Field) -> tuple[str, str]:
        """Return mean and deviation as texts; for runs of which none has completed, their states.

        An accuracy is rounded down: 1.000 has no error.
        """
        if (spread := field.spread) is None:
            return "", field.variant.runs if not field.variant.completed else "no value"
        rounded = f"{math.floor(1000 * spread.mean + 1e-9) / 1000:.3f}"
        mean = str(MeanStd(spread.mean, None, 1)) if self.solved is None else rounded
        return mean, f"± {spread.deviation:.2g}" if spread.deviation is not None else ""

    def remarks(self) -> list[str]:
        """Return lines that explain the fields."""
        found = []
        if self.solved is not None:
            of = "of the completed seeds have at least"
            found.append(f"● all, ◐ some, ○ none {of} {self.solved:g}; accuracies are rounded down")
        if several := sum(field.others > 0 for field in self.fields.values()):
            found.append(f"{several} fields have several variants, and show the best in validation")
        if empty := len(self.rows) * len(self.columns) - len(self.fields):
            found.append(f"{empty} fields have no run")
        return found


def value_of(record: Record, key: str) -> str | None:
    """Return the value of a key as it is typed; of a class with arguments its dotted path; None: there is no such key.

    `experiment` counts as a key.
    """
    if key == "experiment":
        return printable(record.experiment)
    value = record.choices.get(key, record.choices.get(f"{key}.{TARGET}"))
    return None if value is None else printable(format_override(value))


def matrices(
    found: list[Experiment], keys: tuple[str, str] | None = None, metric: str | None = None, solved: float | None = None
) -> list[Matrix]:
    """Lay out all runs that have both keys.

    Args:
        keys: of the rows and the columns; None: those of the built-in tasks, one matrix for each task, where there are
            at least two rows and two columns.
        metric: of the fields; None: one that all completed runs have.
        solved: the level of `Matrix.solved`; None: SOLVED where the metric is an accuracy.

    Raises:
        UserError: no run has the keys or the metric.
    """
    groups: dict[tuple[Any, ...], list[tuple[Experiment, Variant]]] = {}
    for experiment in found:
        for variant in experiment.variants:
            record = variant.records[0]
            chosen = keys or matrix_keys(record.choices)
            if chosen and all(value_of(record, key) is not None for key in chosen):
                group = chosen if keys else (*chosen, record.choices.get("task.name"))
                groups.setdefault(group, []).append((experiment, variant))
    if keys and not groups:
        raise UserError(_unknown(found, keys))
    made = [_matrix((group[0], group[1]), placed, metric, solved) for group, placed in groups.items()]
    made = [each for each in made if keys or min(len(each.rows), len(each.columns)) > 1]
    if (metric or solved is not None) and not made:
        typed = f"metric={metric}" if metric else f"solved={solved:g}"
        raise UserError(f"{typed}: these runs make no matrix; fix: matrix=ROWS,COLUMNS names its keys")
    fields = [field for matrix in made for field in matrix.fields.values()]
    if metric and not any(field.values for field in fields):
        known = sorted({name for field in fields for name in field.experiment.metrics})
        raise UserError(f"metric={metric}: no completed run in a matrix has it; {nearest(metric, known)}")
    return made


def _unknown(found: list[Experiment], keys: tuple[str, str]) -> str:
    known = {key for experiment in found for record in experiment.records for key in record.choices} | {"experiment"}
    known |= {key.removesuffix(f".{TARGET}") for key in known}
    wrong = next((key for key in keys if key not in known), None)
    typed = f"matrix={','.join(keys)}"
    return f"{typed}: {wrong} is not a key of these runs; {nearest(wrong, sorted(known))}" if wrong else (
        f"{typed}: no run has both keys; allowed: keys of the same runs"
    )  # fmt: skip


def _tests(field: Field) -> list[str]:
    """Return the test metrics that all completed runs of a field have, the monitored one first."""
    return [
        name
        for name in field.experiment.metrics
        if all(name in record.metrics for record in field.variant.completed) and not AT.fullmatch(name)
    ]


def _matrix(
    keys: tuple[str, str], placed: list[tuple[Experiment, Variant]], metric: str | None, solved: float | None
) -> Matrix:
    grouped: dict[tuple[str, str], list[tuple[Experiment, Variant]]] = {}
    for experiment, variant in placed:
        row, column = (value_of(variant.records[0], key) or "" for key in keys)
        grouped.setdefault((row, column), []).append((experiment, variant))
    chosen = {place: _best(candidates) for place, candidates in grouped.items()}
    fields = {
        place: Field(*place, *chosen[place], others=len(candidates) - 1, values=[])
        for place, candidates in grouped.items()
    }
    metric = metric or _common_metric(fields.values())
    for field in fields.values():
        found = (record.metrics.get(metric) for record in field.variant.completed)
        field.values.extend(value for value in found if value is not None and math.isfinite(value))
    values = [value for field in fields.values() for value in field.values]
    is_share = "accuracy" in bare_name(metric) and all(0 <= value <= 1 for value in values)
    level = solved if solved is not None else SOLVED if is_share else None
    made = Matrix(keys, metric, level, [], [], fields, {})
    made.rows.extend(_ordered(made, lambda field: field.row))
    made.columns.extend(_ordered(made, lambda field: field.column))
    if "accuracy" in bare_name(metric):
        made.references.update(_references(fields.values()))
    return made


def _best(candidates: list[tuple[Experiment, Variant]]) -> tuple[Experiment, Variant]:
    """Return the variant with the best validation; of different monitors, the one with the most completed runs."""
    monitors = {(experiment.monitor, experiment.mode) for experiment, _ in candidates}

    def quality(candidate: tuple[Experiment, Variant]) -> tuple[Any, ...]:
        experiment, variant = candidate
        spread = MeanStd.of(map(experiment.best, variant.completed)) if len(monitors) == 1 else None
        best = by_quality(spread.mean if spread else None, experiment.mode)
        return not variant.completed, best, -len(variant.completed)

    return min(candidates, key=quality)


def _common_metric(fields: Iterable[Field]) -> str:
    """Return a test metric that all completed runs have: beyond training, else the accuracy, else the first."""
    known = [_tests(field) for field in fields if field.variant.completed]
    counts = {name: sum(name in names for names in known) for names in known for name in names}
    common = [name for name, count in counts.items() if count == max(counts.values())]
    first = [name for name in common if BEYOND.fullmatch(name)]
    first += [name for name in common if bare_name(name) == "accuracy"]
    return next(iter([*first, *common]), "test")


def _ordered(matrix: Matrix, of: Callable[[Field], str]) -> list[str]:
    """Sort rows or columns by the share of solved fields, their mean and their name; without a level by name."""
    lines: dict[str, list[Field]] = {}
    for field in matrix.fields.values():
        lines.setdefault(of(field), []).append(field)

    def order(name: str) -> tuple[float, float, str]:
        spreads = [field.spread for field in lines[name] if field.spread]
        if matrix.solved is None or not spreads:
            return 0.0, 0.0, name
        solved = sum(matrix.verdict(field) == "all" for field in lines[name]) / len(spreads)
        return -solved, -sum(spread.mean for spread in spreads) / len(spreads), name

    return sorted(lines, key=order)


def _references(fields: Iterable[Field]) -> dict[str, tuple[str, float]]:
    """Return name and value of the baseline of each row whose runs share it."""
    records: dict[str, list[Record]] = {}
    experiments = {}
    for field in fields:
        records.setdefault(field.row, []).extend(field.variant.completed)
        experiments[field.row] = field.experiment
    found = {row: experiments[row].baseline("accuracy", runs) for row, runs in records.items()}
    return {row: reference for row, reference in found.items() if reference}
