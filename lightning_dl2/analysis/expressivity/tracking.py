"""Show how far a net tracks a state beyond its training, and why an affine cell stops.

Two different states that read the same symbols stay apart by the product of the transitions: an affine cell maps their
difference by the same matrices, whatever the states are. Eigenvalues below 1 in modulus bring states of different
classes together. An error in the state shrinks no faster than what tells the classes apart, so that none is ever
corrected. A nonlinear cell can pull the states of one class together and keep classes apart (Chung, Choi & Kim 2026).

`tracking.png`, against the number of symbols read: the accuracy; q, the spread of the outputs h within a class over the
least distance between the means of two classes, which the linear layer has to tell apart; and how far apart two states
stay that read the same symbols, having begun in different classes (solid) or in one class (dashed). `tracking.csv`
holds the numbers. In the table a net is lost where its accuracy falls below the middle between 1 and chance. The
distance of different classes is multiplied by the factor at each step. The largest and the smallest factor of the
product of transitions stand beside it, of an affine cell in one layer.
Without `run`, small nets first learn parity at each position (in `out`/tracking/runs, once).
    run         runs of nets that answer at each position, DIR[,DIR...], or trees of them; as experiment=tracking/...
    checkpoint  best | last | a file's name
    lengths     N[,N...], symbols read
    size        sequences
    cells       cells to train without run
    max_steps   optimiser steps after which a net that is not solved stops
"""

import math
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from rich.table import Column, Table
from torch import Tensor

from lightning_dl2.analysis.arguments import RunArguments
from lightning_dl2.analysis.expressivity.parity_nets import CELLS, parity_words
from lightning_dl2.analysis.expressivity.readers import (
    FIRST_VALIDATION,
    Opened,
    draw_test,
    measure_each,
    open_readers,
    title_of,
)
from lightning_dl2.analysis.expressivity.transitions import Transition, find_transition
from lightning_dl2.common.arguments import choices, whole, wholes
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.figures import COLOURS, MARKERS, new_figure, plain, save, set_title, write_csv
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

COMPARES_RUNS = True
LENGTHS = (5, 10, 14, 20, 28, 40, 57, 80, 113, 160, 226, 320, 453, 640, 905, 1280)
PREFIX = 10  # symbols by which two states become different
PREFIXES, SUFFIXES = 24, 4
VANISHED = 1e-6  # of the first distance: below it float32 has no digits left for a slope
BATCH = 64


class Arguments(RunArguments):
    lengths: Annotated[tuple[int, ...], wholes(2)] = LENGTHS
    size: Annotated[int, whole(16)] = 512
    cells: Annotated[tuple[str, ...], choices(CELLS)] = ("s6_signed", "gated_deltanet_signed", "lstm")
    max_steps: Annotated[int, whole(FIRST_VALIDATION)] = 1000


