"""Give page.html the values of a matrix: its fields, and the curve behind each of them."""

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from lightning_dl2.common.statistics import MeanStd
from lightning_dl2.reporting import matrix_tables, size_curves
from lightning_dl2.reporting.matrix import MARKS, Field, Matrix
from lightning_dl2.reporting.matrix_tables import FACTS, fact
from lightning_dl2.reporting.records import Record
from lightning_dl2.reporting.variants import Experiment, Variant

VERDICTS = {"all": "all seeds", "some": "some seeds", "none": "no seed"}


class Anchors:
    """The ids on the page of experiments and of the details of variants.

    Args:
        details: number of variants of an experiment with details.
    """

    def __init__(self, found: Iterable[Experiment], details: int) -> None:
        self.sections = {experiment.name: f"e{number}" for number, experiment in enumerate(found, start=1)}
        self.details = details

    def of(self, experiment: Experiment, variant: Variant) -> str:
        """Return the id of the details of a variant; of its experiment, where it has none."""
        section = self.sections[experiment.name]
        number = next(place for place, each in enumerate(experiment.variants, start=1) if each is variant)
        return f"{section}-v{number}" if number <= self.details else section


def map_of(matrix: Matrix, number: int, anchors: Anchors) -> dict[str, Any]:
    """Return the values of a matrix; `number` tells its ids from those of others."""
    rows, panels = [], []
    names = matrix_tables.headings(matrix)[1 + len(matrix.columns) :]
    for place, row in enumerate(matrix.rows, start=1):
        cells: list[dict[str, Any] | None] = []
        for other, column in enumerate(matrix.columns, start=1):
            field = matrix.fields.get((row, column))
            cells.append(_cell(matrix, field, f"m{number}-{place}-{other}") if field else None)
            if field:
                panels.append(_panel(matrix, field, f"m{number}-{place}-{other}", anchors))
        experiments = [field.experiment for field in matrix.fields.values() if field.row == row]
        section = anchors.sections[experiments[0].name]
        rows.append({"name": row, "section": section, "cells": cells, "references": _references(matrix, row, names)})
    return {
        "name": f"m{number}",
        "title": matrix.title,
        "remarks": matrix.remarks(),
        "headings": matrix_tables.headings(matrix),
        "rows": rows,
        "panels": panels,
    }


def _references(matrix: Matrix, row: str, names: list[str]) -> list[str]:
    return [matrix_tables.reference(matrix, row, name) for name in names]


def _cell(matrix: Matrix, field: Field, name: str) -> dict[str, Any]:
    verdict, (mean, deviation) = matrix.verdict(field), matrix.texts(field)
    share = field.spread.mean if field.spread and matrix.solved is not None else 0.0
    told = f"{field.row}, {field.column}: {mean} {deviation}"
    if verdict:
        told += f"; {VERDICTS[verdict]} at {matrix.solved:g} or more"
    return {
        "name": name,
        "verdict": verdict,
        "mark": MARKS[verdict],
        "mean": mean,
        "deviation": deviation,
        "share": min(max(share, 0.0), 1.0),  # of the field's width, as a bar
        "told": told,
        "facts": "; ".join(f"{heading} {text}" for heading, text in _facts(field.variant.completed)),
    }


def _panel(matrix: Matrix, field: Field, name: str, anchors: Anchors) -> dict[str, Any]:
    """Return the values of what a click on a field shows."""
    variant = field.variant
    seeds = (f"{record.metrics[matrix.metric]:.6g}" for record in variant.completed if matrix.metric in record.metrics)
    mean = " ".join(filter(None, matrix.texts(field)))
    facts = [(matrix.metric, mean if field.values else "no completed run"), ("each seed", ", ".join(seeds))]
    facts += [("runs", variant.runs), *_facts(variant.completed), ("variant", variant.label)]
    if field.others:
        facts.append(("not shown", f"{field.others} further variants with these two values, worse in validation"))
    curves = (
        size_curves.alone(variant, metric, f"matrix {name}")
        for metric in size_curves.measured(field.experiment.metrics)
    )
    return {
        "name": name,
        "title": f"{field.row} × {field.column}",
        "facts": [(heading, text) for heading, text in facts if text],
        "curves": [Markup(svg) for svg in curves if svg],  # safe: matplotlib escapes the texts in it
        "detail": anchors.of(field.experiment, variant),
        "experiment": field.experiment.name,
    }


def _facts(records: list[Record]) -> list[tuple[str, str]]:
    """Return the means of steps, seconds of training and parameters over the completed runs."""
    spreads = ((name, MeanStd.of(fact(record, name) for record in records)) for name in FACTS)
    return [(name, f"{spread.mean:,.0f}" if name != "seconds" else str(spread)) for name, spread in spreads if spread]
