"""Draw the actions on an external memory and its cells. Shapes: T steps, K cells."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from matplotlib.colors import to_rgb
from torch import Tensor

from lightning_dl2.common.figures import COLOURS, SEQUENTIAL, new_figure, plain, save, set_title
from lightning_dl2.decoding.vocabulary import NOT_COUNTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LABELS = 100  # symbols that fit beside each other
FADED = "#d9d9d9"  # the last action, which on a stack does nothing
WRONG = "#b2182b"


class Shown(NamedTuple):
    """One string, the actions and answers of the net, and the contents of its memory.

    Attributes:
        symbols: read at each step.
        answers, targets: NOT_COUNTED where there is none.
        actions: probabilities by name, [T].
        held: the number of the symbol in each cell after each step, [T, K].
        shares: how much of it, from 0 to 1, [T, K].
        delay: steps from the reading of a symbol to its writing.
    """

    symbols: list[str]
    answers: list[int]
    targets: list[int]
    actions: dict[str, Tensor]
    held: Tensor
    shares: Tensor
    delay: int


def draw(shown: Shown, visible: float, memory: str, title: str, path: Path) -> None:
    """Draw the figure; cells below the last one with a share above `visible` are left out."""
    steps = len(shown.symbols)
    filled = (shown.shares > visible).any(0).nonzero()
    rows = min(len(shown.shares[0]), int(filled[-1]) + 2 if len(filled) else 2)
    figure = new_figure(width=min(14.0, max(6.5, 0.28 * steps)), height=2.6 + min(6.0, max(1.5, 0.2 * rows)))
    set_title(figure, title)
    above, below = figure.subplots(2, 1, height_ratios=[1.2, min(6.0, max(1.5, 0.2 * rows))])
    _draw_actions(above, shown)
    _draw_cells(below, shown, rows, memory)
    ticks = range(0, steps, -(-steps // MOST_LABELS))
    above.set_xticks(ticks, [plain(shown.symbols[tick]) for tick in ticks])
    above.tick_params(labelbottom=False, labeltop=True, bottom=False, length=0)
    above.set_title("symbol that is read", fontsize="medium")
    _label_answers(below, shown, ticks)
    save(figure, path)


def _draw_actions(axes: "Axes", shown: Shown) -> None:
    steps, below = range(len(shown.symbols)), torch.zeros(len(shown.symbols))
    for number, (name, values) in enumerate(shown.actions.items()):
        last = number == len(shown.actions) - 1 and number > 0
        axes.bar(steps, values, 0.86, below, color=FADED if last else COLOURS[number % 6], label=name)
        below = below + values
    axes.set(ylabel="probability", ylim=(0, 1), xlim=(-0.5, len(steps) - 0.5))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")


def _draw_cells(axes: "Axes", shown: Shown, rows: int, memory: str) -> None:
    held, shares = shown.held[:, :rows].T, shown.shares[:, :rows].T
    known = sorted({int(symbol) for symbol in held.unique()})
    if len(known) <= len(COLOURS) - 1:
        colours = torch.tensor([to_rgb(COLOURS[number]) for number in range(len(known))])
        strengths = shares.unsqueeze(2)
        numbers = torch.tensor(known)
        image = 1 - strengths + strengths * colours[torch.searchsorted(numbers, held.contiguous())]
        axes.imshow(image.clamp(0, 1), aspect="auto", interpolation="nearest")
        for number, symbol in enumerate(known):
            axes.plot([], [], "s", color=COLOURS[number], label=f"holds {symbol}" if len(known) > 1 else "filled")
    else:
        axes.imshow(shares, aspect="auto", interpolation="nearest", cmap=SEQUENTIAL, vmin=0, vmax=1)
    depths = shown.shares.sum(1) - 0.5
    axes.step(range(len(depths)), depths, where="mid", color="black", linewidth=1.5, label="depth")
    axes.set(ylabel=f"cell of {memory}, 0 is read", ylim=(rows - 0.5, -0.5), xlim=(-0.5, len(depths) - 0.5))
    axes.locator_params("y", integer=True)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")


def _label_answers(axes: "Axes", shown: Shown, ticks: range) -> None:
    """Write the answers below the steps; a wrong one in another colour, with its target."""
    labels, wrong = [], []
    for tick in ticks:
        answer, target = shown.answers[tick], shown.targets[tick]
        known = target != NOT_COUNTED
        wrong.append(known and answer != target)
        labels.append(f"{answer}\n({target})" if wrong[-1] else str(answer) if known else "")
    if not any(labels):
        labels = [str(answer) if answer != NOT_COUNTED else "" for answer in (shown.answers[tick] for tick in ticks)]
    axes.set_xticks(ticks, labels)
    for label, is_wrong in zip(axes.get_xticklabels(), wrong, strict=True):
        label.set_color(WRONG if is_wrong else "black")
    says = "answer, and (its target) where it is wrong" if any(wrong) else "answer"
    axes.set_xlabel(f"{says}; a symbol is written {shown.delay} steps after it is read" if shown.delay else says)