class Tracked(NamedTuple):
    """Measures of a net by the number of symbols read.

    Attributes:
        trained_at: the longest sequence in training.
        chance: accuracy of a guess.
        accuracy, q: as above.
        different, same: distance of two states that read the same symbols, over that before them, in the geometric
            mean; of states of different classes, and of one class.
        products: largest and smallest factor a step of the products of transitions; None: the cell is not affine in one
            state, or the net has several layers.
    """

    name: str
    trained_at: int
    chance: float
    accuracy: dict[int, float]
    q: dict[int, float]
    different: dict[int, float]
    same: dict[int, float]
    products: tuple[float, float] | None

    def lost_at(self) -> int | None:
        """Return the first length with an accuracy below the middle between 1 and chance."""
        return next((at for at, value in self.accuracy.items() if value < (1 + self.chance) / 2), None)

    def factor(self) -> float:
        """Return the factor of the distance of different classes a step, by the slope of its logarithm."""
        kept = [(at, math.log(value)) for at, value in self.different.items() if value > VANISHED]
        if len(kept) < 2:
            return 0.0
        at, logs = torch.tensor(kept, dtype=torch.float64).T
        at = at - at.mean()
        return math.exp((at @ logs / at.square().sum()).item())


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write the figure and the numbers; return a table of where each net is lost, and of its factors.

    Raises:
        UserError: a value is not allowed, or no run answers at each position.
    """
    words = {cell: parity_words(cell, arguments.max_steps) for cell in arguments.cells}
    found, skipped = open_readers(arguments, out, words)
    tracked = measure_each(found, skipped, lambda opened: measure(opened, arguments.lengths, arguments.size))
    rows = (
        [each.name, at, each.accuracy[at], each.q[at], each.different[at], each.same[at]]
        for each in tracked
        for at in arguments.lengths
    )
    write_csv(out / "tracking.csv", ["net", "length", "accuracy", "q", "different_classes", "same_class"], rows)
    _draw(tracked, title_of(found, arguments), out / "tracking.png")
    return _build_table(tracked)


@torch.no_grad()
def measure(opened: Opened, lengths: tuple[int, ...], size: int) -> Tracked:
    """Measure a net at several lengths.

    Raises:
        UserError: its task has no answer at each position or no such lengths, or its cell is told the input's length.
    """
    net, data = opened.task.net, opened.data
    if net.recurrent.takes_input_length:
        raise UserError("its cell is told the length of the input; allowed: others")
    tokens, targets = draw_test(data, max(lengths), size)
    if (targets == NOT_COUNTED).any():
        raise UserError("its task has positions without an answer; allowed: an answer at each, as in tracking/...")
    places = torch.tensor(lengths) - 1
    read = [net.recurrent(net.encode(part))[0][:, places] for part in tokens.split(BATCH)]
    outputs = torch.cat(read)  # [B, L, H]
    answers, targets = net.output(outputs).argmax(-1), targets[:, places]
    accuracy = (answers == targets).double().mean(0).tolist()
    q = [find_q(outputs[:, place].double(), targets[:, place]) for place in range(len(lengths))]
    different, same = _follow_pairs(opened, lengths)
    try:
        products = None if net.recurrent.num_layers > 1 else _multiply(opened, tokens[:PREFIXES])
    except UserError:  # the cell is not affine
        products = None
    chance = 1 / data.task.num_classes(data.length)
    by_length = [dict(zip(lengths, values, strict=True)) for values in (accuracy, q, different, same)]
    return Tracked(opened.name, data.length, chance, by_length[0], by_length[1], by_length[2], by_length[3], products)


def find_q(states: Tensor, classes: Tensor) -> float:
    """Return the spread of states [B, H] within a class over the least distance between the means of two classes."""
    known = [states[classes == kind] for kind in classes.unique()]
    known = [members for members in known if len(members) > 1]
    means = torch.stack([members.mean(0) for members in known])
    within = torch.stack([(members - members.mean(0)).square().sum(1).mean() for members in known]).mean().sqrt()
    return (within / torch.pdist(means).min().clamp_min(1e-300)).item()


def _follow_pairs(opened: Opened, lengths: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """Return the distances of pairs of states after suffixes of these lengths, of different classes and of one."""
    net, data, dtype = opened.task.net, opened.data, opened.task.net.output.weight.dtype
    net.double()
    at = max(PREFIX, data.task.minimum_length)
    prefixes, targets = draw_test(data, at, PREFIXES)
    suffixes = draw_test(data, max(lengths), SUFFIXES)[0]
    _, begin = net.recurrent(net.encode(prefixes))
    first = _distances(begin)
    is_other = targets[:, -1, None] != targets[None, :, -1]
    is_same = ~is_other & (first > 0)
    sums = torch.zeros(2, len(lengths), dtype=torch.float64)
    for suffix in suffixes:
        state, done = begin, 0
        for place, length in enumerate(lengths):
            part = suffix[done:length].expand(PREFIXES, -1)
            _, state = net.recurrent(net.encode(part), state)
            done = length
            logs = (_distances(state) / first.clamp_min(1e-300)).clamp_min(1e-30).log()
            sums[0, place] += logs[is_other].mean() if is_other.any() else 0
            sums[1, place] += logs[is_same].mean() if is_same.any() else 0
    net.to(dtype)
    means = (sums / SUFFIXES).exp().tolist()
    return means[0], means[1]


def _distances(state: Any) -> Tensor:
    """Return the distance between the states of each pair of sequences, [B, B]; of several states that of the last."""
    last = state if isinstance(state, Tensor) else state[-1]
    states = last.transpose(0, 1).flatten(1)
    return torch.cdist(
        states, states, compute_mode="donot_use_mm_for_euclid_dist"
    )  # by products small ones would be lost


def _multiply(opened: Opened, tokens: Tensor) -> tuple[float, float]:
    """Return the largest and the smallest factor a step of the product of transitions over tokens [B, T].

    Raises:
        UserError: the cell is not affine in one state.
    """
    net, dtype = opened.task.net, opened.task.net.output.weight.dtype
    net.double()
    try:
        known = torch.arange(opened.data.task.vocabulary_size(opened.data.length))
        found = find_transition(net.recurrent, 0, net.encode(known[:, None])[:, 0])
    finally:
        net.to(dtype)
    largest, smallest = (math.exp(log / tokens.shape[1]) for log in _log_singular_values(found, tokens))
    return largest, smallest


def _log_singular_values(transition: Transition, tokens: Tensor) -> tuple[float, float]:
    """Return the logarithms of the largest and the smallest singular value of the products, in the mean over rows."""
    tiny = 1e-300
    if transition.is_diagonal:
        logs = transition.matrices.abs().clamp_min(tiny).log()[tokens].sum(1)  # [B, G]
        return logs.amax(1).mean().item(), logs.amin(1).mean().item()
    product = torch.eye(transition.matrices.shape[-1], dtype=torch.float64).expand(len(tokens), 1, -1, -1)
    inverse, scales = product, torch.zeros(2, len(tokens), transition.matrices.shape[1], dtype=torch.float64)
    inverses = torch.linalg.pinv(transition.matrices)
    for symbols in tokens.T:
        product, inverse = transition.matrices[symbols] @ product, inverse @ inverses[symbols]
        for number, one in enumerate((product, inverse)):
            size = one.norm(dim=(2, 3), keepdim=True).clamp_min(tiny)
            scales[number] += size.log()[..., 0, 0]
            if number:
                inverse = one / size
            else:
                product = one / size
    largest, least = (
        torch.linalg.matrix_norm(one, 2).clamp_min(tiny).log() + scale
        for one, scale in zip((product, inverse), scales, strict=True)
    )
    return largest.amax(1).mean().item(), -least.amax(1).mean().item()


def _draw(tracked: list[Tracked], title: str, path: Path) -> None:
    figure = new_figure(3, width=4.6, height=4.0)
    set_title(figure, title)
    left, middle, right = figure.subplots(1, 3)
    for number, each in enumerate(tracked):
        style: dict[str, Any] = {"color": COLOURS[number % 6], "marker": MARKERS[number % 7], "markersize": 4}
        left.plot(*zip(*each.accuracy.items(), strict=True), **style, label=plain(each.name), clip_on=False)
        middle.plot(*zip(*each.q.items(), strict=True), **style)
        right.plot(*zip(*each.different.items(), strict=True), **style)
        right.plot(*zip(*each.same.items(), strict=True), **style, linestyle="--", markerfacecolor="white")
        if (lost := each.lost_at()) is not None:
            for axes in (left, middle):
                axes.axvline(lost, color=style["color"], linewidth=0.8, linestyle=":")
    chance = {each.chance for each in tracked}
    for level in chance:
        left.axhline(level, color=COLOURS[-1], linewidth=0.8, linestyle=":")
    left.set(ylabel="accuracy", ylim=(0, 1.02))
    middle.set(ylabel="q: spread within a class over distance", yscale="log")
    right.set(ylabel="distance of two states over the first", yscale="log", ylim=(1e-12, 10))
    right.set_title("two states of different classes; dashed: of one class", fontsize="medium")
    middle.set_title("dotted: where the net is lost", fontsize="medium")
    left.set_title("shaded: lengths of training", fontsize="medium")
    for axes in (left, middle, right):
        axes.set(xlabel="symbols read" if axes is not right else "same symbols read", xscale="log")
        axes.grid(alpha=0.3)
    for axes in (left, middle):
        axes.axvspan(
            axes.get_xlim()[0], max(each.trained_at for each in tracked), color=COLOURS[-1], alpha=0.07, linewidth=0
        )
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    save(figure, path)


def _build_table(tracked: list[Tracked]) -> Table:
    columns = ("trained at", "lost at", "q there", "least q", "factor a step", "largest of the product", "smallest")
    table = Table("net", *(Column(name, justify="right") for name in columns))
    for each in tracked:
        lost = each.lost_at()
        numbers = [f"{value:.4f}" for value in each.products] if each.products else ["-", "-"]
        q = f"{each.q[lost]:.2f}" if lost else "-"
        table.add_row(
            each.name,
            str(each.trained_at),
            str(lost or "-"),
            q,
            f"{min(each.q.values()):.2f}",
            f"{each.factor():.4f}",
            *numbers,
        )
    return table
