"""Draw figures/sweep.png: the metric of the jobs against each key that varies, and in the order of trials.

In a grid, a key of numbers is crossed with the others: a line for each combination of their values.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.figures import COLOURS, MARKERS, end_axis_at_bounds, new_figure, plain, save
from lightning_dl2.common.statistics import MeanStd, bare_name
from lightning_dl2.sweeps.jobs import Job, Objective
from lightning_dl2.sweeps.overrides import SweptKey

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOT: dict[str, Any] = {"color": "#0072B2", "s": 18, "alpha": 0.7}
MARKS = {True: ("o", "completed"), False: ("x", "stopped or failed")}  # by "the job is completed"
BEST: dict[str, Any] = {"color": "#D55E00"}
LOG_FROM = 30  # ratio of the largest to the smallest number from which the axis is logarithmic
ROW = 4  # panels side by side
MOST_TICKS = 8  # more values of a key would overlap


def draw(jobs: list[Job], swept: list[SweptKey], objective: Objective, out: Path, *, history: bool) -> None:
    """Draw the jobs that have a value of the objective.

    Args:
        history: draw them by their order, too, as in a search.
    """
    points = [(job, value) for job in jobs if (value := job.metric(objective.metric)) is not None]
    keys = [key for key in swept if key.name != "seed"]
    crossed = [] if history else _crossed(keys, points)
    panels = crossed or keys  # a panel over all lines would say less than the lines
    if not points or not (panels or history):
        return
    number = len(panels) + history
    columns = min(ROW, number)
    rows = -(-number // columns)
    figure = new_figure(columns, rows, width=3.6, height=3.2)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    if history:
        _history(next(axes), points, objective)
    for key, panel in zip(panels, axes, strict=False):
        if crossed:
            _lines(panel, key, _others(keys, key), points, share=bare_name(objective.metric) == "accuracy")
        else:
            _against(panel, key, points)
    for panel in figure.axes[:number]:
        end_axis_at_bounds(panel, bare_name(objective.metric))
    for panel in figure.axes[number:]:
        panel.set_axis_off()
    for panel in figure.axes[::columns]:
        panel.set_ylabel(plain(objective.metric))
    save(figure, out)


def _history(axes: "Axes", points: list[tuple[Job, float]], objective: Objective) -> None:
    numbers: list[int] = []
    best: list[float] = []
    for job, value in points:
        if job.state == "completed":
            numbers.append(job.number)
            best.append(min([value, *best[-1:]], key=objective.quality))
    _scatter(axes, [(job, job.number, value) for job, value in points])
    axes.step(numbers, best, where="post", **BEST, label="best so far")
    axes.set(xlabel="job")
    axes.locator_params("x", integer=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")


def _scatter(axes: "Axes", points: list[tuple[Job, float, float]]) -> None:
    """Mark jobs at x, y; a cross stands for a stopped or failed job, whose value is not final."""
    for completed, (marker, label) in MARKS.items():
        chosen = [(x, y) for job, x, y in points if (job.state == "completed") == completed]
        if chosen:
            axes.scatter(*zip(*chosen, strict=True), **DOT, marker=marker, label=label)


def _against(axes: "Axes", key: SweptKey, points: list[tuple[Job, float]]) -> None:
    points = [(job, value) for job, value in points if key.name not in job.inactive]
    numbers = [_number(job.varies[key.name]) for job, _ in points]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        places = {text: place for place, text in enumerate(key.values)}
        _scatter(axes, [(job, places[job.varies[key.name]], value) for job, value in points])
        axes.set_xticks(
            range(len(places)), [plain(text[:20]) for text in places], rotation=30 if len(places) > 3 else 0
        )
        axes.set_xlim(-0.5, len(places) - 0.5)
    else:
        _scatter(axes, [(job, number, value) for (job, value), number in zip(points, known, strict=True)])
        _scale(axes, key, known)
    axes.set(xlabel=plain(key.name))
    axes.grid(alpha=0.3)


def _crossed(keys: list[SweptKey], points: list[tuple[Job, float]]) -> list[SweptKey]:
    """Return the keys of numbers that the other keys divide into lines, not more than there are colours."""
    return [
        key
        for key in keys
        if len(key.values) > 1
        and None not in map(_number, key.values)
        and 1 < len({_label(job, _others(keys, key)) for job, _ in points}) <= len(COLOURS)
    ]


def _others(keys: list[SweptKey], key: SweptKey) -> list[SweptKey]:
    return [other for other in keys if other is not key]


def _label(job: Job, keys: list[SweptKey]) -> str:
    return " ".join(f"{key.name}={job.varies[key.name]}" for key in keys)


def _lines(
    axes: "Axes", key: SweptKey, others: list[SweptKey], points: list[tuple[Job, float]], *, share: bool
) -> None:
    """Draw a line for each combination of the other keys: the mean over the completed seeds, and a band.

    The band is one standard deviation; that of a share, such as an accuracy, ends at 0 and 1. Jobs that are stopped or
    failed are crosses: their values are not final.
    """
    lowest, highest = (0.0, 1.0) if share else (-math.inf, math.inf)
    lines: dict[str, dict[float, list[float]]] = {}
    for job, value in points:
        number = _number(job.varies[key.name])
        if job.state == "completed" and number is not None:
            lines.setdefault(_label(job, others), {}).setdefault(number, []).append(value)
    for label, colour, marker in zip(lines, COLOURS, MARKERS, strict=False):
        spreads = {x: spread for x, values in sorted(lines[label].items()) if (spread := MeanStd.of(values))}
        means = [spread.mean for spread in spreads.values()]
        axes.plot(list(spreads), means, "-", color=colour, marker=marker, markersize=4, label=plain(label))
        if any(spread.deviation for spread in spreads.values()):
            low = [max(spread.mean - (spread.deviation or 0.0), lowest) for spread in spreads.values()]
            high = [min(spread.mean + (spread.deviation or 0.0), highest) for spread in spreads.values()]
            axes.fill_between(list(spreads), low, high, color=colour, alpha=0.2, linewidth=0)
    numbers = [(job, _number(job.varies[key.name]), value) for job, value in points if job.state != "completed"]
    _scatter(axes, [(job, x, value) for job, x, value in numbers if x is not None])
    _scale(axes, key, [float(text) for text in key.values])
    if axes.get_xscale() == "linear" and len(key.values) <= MOST_TICKS:
        axes.set_xticks([float(text) for text in key.values], list(key.values))
    axes.legend(frameon=False, fontsize="small")
    axes.set(xlabel=plain(key.name))
    axes.grid(alpha=0.3)


def _scale(axes: "Axes", key: SweptKey, numbers: list[float]) -> None:
    """Make the axis logarithmic where the numbers span it."""
    spread = max(numbers) / min(numbers) if numbers and min(numbers) > 0 else 1
    if spread >= LOG_FROM or (key.span and key.span.log):
        axes.set_xscale("log")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
