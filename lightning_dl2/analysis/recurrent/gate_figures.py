"""Draw the figures of `gates`; each title names the run. Shapes: T steps, H units."""

from pathlib import Path

import torch
from torch import Tensor

from lightning_dl2.common.figures import COLOURS, DIVERGING, MARKERS, SEQUENTIAL, new_figure, plain, save, set_title

NAMES = {
    "g": "candidate g",
    "n": "candidate n",
    "i": "input gate i",
    "f": "forget gate f",
    "o": "output gate o",
    "r": "reset gate r",
    "z": "update gate z",
    "c": "cell state c",
    "h": "hidden state h",
}
ORDER = [*NAMES]
GATES = "ifozr"  # from 0 to 1, on one colour scale; the other quantities have either sign
SHORT, MOST_LABELS = 30, 100  # labels of tokens that fit below a narrow and below a wide panel
SHOWN = {" ": "\u2423", "\n": "\u21b5", "\t": "\u21e5"}  # marks for white space


def label(name: str) -> str:
    """Return the words for a quantity; those of a user's cell have their names alone."""
    return NAMES.get(name, name)


def draw_sequence(maps: dict[str, Tensor], tokens: list[str], sorted_by: str, title: str, path: Path) -> None:
    """Draw a heat map of each quantity, [H, T], with the tokens on the axis."""
    names = sorted(maps, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    short = len(tokens) <= SHORT
    columns = min(len(names), 3 if len(names) > 4 else 2) if short else 1
    rows = -(-len(names) // columns)
    figure = new_figure(columns, rows, width=4.0 if short else 12.0, height=3.4 if short else 2.4)
    set_title(figure, title)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    ticks = range(0, len(tokens), -(-len(tokens) // (SHORT if short else MOST_LABELS)))
    for name, axes in zip(names, panels, strict=False):
        limit = maps[name].abs().max().item() or 1.0
        share = {"cmap": SEQUENTIAL, "vmin": 0, "vmax": 1}
        either_sign = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
        gate = name in GATES or name not in NAMES
        style = share if gate and 0 <= maps[name].min() <= maps[name].max() <= 1 else either_sign
        figure.colorbar(axes.imshow(maps[name], aspect="auto", interpolation="nearest", **style), ax=axes)
        axes.set_title(label(name))
        axes.set_xticks(ticks, [SHOWN.get(tokens[tick], plain(tokens[tick])) for tick in ticks], fontsize="small")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    figure.supxlabel("token read, from left to right")
    figure.supylabel(f"unit, by {sorted_by}")
    save(figure, path)


def draw_saturation(
    histograms: dict[str, tuple[Tensor, Tensor]], shares: dict[str, tuple[Tensor, Tensor]], title: str, path: Path
) -> None:
    """Draw a histogram of each gate's values, and each unit's shares near the two ends."""
    figure = new_figure(2)
    set_title(figure, title)
    left, right = figure.subplots(1, 2)
    for number, name in enumerate(histograms):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        edges, values = histograms[name]
        low, high = shares[name]
        left.stairs(100 * values, edges, color=colour, linewidth=1.5, label=label(name))
        right.scatter(100 * low, 100 * high, color=colour, marker=marker, s=16, alpha=0.7, label=label(name))
    left.set(xlabel="value", ylabel="share of values (%)")
    shown = torch.cat([values[values > 0] for _, values in histograms.values()])
    if shown.min() * 10 < shown.max():
        left.set_yscale("log")
    right.set(xlabel="near the lower end (% of values)", ylabel="near the upper end (% of values)")
    right.plot([0, 100], [100, 0], color=COLOURS[-1], linewidth=0.8, linestyle=":")
    right.set_title("one point a unit; a binary gate stands on the line", fontsize="medium")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize="small")
    save(figure, path)


def draw_state(means: dict[str, list[float]], state: str, title: str, path: Path) -> None:
    """Draw the sizes written and kept at each step, and the part of each step's writing in the last state.

    `means` has, by step: written, kept, state, surviving and, if the data has labels, label_share.
    """
    columns = 3 if "label_share" in means else 2
    figure = new_figure(columns, width=4.2)
    set_title(figure, title)
    sizes, parts, *labels = figure.subplots(1, columns)
    steps = range(1, len(means["written"]) + 1)
    for number, (name, label) in enumerate({"written": "written", "kept": "kept", "state": f"|{state}|"}.items()):
        style = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 4}
        sizes.plot(steps, means[name], **style, markevery=-(-len(steps) // SHORT), label=label)
    sizes.set(xlabel="step", ylabel="mean size, over units and sequences", ylim=(0, None))
    sizes.legend(frameon=False)
    width = 0.8 if len(steps) <= SHORT else 1.0
    parts.bar(steps, means["surviving"], width, color=COLOURS[0])
    parts.set(xlabel="step of writing", ylabel=f"mean size of its part in the last {state}")
    for axes in labels:
        axes.bar(steps, [100 * share for share in means["label_share"]], width, color=COLOURS[1])
        axes.set(xlabel="step of writing", ylabel=f"its part in what tells labels apart\nin the last {state} (%)")
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.locator_params("x", integer=True)
    save(figure, path)


def draw_label(
    accuracies: dict[str, Tensor], shares: Tensor, baseline: float, state: str, title: str, path: Path
) -> None:
    """Draw the probe's accuracy by step, and the share of each unit's variance between labels, [H, T]."""
    figure = new_figure(2)
    set_title(figure, title)
    left, right = figure.subplots(1, 2)
    steps = range(1, shares.shape[1] + 1)
    states = sorted({name.partition(",")[0] for name in accuracies})
    for name, values in accuracies.items():
        number = states.index(name.partition(",")[0]) % len(COLOURS)
        style = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 4 + 3 * number}  # shows both
        style["markevery"] = -(-len(steps) // SHORT)
        if "untrained" in name:
            style |= {"linestyle": "--", "markerfacecolor": "white"}
        left.plot(steps, values, **style, clip_on=False, label=name)
    left.axhline(baseline, color=COLOURS[-1], linestyle=":", label="majority baseline")
    left.set(xlabel="step", ylabel="accuracy of the label, read by a linear probe", ylim=(0, 1.02))
    left.legend(frameon=False, fontsize="small")
    left.grid(alpha=0.3)
    extent = (0.5, len(steps) + 0.5, shares.shape[0] + 0.5, 0.5)
    style = {"cmap": SEQUENTIAL, "vmin": 0, "vmax": 1, "extent": extent}
    image = right.imshow(shares, aspect="auto", interpolation="nearest", **style)
    right.set(xlabel="step", ylabel=f"unit of {state}, sorted at the last step")
    figure.colorbar(image, ax=right, label="share of its variance that lies between labels")
    for axes in (left, right):
        axes.locator_params("x", integer=True)
    save(figure, path)
