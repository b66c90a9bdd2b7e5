"""Draw learning curves with bands over seeds, as SVG that follows the page's colours and width."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.figures import (
    BASELINES,
    COLOURS,
    MARKERS,
    TRAINING,
    VALIDATION,
    distinct,
    end_axis_at_bounds,
    new_figure,
    plain,
)
from lightning_dl2.common.statistics import bare_name, find_metric, split_of
from lightning_dl2.reporting import svg
from lightning_dl2.reporting.history import Point
from lightning_dl2.reporting.records import Record
from lightning_dl2.reporting.svg import INK
from lightning_dl2.reporting.variants import Experiment, Variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Line = list[tuple[int, float, float]]  # step, mean, standard deviation

POINTS = 300  # most points of a curve; more could not be seen
VALUE = itemgetter(1)  # of a point
FEW = 40  # most points of a curve with markers


@dataclass(frozen=True)
class Curve:
    """A line with its band."""

    label: str  # its name in the legend
    colour: str
    marker: str
    histories: list[dict[int, float]]  # step to value, for each run
    complete: bool = True  # the runs have completed: one line shows their mean; else each has a dotted line
    width: int = 1  # of the buckets of steps, see `History`


def shown_metrics(experiment: Experiment) -> list[str]:
    """Return the names, without their split, of the metrics to draw, the monitored one first."""
    logged = dict.fromkeys(name for run in experiment.records for name in run.logged.names())
    names = [bare_name(name) for name in logged if split_of(name) == "val" or name == experiment.monitor]
    if not names:  # runs that ended before their first validation
        names = [name for name in ("loss", *BASELINES) if find_metric(logged, name, "train")]
    first = bare_name(experiment.monitor)
    return sorted(distinct(dict.fromkeys(names)), key=lambda name: (name != first, name))


def compare(experiment: Experiment, name: str, place: str = "compare") -> str:
    """Draw one metric of up to seven variants in their order of colours: on validation, or without one on training.

    Args:
        place: tells the figure from a second one of the same metric on the page.
    """
    curves, shown = [], experiment.variants[: len(COLOURS)]
    for number, variant in enumerate(shown):
        curves += _curves(variant.label, variant.records, name, "val", colour(number), MARKERS[number])
    level = experiment.baseline(name, (record for variant in shown for record in variant.records))
    if not curves:  # no run reached a validation
        for number, variant in enumerate(shown):
            label = f"{variant.label}, training"
            curves += _curves(label, variant.records, name, "train", colour(number), MARKERS[number])
    return _draw(curves, name, level, f"{experiment.name} {name} {place}")


def alone(experiment: Experiment, variant: Variant, name: str) -> str:
    """Draw a metric of one variant, training and validation."""
    curves = _curves("training", variant.records, name, "train", TRAINING, "")
    curves += _curves("validation", variant.records, name, "val", VALIDATION, "o")
    level = experiment.baseline(name, variant.records)
    return _draw(curves, name, level, f"{experiment.name} {name} {variant.label}")


def colour(number: int) -> str:
    """Return the colour of the variant with this number; black becomes the page's own colour of text."""
    return "currentColor" if COLOURS[number] == "#000000" else COLOURS[number]


def _curves(label: str, records: Iterable[Record], name: str, split: str, colour: str, marker: str) -> list[Curve]:
    histories: dict[bool, list[dict[int, float]]] = {True: [], False: []}
    width = 1
    for record in records:
        if history := record.curve(name, split):
            histories[record.state == "completed"].append(history)
            width = max(width, record.logged.width)
    colour = INK if colour == "currentColor" else colour
    return [Curve(label, colour, marker, each, complete, width) for complete, each in histories.items() if each]


def band(histories: list[dict[int, float]], width: int = 1) -> Line:
    """Return step, mean and standard deviation (0 for one value) where at least half of the runs have a value.

    A run that solves its task early ends early: beyond, a mean over the few slow runs would mislead.

    Args:
        histories: step to value, for each run.
        width: of the buckets of steps. Long runs have the extremes of a bucket at steps of their own: the lowest
            points are averaged, and the highest.
    """
    buckets = [_buckets(history, width) for history in histories]
    found = []
    for number in sorted(set().union(*buckets)):
        pairs = [own[number] for own in buckets if number in own]
        if 2 * len(pairs) >= len(histories):
            ends = [list(points) for points in zip(*pairs, strict=True)]
            found += sorted(map(_mean, ends if ends[0] != ends[1] else ends[:1]))
    return found


