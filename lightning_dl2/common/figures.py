"""What all figures share: colours, size, and the numbers behind them as CSV."""

from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.files import csv_text, replacing, write_text, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart by the colour-blind. Black comes last: it is for levels and limits.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # and in grey by these
SEQUENTIAL, DIVERGING = "cividis", "RdBu_r"
TRAINING, VALIDATION = COLOURS[4], COLOURS[1]  # in learning curves

BASELINES = {"accuracy": "majority_baseline", "mean_absolute_error": "median_baseline"}  # of always the same answer

FUNCTIONS_OF_LOSS = ("bpc", "bits_per_byte", "perplexity")  # a panel each would show the same curve again


def distinct(metrics: Iterable[str]) -> list[str]:
    """The metrics, named without their split, that are worth a panel of their own."""
    names = [name for name in metrics if name not in FUNCTIONS_OF_LOSS]
    if "mean_absolute_error" in names and "loss" in names:  # is the loss, in the unit of the target instead of nats
        names.remove("loss")
    return names


def end_axis_at_bounds(axes: "Axes", metric: str) -> None:
    """End the vertical axis where the metric's values end: a share is between 0 and 1, and no axis goes on to 1.05."""
    data = axes.dataLim
    if metric == "accuracy" and 0 <= data.y0 <= data.y1 <= 1:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0.0), min(high, 1.0))
        for line in axes.lines:
            line.set_clip_on(False)  # along the border a line would be cut in half


def plain(text: str) -> str:
    """Write a text of the user's so that matplotlib shows it as it stands: `$` begins no formula.

    A character that no font can draw, such as a surrogate of a file's name that is not UTF-8, becomes U+FFFD.
    """
    drawable = "".join(each if each.isprintable() else "\ufffd" for each in text)
    return drawable.replace("$", r"\$")


def metric_label(name: str) -> str:
    """Name a metric on an axis, with its unit."""
    return plain(f"{name} (nats)" if name.startswith("loss") else name)


def new_figure(columns: int = 1, rows: int = 1, *, width: float = 5.0, height: float = 3.6) -> "Figure":
    """A figure for so many panels; without pyplot: no window system, no global state.

    Args:
        width: inches a panel; likewise `height`.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width * columns, height * rows), layout="constrained")


def set_title(figure: "Figure", title: str) -> None:
    """Write above all panels what they show, such as a run; broken into lines that are as wide as the figure."""
    lines = wrap(title, int(14 * figure.get_figwidth()), break_on_hyphens=False)
    figure.suptitle("\n".join(map(plain, lines)), fontsize="medium")


def save(figure: "Figure", path: Path) -> None:
    """Writes a PNG."""
    with replacing(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(temporary, dpi=150, format="png")


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes the numbers behind a figure."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, csv_text([header, *rows]))
