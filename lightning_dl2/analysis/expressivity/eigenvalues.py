"""Show the eigenvalues of linear cells at each symbol, and why those in [0, 1] cannot tell odd from even.

A linear cell multiplies its state by a matrix that depends on the symbol alone: S' = A(x) S + b(x). Over 1, 1, 1, ...
the matrix is the same at each step. With its eigenvalues in [0, 1) the state converges: from some length on no rounded
state tells 1^T from 1^(T+1), and so none has the parity (Sarrof et al. 2024). An eigenvalue of -1 turns the state at
each step (Grazzi et al. 2025).

`eigenvalues.png`: for each net the eigenvalues of A at each symbol, and the gap: how far the state moves with the T-th
repetition of a symbol, over the largest distance that it has moved at once. `eigenvalues.csv` and `gap.csv` hold the
numbers.
Without `run`, small nets first learn parity at each position (in `out`/eigenvalues/runs, once).
    run         runs of linear nets, DIR[,DIR...], or trees of them; cells that are not affine in one state are skipped
    checkpoint  best | last | a file's name
    layer       number of the layer, 1 is the lowest; above it, symbols have the eigenvalues of a test sequence
    symbol      the symbol that is repeated
    steps       repetitions, T
    cells       cells to train without run
    max_steps   optimiser steps after which a net that is not solved stops
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import torch
from rich.table import Column, Table
from torch import Tensor

from lightning_dl2.analysis.arguments import RunArguments
from lightning_dl2.analysis.expressivity.parity_nets import CELLS, parity_words
from lightning_dl2.analysis.expressivity.readers import (
    FIRST_VALIDATION,
    Opened,
    check_layer,
    draw_test,
    measure_each,
    open_readers,
    title_of,
)
from lightning_dl2.analysis.expressivity.transitions import find_transition
from lightning_dl2.common.arguments import choices, whole
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.figures import COLOURS, MARKERS, new_figure, plain, save, set_title, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMPARES_RUNS = True
MOST_COLUMNS = 4
MOST_SYMBOLS = 6  # in a figure
READ = 32  # symbols of a test sequence, for the layers above the first
REAL = 1e-9  # imaginary parts up to here are rounding
FLOOR = 1e-9  # below the smallest gap of float32


class Arguments(RunArguments):
    layer: Annotated[int, whole(1)] = 1
    symbol: Annotated[int, whole()] = 1
    steps: Annotated[int, whole(2)] = 1000
    cells: Annotated[tuple[str, ...], choices(CELLS)] = ("s6", "s6_signed", "gated_deltanet_signed", "lru")
    max_steps: Annotated[int, whole(FIRST_VALIDATION)] = 1000


class Spectrum(NamedTuple):
    """Eigenvalues of a net, and the gap between its states.

    Attributes:
        name: of the net.
        symbols: of each row of `values`.
        values: complex, [N, E].
        gaps: by the number of repetitions, [steps - 1].
    """

    name: str
    symbols: list[int]
    values: Tensor
    gaps: Tensor


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write the figure and the numbers; return a table of the extreme eigenvalues and of the last gap.

    Raises:
        UserError: a value is not allowed, or no net is linear.
    """
    words = {cell: parity_words(cell, arguments.max_steps) for cell in arguments.cells}
    found, skipped = open_readers(arguments, out, words)
    spectra = measure_each(found, skipped, lambda opened: measure(opened, arguments))
    _write(out, spectra)
    _draw(spectra, arguments.symbol, title_of(found, arguments), out / "eigenvalues.png")
    return _build_table(spectra, arguments.steps)


def measure(opened: Opened, arguments: Arguments) -> Spectrum:
    """Find the eigenvalues of a net at each symbol, and the gaps of its states.

    Raises:
        UserError: its cell is not affine in one state, or it has no such layer or symbol.
    """
    task, layer = opened.task, check_layer(arguments.layer, opened.task)
    tokens = opened.data.task.vocabulary_size(opened.data.length)
    if arguments.symbol >= tokens:
        raise UserError(f"symbol={arguments.symbol}: allowed: 0 to {tokens - 1}")
    gaps = measure_gaps(task.net, layer, arguments.symbol, arguments.steps)  # in the run's precision
    net = task.net.double()
    symbols, x = _inputs(opened, net, layer)
    return Spectrum(opened.name, symbols, find_transition(net.recurrent, layer, x).eigenvalues(), gaps)


@torch.no_grad()
def measure_gaps(net: Any, layer: int, symbol: int, steps: int) -> Tensor:
    """Return how far each repetition of a symbol moves the state, over the largest such distance, [steps - 1]."""
    _, trace = net.explicit(torch.full((1, steps), symbol))
    states = torch.stack(trace[layer][0][net.recurrent.cell.state[-1]]).flatten(1).double()
    moves = (states[1:] - states[:-1]).norm(dim=1)
    return moves / torch.cat([states[:1].norm(dim=1), moves]).max().clamp_min(1e-300)