def _buckets(history: dict[int, float], width: int) -> dict[int, tuple[Point, Point]]:
    """Return the lowest and the highest point in each bucket of steps; a single point twice."""
    grouped: dict[int, list[Point]] = {}
    for point in history.items():
        grouped.setdefault(point[0] // width, []).append(point)
    return {number: (min(points, key=VALUE), max(points, key=VALUE)) for number, points in grouped.items()}


def _mean(points: list[Point]) -> tuple[int, float, float]:
    steps, values = zip(*points, strict=True)
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return round(statistics.fmean(steps)), statistics.fmean(values), deviation


def thinned(points: Line) -> Line:
    """Return at most POINTS points: the first, the last, and extremes at even distances between them."""
    if len(points) <= POINTS:
        return points
    inner = points[1:-1]
    size = -(-2 * len(inner) // (POINTS - 2))
    chunks = (inner[start : start + size] for start in range(0, len(inner), size))
    extremes = (sorted({min(chunk, key=VALUE), max(chunk, key=VALUE)}) for chunk in chunks)
    return [points[0], *(point for pair in extremes for point in pair), points[-1]]


def _draw(curves: list[Curve], name: str, level: tuple[str, float] | None, salt: str) -> str:
    """Return an `<svg>` element with the points for the page's script; "" where there is nothing to draw.

    Args:
        level: name and value of a baseline, drawn as a dotted line.
        salt: makes the ids in the SVG differ from those of other figures on the page.
    """
    if not curves:
        return ""
    with svg.style(salt):
        figure = new_figure(width=4.4, height=3.0)
        axes = figure.subplots()
        plotted = [(curve, lines) for curve in curves if (lines := _lines(curve))]
        if not plotted:
            return ""
        levels = [level[1]] if level else []
        ends = [_plot(axes, curve, lines) for curve, lines in plotted] + [(each, each) for each in levels]
        drawn: list[Any] = [line.get_ydata() for line in axes.lines]
        means = [y for values in drawn for y in values] + levels
        low, high = min(means), max(means)
        if "loss" in name and 0 < low * 10 < high:
            axes.set_yscale("log")
            axes.set_ylim(bottom=low * 0.8)  # a band may reach below zero
        else:  # the band of a single spike would leave the other curves no room
            room = (high - low) / 2 or abs(high) / 10 or 1.0
            bottom, top = max(low - room, min(end[0] for end in ends)), min(high + room, max(end[1] for end in ends))
            bottom = max(bottom, 0.0) if low >= 0 else bottom
            axes.set_ylim(bottom - 0.05 * room, top + 0.05 * room)
        if level:
            axes.axhline(level[1], color=INK, linestyle=(0, (1, 3)), linewidth=1)
            place: dict[str, Any] = {"xy": (1, level[1]), "xycoords": ("axes fraction", "data"), "fontsize": 7}
            below = level[1] == high  # above the highest line, the figure's edge would cut the text
            place |= {"xytext": (0, -2), "va": "top"} if below else {"xytext": (0, 2)}
            axes.annotate(level[0], **place, textcoords="offset points", ha="right").set_in_layout(False)
        end_axis_at_bounds(axes, name)
        axes.set(xlabel="optimiser step", ylabel=plain(name))
        axes.locator_params("x", integer=True)
        points = [_points(curve, line) for curve, lines in plotted for line in lines]
        return svg.element(axes, points, f"learning curves: {name} against optimiser step", unit="step")


def _lines(curve: Curve) -> list[Line]:
    """Return the points of the lines to draw: one line for completed runs, else one for each run."""
    if curve.complete:
        lines = [band(curve.histories, curve.width)]
    else:
        lines = [[(*point, 0.0) for point in each.items()] for each in curve.histories]
    return [thinned(points) for points in lines if points]


def _points(curve: Curve, line: Line) -> dict[str, Any]:
    points = [[step, *(float(f"{value:.5g}") for value in values)] for step, *values in line]
    return {"label": curve.label if curve.complete else f"{curve.label}, not completed", "points": points}


def _plot(axes: "Axes", curve: Curve, lines: list[Line]) -> tuple[float, float]:
    """Draw a curve; return its lowest and its highest value, bands included."""
    lowest, highest = math.inf, -math.inf
    for points in lines:
        steps, means, deviations = zip(*points, strict=True)
        marker = curve.marker if curve.complete and len(points) <= FEW else ""
        marker = marker or ("." if len(points) == 1 else "")  # a single point makes no visible line
        width, dashes = (1.4, "-") if curve.complete else (1.2, ":")
        size = 3 if marker != "." else 7
        axes.plot(steps, means, dashes, color=curve.colour, marker=marker, markersize=size, linewidth=width)
        low = [mean - deviation for mean, deviation in zip(means, deviations, strict=True)]
        high = [mean + deviation for mean, deviation in zip(means, deviations, strict=True)]
        if any(deviations):
            axes.fill_between(steps, low, high, color=curve.colour, alpha=0.2, linewidth=0)
        lowest, highest = min(lowest, *low), max(highest, *high)
    return lowest, highest
