"""Render the page: one HTML file that embeds its styles, scripts, figures and pictures."""

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lightning_dl2.common.figures import COLOURS, MARKERS, TRAINING, VALIDATION
from lightning_dl2.common.statistics import bare_name
from lightning_dl2.reporting import learning_curves, size_curves
from lightning_dl2.reporting.matrix import Matrix
from lightning_dl2.reporting.matrix_page import Anchors, map_of
from lightning_dl2.reporting.records import STATES, Record, printable
from lightning_dl2.reporting.tables import Cell, choice_columns, columns, remarks
from lightning_dl2.reporting.variants import Experiment, Variant

TITLE = "Runs of lightning_dl2"


class Picture(NamedTuple):
    name: str
    source: str


def render(
    found: list[Experiment],
    matrices: list[Matrix],
    pictures: list[Path],
    notes: list[str],
    *,
    details: int,
    progress: Callable[[str], None] = lambda label: None,
) -> str:
    """Return the HTML of the page.

    Args:
        matrices: shown first.
        pictures: PNGs to show below the experiments.
        notes: a line for each skipped directory or file.
        details: number of variants of each experiment, the best ones, with curves, samples and runs.
        progress: called with the label of each variant whose details are done.
    """
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    records = [record for experiment in found for record in experiment.records]
    counts = {state: sum(record.state == state for record in records) for state in STATES}
    anchors = Anchors(found, details)
    mapped = {id(field.variant) for matrix in matrices for field in matrix.fields.values()}
    states = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    return environment.get_template("page.html").render(
        title=TITLE,
        counts=f"{len(records)} runs: {states}" if records else "No runs",
        made=f"Made on {datetime.now():%Y-%m-%d at %H:%M}.",
        nonce=secrets.token_urlsafe(),
        maps=[map_of(matrix, number, anchors) for number, matrix in enumerate(matrices, start=1)],
        sections=[_section(experiment, details, mapped, progress) for experiment in found],
        pictures=[_picture(path) for path in pictures],
        notes=notes,
        states=STATES,
        training=TRAINING,
        validation=VALIDATION,
    )


def _section(experiment: Experiment, details: int, mapped: set[int], progress: Callable[[str], None]) -> dict[str, Any]:
    """Return the values of one experiment that page.html shows; variants of `mapped`, by id(), are in a matrix."""
    names, variants = learning_curves.shown_metrics(experiment), experiment.variants
    shown = [*choice_columns(experiment), *columns(experiment)]
    drawn = min(len(variants), len(COLOURS))
    lines: list[dict[str, Any]] = [
        {
            "label": variant.label,  # all choices, for the search and for a narrow screen
            "cells": [column.of(variant) for column in shown],
            "colour": learning_curves.colour(number) if number < drawn else None,  # None: not in the figure
            "detail": f"v{number + 1}" if number < details else None,  # the id of its details
        }
        for number, variant in enumerate(variants)
    ]
    detailed = []
    for line, variant in zip(lines, variants[:details], strict=False):
        sizes = [] if id(variant) in mapped else size_curves.measured(experiment.metrics)  # the matrix has that curve
        detailed.append(_detail(line["detail"], experiment, variant, names, sizes))
        progress(variant.label)
    return {
        "name": experiment.name,
        "overview": Markup(learning_curves.compare(experiment, names[0], "overview") if names else ""),
        "best": _best(experiment),
        "remarks": remarks(experiment),
        "headings": [column.heading for column in shown],
        "choices": max(1, len(experiment.choices)),  # that many headings, the first ones, are choices
        "run_headings": [
            *("seed", "state", f"best {experiment.monitor}".strip(), f"last {experiment.monitor}".strip()),
            *(*experiment.metrics[:1], "steps", "training s", "directory and error"),
        ],
        "lines": lines,
        "panels": _panels(_comparisons(experiment, names)) if len(variants) > 1 else [],
        "drawn": drawn,  # variants in the figure
        "left_out": len(variants) - drawn,
        "details": detailed,
    }


def _comparisons(experiment: Experiment, names: list[str]) -> Iterator[str]:
    """Draw the learning curves of an experiment, and its test against the sizes at which it was measured."""
    for name in names:
        yield learning_curves.compare(experiment, name)
    shown = experiment.variants[: len(COLOURS)]
    for metric in size_curves.measured(experiment.metrics):
        curves = (
            size_curves.Curve(variant.label, variant.records, learning_curves.colour(number), MARKERS[number])
            for number, variant in enumerate(shown)
        )
        yield size_curves.draw(list(curves), metric, f"{experiment.name} {metric} sizes")


def _detail(
    name: str, experiment: Experiment, variant: Variant, metrics: list[str], sizes: list[str]
) -> dict[str, Any]:
    """Return the values of one variant that page.html shows, with the samples and pictures of its best run.

    Args:
        metrics: to draw against the optimiser step.
        sizes: metrics of the test to draw against the size.
    """
    best = experiment.best_record(variant)
    learned = (learning_curves.alone(experiment, variant, metric) for metric in metrics)
    return {
        "name": name,
        "label": variant.label,
        "runs": variant.runs,
        "panels": _panels([*learned, *(size_curves.alone(variant, metric, experiment.name) for metric in sizes)]),
        "lines": [_run(experiment, record) for record in variant.records],
        "seed": best.seed,
        "samples": best.samples(),
        "pictures": [_picture(path) for path in best.pictures()],
    }


def _best(experiment: Experiment) -> str:
    """Describe the best variant by its first test figure, or its best validation where no run has completed."""
    best = experiment.variants[0]
    known = {column.heading: column.of(best).text for column in columns(experiment)}
    accuracies = [name for name in experiment.metrics if bare_name(name) == "accuracy"]
    names = *accuracies, *experiment.metrics, f"best {experiment.monitor}"
    figure = next((f"{name} {known[name]}" for name in names if known.get(name)), "nothing measured yet")
    return f"{best.label}: {figure}" if len(experiment.variants) > 1 else figure


def _panels(drawn: Iterable[str]) -> list[Markup]:
    return [Markup(svg) for svg in drawn if svg]  # safe: matplotlib escapes the texts in it


def _run(experiment: Experiment, record: Record) -> list[Cell]:
    tests = [record.metrics.get(name) for name in experiment.metrics[:1]]
    numbers = experiment.best(record), experiment.last(record), *tests, record.steps, record.result.get("seconds")
    error = printable(record.result.get("error") or "")
    last = Cell(f"{record.name}: {error}" if error else record.name, record.name)
    return [Cell(str(record.seed), record.seed), Cell(record.state, record.state), *map(_number, numbers), last]


def _number(value: float | None) -> Cell:
    if value is None:
        return Cell("", None)
    return Cell(f"{value:,}" if isinstance(value, int) else f"{value:.4g}", value)


def _picture(path: Path) -> Picture:
    try:
        content = path.read_bytes()
    except OSError:  # removed since it was found: the page shows its name
        content = b""
    return Picture(printable(path), f"data:image/png;base64,{b64encode(content).decode()}")
