"""Draw figures/sweep.png: the metric of the jobs against each key that varies, and in the order of trials."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.figures import new_figure, plain, save
from lightning_dl2.sweeps.jobs import Job, Objective
from lightning_dl2.sweeps.overrides import SweptKey

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOT: dict[str, Any] = {"color": "#0072B2", "s": 18, "alpha": 0.7}
MARKS = {True: ("o", "completed"), False: ("x", "stopped or failed")}  # by "the job is completed"
BEST: dict[str, Any] = {"color": "#D55E00"}
LOG_FROM = 30  # ratio of the largest to the smallest number from which the axis is logarithmic
ROW = 4  # panels side by side


def draw(jobs: list[Job], swept: list[SweptKey], objective: Objective, out: Path, *, history: bool) -> None:
    """Draw the jobs that have a value of the objective.

    Args:
        history: draw them by their order, too, as in a search.
    """
    points = [(job, value) for job in jobs if (value := job.metric(objective.metric)) is not None]
    panels = [key for key in swept if key.name != "seed"]
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
        _against(panel, key, points)
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
        spread = max(known) / min(known) if known and min(known) > 0 else 1
        if spread >= LOG_FROM or (key.span and key.span.log):
            axes.set_xscale("log")
    axes.set(xlabel=plain(key.name))
    axes.grid(alpha=0.3)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
