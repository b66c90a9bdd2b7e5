"""Draw a metric of the test against the size at which it was measured, such as the accuracy against the length.

The metrics' names say the sizes: `test/accuracy_at_50` and `test/accuracy_at_100` are two points of one curve, and
`test/accuracy_beyond` is the mean over the sizes beyond those of training.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from lightning_dl2.builtin.results import Sizes, training_sizes
from lightning_dl2.common.figures import COLOURS, new_figure, plain
from lightning_dl2.common.statistics import MeanStd, bare_name
from lightning_dl2.reporting import svg
from lightning_dl2.reporting.records import Record
from lightning_dl2.reporting.svg import INK
from lightning_dl2.reporting.variants import Variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AT = re.compile(r"(.+)_at_(\d+(?:\.\d+)?)")
BEYOND = re.compile(r"(.+)_beyond")


class Curve(NamedTuple):
    """A line over the completed ones of some runs."""

    label: str
    records: list[Record]
    colour: str
    marker: str


def measured(metrics: Iterable[str]) -> list[str]:
    """Return the metrics, such as test/accuracy, that have values at two sizes or more."""
    names = [found[1] for name in metrics if (found := AT.fullmatch(name))]
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def points(record: Record, metric: str) -> dict[float, float]:
    """Return size to value, by size."""
    found = ((AT.fullmatch(name), value) for name, value in record.metrics.items())
    return dict(sorted((float(match[2]), value) for match, value in found if match and match[1] == metric))


def alone(variant: Variant, metric: str, place: str) -> str:
    """Draw one variant; `place` tells the figure from another one of the same variant on the page."""
    return draw([Curve(variant.label, variant.records, COLOURS[0], "o")], metric, f"{place} {variant.label} {metric}")


def draw(curves: list[Curve], metric: str, salt: str) -> str:
    """Return an `<svg>` element; "" where no completed run has the metric at a size.

    Each line is the mean over the runs, with a band of one standard deviation. The sizes of training are shaded where
    all runs share them, and the metric on the test's own sequences, which have these sizes, is a bar across them.

    Args:
        salt: makes the ids in the SVG differ from those of other figures on the page.
    """
    completed = [(curve, [each for each in curve.records if each.state == "completed"]) for curve in curves]
    lines = [(curve, line, records) for curve, records in completed if (line := _line(records, metric))]
    if not lines:
        return ""
    ranges = {training_sizes(record.choices) for _, _, records in lines for record in records}
    trained = ranges.pop() if len(ranges) == 1 else None
    with svg.style(salt):
        figure = new_figure(width=4.4, height=3.0)
        figure.set_layout_engine(None)  # a matrix has hundreds of these figures, and a layout takes most of the time
        figure.subplots_adjust(left=0.12, right=0.98, bottom=0.15, top=0.96)
        axes = figure.subplots()
        axes.set_xscale("log")
        for curve, line, records in lines:
            sizes, means, deviations = zip(*line, strict=True)
            axes.plot(sizes, means, "-", color=_ink(curve), marker=curve.marker, markersize=3, linewidth=1.4)
            if any(deviations):
                low = [mean - deviation for mean, deviation in zip(means, deviations, strict=True)]
                high = [mean + deviation for mean, deviation in zip(means, deviations, strict=True)]
                axes.fill_between(sizes, low, high, color=_ink(curve), alpha=0.2, linewidth=0)
            within = MeanStd.of(record.metrics.get(metric) for record in records)
            if trained and within:
                axes.plot(_ends(trained), [within.mean] * 2, "-", color=_ink(curve), linewidth=3, alpha=0.6)
        if trained:
            axes.axvspan(*_ends(trained), color=INK, alpha=0.08, linewidth=0)
        values = [mean for _, line, _ in lines for _, mean, _ in line]
        if "accuracy" in metric and 0 <= min(values) and max(values) <= 1:
            axes.set_ylim(0, 1)
            for drawn in axes.lines:
                drawn.set_clip_on(False)  # a line along the border would be cut in half
        _label_sizes(axes)
        unit = trained.unit if trained else "at"
        axes.set(xlabel=unit, ylabel=plain(bare_name(metric)))
        told = [
            {"label": curve.label, "points": [[x, *(float(f"{y:.5g}") for y in ys)] for x, *ys in line]}
            for curve, line, _ in lines
        ]
        return svg.element(axes, told, f"{metric} against {unit}", unit=unit)


def _ink(curve: Curve) -> str:
    return INK if curve.colour == "currentColor" else curve.colour


def _line(records: list[Record], metric: str) -> list[tuple[float, float, float]]:
    """Return size, mean and standard deviation at each size that a run has."""
    runs = [points(record, metric) for record in records]
    sizes = sorted(set().union(*runs))
    spreads = ((size, MeanStd.of(run.get(size) for run in runs)) for size in sizes)
    return [(size, spread.mean, spread.deviation or 0.0) for size, spread in spreads if spread]


def _ends(trained: Sizes) -> tuple[float, float]:
    """Return the ends of a range on a logarithmic axis; a single size is a narrow one."""
    low, high = max(trained.low, 1), max(trained.high, 1)
    return (low, high) if low < high else (low / 1.03, high * 1.03)


def _label_sizes(axes: "Axes") -> None:
    """Label 1, 2, 5, 10, ... in full."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 2000 else (1,)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
