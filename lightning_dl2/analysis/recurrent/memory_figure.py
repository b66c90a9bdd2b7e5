"""Draw the figure of `memory`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_dl2.analysis.recurrent.lengths import Line
from lightning_dl2.common.figures import COLOURS, MARKERS, new_figure, plain, save, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 2  # panels side by side


def draw(lines: list[Line], title: str, path: Path) -> None:
    """Draw accuracy against length, a panel for each training length, and the steps until solved in the last panel."""
    names = list(dict.fromkeys(line.name for line in lines))
    trained_at = sorted({line.trained_at for line in lines})
    panels = len(trained_at) + 1
    rows = -(-panels // COLUMNS)
    figure = new_figure(COLUMNS, rows)
    set_title(figure, title)
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    styles = {
        name: {
            "color": COLOURS[number % (len(COLOURS) - 1)],
            "marker": MARKERS[number % len(MARKERS)],
            "markersize": max(4, 9 - 1.5 * number),  # shows lines that lie on each other
        }
        for number, name in enumerate(names)
    }
    for length, panel in zip(trained_at, axes, strict=False):
        _draw_accuracy(panel, [line for line in lines if line.trained_at == length], styles)
        panel.set_title(f"trained at length {length}", fontsize="medium")
    _draw_steps(axes[panels - 1], lines, styles)
    for panel in axes[panels:]:
        panel.set_axis_off()
    handles = {
        label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, frameon=False)
    save(figure, path)


def _draw_accuracy(axes: "Axes", lines: list[Line], styles: dict[str, dict[str, Any]]) -> None:
    for line in lines:
        means, colour = line.means(), styles[line.name]["color"]
        axes.plot(list(means), list(means.values()), **styles[line.name], clip_on=False, label=plain(line.name))
        if len(line.runs) > 1:
            lowest, highest = ([of(line.values(length)) for length in means] for of in (min, max))
            axes.fill_between(list(means), lowest, highest, color=colour, alpha=0.2, linewidth=0)
    levels = {length: level for line in lines for run in line.runs for length, level in run.baselines.items()}
    ordered = sorted(levels.items())
    axes.plot(*zip(*ordered, strict=True), color=COLOURS[-1], linestyle=":", label="majority baseline")
    axes.axvline(lines[0].trained_at, color=COLOURS[-1], linewidth=0.8, label="length of training")
    axes.set(xlabel="length of the sequence", ylabel="test accuracy", ylim=(0, 1.02))
    _set_lengths_axis(axes, sorted(levels))


def _draw_steps(axes: "Axes", lines: list[Line], styles: dict[str, dict[str, Any]]) -> None:
    for name, style in styles.items():
        mine = sorted((line for line in lines if line.name == name), key=lambda line: line.trained_at)
        solved = {}
        for line in mine:
            for run in line.runs:
                open_mark: dict[str, Any] = {"markerfacecolor": "white"} if run.solved_at is None else {}
                steps = run.steps if run.solved_at is None else run.solved_at
                axes.plot(line.trained_at, steps, **style, **open_mark, linestyle="")
            if ends := [run.solved_at for run in line.runs if run.solved_at is not None]:
                solved[line.trained_at] = sum(ends) / len(ends)
        axes.plot(list(solved), list(solved.values()), color=style["color"], linewidth=1)
    axes.set(xlabel="length of training", ylabel="optimiser steps until solved")
    if axes.dataLim.ymin * 10 < axes.dataLim.ymax:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, None)
    if any(run.solved_at is None for line in lines for run in line.runs):
        axes.set_title("open marks: not solved in so many steps", fontsize="medium")
    _set_lengths_axis(axes, sorted({line.trained_at for line in lines}))


def _set_lengths_axis(axes: "Axes", lengths: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