@torch.no_grad()
def _inputs(opened: Opened, net: Any, layer: int) -> tuple[list[int], Tensor]:
    """Return symbols and what the layer reads for them, [N, D]."""
    if layer == 0:
        tokens = torch.arange(opened.data.task.vocabulary_size(opened.data.length))
        return tokens.tolist(), net.encode(tokens[:, None])[:, 0].double()
    tokens = draw_test(opened.data, opened.data.length, 1)[0][:, :READ]
    _, trace = net.explicit(tokens)
    return tokens[0].tolist(), torch.cat(trace[layer - 1][0]["h"])


def _write(out: Path, spectra: list[Spectrum]) -> None:
    rows = (
        [spectrum.name, symbol, value.real, value.imag, abs(value)]
        for spectrum in spectra
        for symbol, values in zip(spectrum.symbols, spectrum.values.tolist(), strict=True)
        for value in values
    )
    write_csv(out / "eigenvalues.csv", ["net", "symbol", "real", "imaginary", "modulus"], rows)
    gaps = ([each.name, T, gap] for each in spectra for T, gap in enumerate(each.gaps.tolist(), start=1))
    write_csv(out / "gap.csv", ["net", "repetitions", "gap"], gaps)


def _draw(spectra: list[Spectrum], symbol: int, title: str, path: Path) -> None:
    columns = min(MOST_COLUMNS, len(spectra))
    rows = -(-len(spectra) // columns)
    figure = new_figure(width=max(7.0, 3.4 * columns), height=2.9 * rows + 3.1)
    set_title(figure, title)
    parts: Any = figure.subfigures(2, 1, height_ratios=[2.9 * rows, 3.0])
    above, below = parts
    panels = above.subplots(rows, columns, squeeze=False).ravel()
    for spectrum, axes in zip(spectra, panels, strict=False):
        _draw_spectrum(axes, spectrum)
    for axes in panels[len(spectra) :]:
        axes.set_axis_off()
    axes = below.subplots()
    for number, spectrum in enumerate(spectra):
        gaps = spectrum.gaps.clamp_min(FLOOR).tolist()
        marks = sorted({round(len(gaps) ** (place / 10)) - 1 for place in range(11)})  # spread on a logarithmic axis
        style = {"color": COLOURS[number % 6], "marker": MARKERS[number % 7], "markersize": 4, "linewidth": 1.3}
        axes.plot(range(1, len(gaps) + 1), gaps, **style, markevery=marks, label=plain(spectrum.name))
    axes.set(xscale="log", yscale="log", xlabel=f"T, repetitions of the symbol {symbol}", ylim=(FLOOR / 2, 3))
    axes.set_ylabel(f"gap of the states after {symbol}$^T$ and {symbol}$^{{T+1}}$\nover its largest")
    axes.axhline(torch.finfo(torch.float32).eps, color=COLOURS[-1], linestyle=":", label="rounding of float32")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)


def _draw_spectrum(axes: "Axes", spectrum: Spectrum) -> None:
    """Draw the eigenvalues in the unit circle; those that are real beside each other, as a histogram."""
    import numpy as np

    symbols = sorted(set(spectrum.symbols))[:MOST_SYMBOLS]
    by_symbol = {
        symbol: spectrum.values[[number == symbol for number in spectrum.symbols]].flatten().numpy()
        for symbol in symbols
    }
    real = spectrum.values.imag.abs().max().item() <= REAL
    for number, (symbol, values) in enumerate(by_symbol.items()):
        colour, label = COLOURS[number], f"symbol {symbol}"
        if real:
            counts, edges = np.histogram(values.real.clip(-1, 1), bins=40, range=(-1, 1))
            axes.stairs(counts / counts.sum(), edges, color=colour, fill=True, alpha=0.45, label=label)
            axes.stairs(counts / counts.sum(), edges, color=colour, linewidth=1.2)
        else:
            axes.plot(values.real, values.imag, MARKERS[number], color=colour, markersize=4, alpha=0.6, label=label)
    if real:
        for edge in (-1, 0, 1):
            axes.axvline(edge, color=COLOURS[-1], linewidth=0.8, linestyle=":")
        axes.set(xlim=(-1.1, 1.1), xlabel="eigenvalue", ylabel="share of the eigenvalues", ylim=(0, 1.05))
    else:
        angles = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(angles), np.sin(angles), color=COLOURS[-1], linewidth=0.8, linestyle=":")
        axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", xlabel="real part", ylabel="imaginary part")
    axes.set_title(plain(spectrum.name), fontsize="medium")
    axes.legend(frameon=False, fontsize="small")


def _build_table(spectra: list[Spectrum], steps: int) -> Table:
    columns = ("eigenvalues", "least real part", "largest real part", "largest modulus", f"gap at T = {steps - 1}")
    table = Table("net", "symbol", *(Column(name, justify="right") for name in columns))
    for spectrum in spectra:
        for symbol in sorted(set(spectrum.symbols)):
            values = spectrum.values[[number == symbol for number in spectrum.symbols]].flatten()
            extremes = values.real.min(), values.real.max(), values.abs().max()
            numbers = [f"{extreme.item():.4f}" for extreme in extremes]
            table.add_row(spectrum.name, str(symbol), str(len(values)), *numbers, f"{spectrum.gaps[-1]:.1e}")
    return table
