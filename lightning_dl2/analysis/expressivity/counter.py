"""Show the counter in a net that reads a^n b^n: which unit counts up, and then down.

An LSTM adds to its cell state without bounds, so that a unit can count. The state of a GRU or a plain RNN is a mean of
numbers in [-1, 1], and stays there: with finite precision it can count no further (Weiss, Goldberg & Yahav 2018).

`counter.png`, a column for each net: above, the state of every unit while it reads the longest string, the counter in
colour. Below, the counter against the count, the a's so far less the b's, for all n: a true counter has one line for
all of them, up and down. The counter is the unit that is nearest to two straight lines of opposite slope over the
longest string: the largest product of the smaller R^2 and the smaller slope. `units.csv` and `states.csv` hold the
numbers.
Without `run`, an LSTM and a GRU of 16 units first learn to recognise a^n b^n (in `out`/counter/runs, once).
    run         runs of nets, DIR[,DIR...], or trees of them; of any task with two symbols or more
    checkpoint  best | last | a file's name
    lengths     N[,N...], each n of a string
    symbols     N,M: the tokens a and b
    layer       number of the layer, 1 is the lowest
    cells       cells to train without run, of lstm, gru, rnn
    max_steps   optimiser steps after which a net that is not solved stops
"""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from rich.table import Column, Table
from torch import Tensor

from lightning_dl2.analysis.arguments import RunArguments
from lightning_dl2.analysis.expressivity.readers import (
    FIRST_VALIDATION,
    SMALL,
    Opened,
    check_layer,
    measure_each,
    open_readers,
    read_explicitly,
    title_of,
)
from lightning_dl2.common.arguments import Text, choices, whole, wholes
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.figures import COLOURS, MARKERS, new_figure, plain, save, set_title, write_csv

COMPARES_RUNS = True
MOST_LINES = 64  # units drawn in grey
WORDS = (
    *("experiment=recognition/a_n_b_n", "task.hidden_size=16", "optimizer.learning_rate=5e-3"),
    "data.validation_size=256",
    *SMALL,
)


class Arguments(RunArguments):
    lengths: Annotated[tuple[int, ...], wholes(2)] = (10, 20, 50, 100)
    symbols: Text = "0,1"
    layer: Annotated[int, whole(1)] = 1
    cells: Annotated[tuple[str, ...], choices(("lstm", "gru", "rnn"))] = ("lstm", "gru")
    max_steps: Annotated[int, whole(FIRST_VALIDATION)] = 1500


class Fit(NamedTuple):
    """Two straight lines through the state of each unit, [U]: while a's are read, and while b's are.

    Attributes:
        slopes: of the lines, a step, [2, U].
        r2: share of the variance that each line explains, [2, U].
    """

    slopes: Tensor
    r2: Tensor

    def counter(self) -> int:
        """Return the unit that counts best: its lines have opposite slopes."""
        opposite = self.slopes[0] * self.slopes[1] < 0
        return int((opposite * self.r2.amin(0) * self.slopes.abs().amin(0)).argmax())


class Counted(NamedTuple):
    """The states of a net while it reads a^n b^n, by n, [2n, U], and the lines through those of the largest n."""

    name: str
    state: str
    states: dict[int, Tensor]
    fit: Fit


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write the figure and the numbers; return a table of each net's counter.

    Raises:
        UserError: a value is not allowed, or no run can be read.
    """
    trainings = {
        cell: (*WORDS, f"task.cell={cell}", f"trainer.max_steps={arguments.max_steps}") for cell in arguments.cells
    }
    found, skipped = open_readers(arguments, out, trainings)
    counted = measure_each(found, skipped, lambda opened: measure(opened, arguments))
    _write(out, counted)
    _draw(counted, title_of(found, arguments), out / "counter.png")
    return _build_table(counted)


def measure(opened: Opened, arguments: Arguments) -> Counted:
    """Let a net read a^n b^n for each n, and fit lines to its states.

    Raises:
        UserError: the net has no such layer or symbols.
    """
    layer, tokens = check_layer(arguments.layer, opened.task), opened.data.task.vocabulary_size(opened.data.length)
    words = arguments.symbols.split(",")
    if len(words) != 2 or not all(word.isdecimal() and int(word) < tokens for word in words):
        raise UserError(f"symbols={arguments.symbols}: allowed: two tokens, 0 to {tokens - 1}, as 0,1")
    state, states = opened.task.net.recurrent.cell.state[-1], {}
    for n in arguments.lengths:
        string = torch.tensor([int(word) for word in words]).repeat_interleave(n)[None]
        _, values = read_explicitly(opened.task, (string, string), layer)
        states[n] = values[state][:, 0].flatten(1).double()
    return Counted(opened.name, state, states, fit_lines(states[max(states)]))


def fit_lines(states: Tensor) -> Fit:
    """Fit a line to each half of the states of each unit, [2n, U]."""
    slopes, r2 = [], []
    for half in states.chunk(2):
        steps = torch.arange(len(half), dtype=half.dtype) - (len(half) - 1) / 2
        around = half - half.mean(0)
        slope = steps @ around / steps.square().sum()
        rest = (around - steps[:, None] * slope).square().sum(0)
        slopes.append(slope)
        r2.append(1 - rest / around.square().sum(0).clamp_min(1e-12))
    return Fit(torch.stack(slopes), torch.stack(r2))


def _write(out: Path, counted: list[Counted]) -> None:
    rows: Any = (
        [
            each.name,
            unit,
            *each.fit.slopes[:, unit].tolist(),
            *each.fit.r2[:, unit].tolist(),
            unit == each.fit.counter(),
        ]
        for each in counted
        for unit in range(each.fit.slopes.shape[1])
    )
    write_csv(out / "units.csv", ["net", "unit", "slope_a", "slope_b", "r2_a", "r2_b", "counter"], rows)
    rows = (
        [each.name, n, step, count, values[each.fit.counter()].item()]
        for each in counted
        for n, states in each.states.items()
        for step, (count, values) in enumerate(zip(_counts(n), states, strict=True), start=1)
    )
    write_csv(out / "states.csv", ["net", "n", "step", "count", "counter"], rows)


def _counts(n: int) -> list[int]:
    """Return the a's so far less the b's after each step of a^n b^n."""
    return [*range(1, n + 1), *range(n - 1, -1, -1)]


def _draw(counted: list[Counted], title: str, path: Path) -> None:
    figure = new_figure(len(counted), 2, width=5.0, height=3.3)
    set_title(figure, title)
    rows = figure.subplots(2, len(counted), squeeze=False)
    for each, above, below in zip(counted, *rows, strict=True):
        longest, unit = max(each.states), each.fit.counter()
        states = each.states[longest]
        steps = range(1, len(states) + 1)
        busiest = states.std(0).argsort(descending=True)[:MOST_LINES]
        above.plot(steps, states[:, busiest], color="#bbbbbb", linewidth=0.8)
        above.plot(steps, states[:, unit], color=COLOURS[0], linewidth=2.2, label=f"unit {unit}")
        above.axvline(longest + 0.5, color=COLOURS[-1], linewidth=0.8, linestyle=":")
        above.set(xlabel=f"symbols read of a$^{{{longest}}}$ b$^{{{longest}}}$", ylabel=f"{each.state} of each unit")
        slopes, r2 = each.fit.slopes[:, unit].tolist(), each.fit.r2[:, unit].min().item()
        says = f"unit {unit}: {slopes[0]:+.3f} an a, {slopes[1]:+.3f} a b, R² {r2:.3f}"
        above.set_title(f"{plain(each.name)}\n{says}", fontsize="medium")
        for number, (n, states) in enumerate(each.states.items()):
            style = {"color": COLOURS[number % 6], "markersize": 3.5, "markevery": max(1, n // 8), "linewidth": 1.3}
            style["marker"] = MARKERS[number % 7]
            counts, values = _counts(n), states[:, unit].tolist()
            below.plot(counts[:n], values[:n], **style, label=f"n = {n}, reading a")
            below.plot(counts[n - 1 :], values[n - 1 :], **style, linestyle="--", markerfacecolor="white")
        below.set(xlabel="count: a's so far less b's (dashed: reading b)", ylabel=f"{each.state} of unit {unit}")
        for axes in (above, below):
            axes.grid(alpha=0.3)
        below.legend(frameon=False, fontsize="small")
    save(figure, path)


def _build_table(counted: list[Counted]) -> Table:
    columns = ("counter", "slope in a", "slope in b", "R² in a", "R² in b", "its range")
    table = Table("net", *(Column(name, justify="right") for name in columns))
    for each in counted:
        unit, states = each.fit.counter(), each.states[max(each.states)]
        numbers = [*each.fit.slopes[:, unit].tolist(), *each.fit.r2[:, unit].tolist()]
        low, high = states[:, unit].min().item(), states[:, unit].max().item()
        table.add_row(
            each.name, f"{each.state} of unit {unit}", *(f"{n:.4f}" for n in numbers), f"{low:.2f} to {high:.2f}"
        )
    return table
