"""Share colours, sizes and helpers between all figures, and write the numbers behind them as CSV."""

from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.files import csv_text, replacing, write_text, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008): distinct for the colour-blind. Black comes last: it is for levels and limits.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # distinct in grey, too
SEQUENTIAL, DIVERGING = "cividis", "RdBu_r"
DPI = 150  # dots per inch of every figure
TRAINING, VALIDATION = COLOURS[4], COLOURS[1]  # in learning curves

BASELINES = {  # of a constant prediction
    "accuracy": "majority_baseline",
    "mean_squared_error": "mean_baseline",
    "mean_absolute_error": "median_baseline",
    "root_mean_squared_error": "mean_baseline",
}

FUNCTIONS_OF_LOSS = ("bpc", "bits_per_byte", "perplexity")  # their panels would repeat the curve of the loss


def distinct(metrics: Iterable[str]) -> list[str]:
    """Select the metrics, named without their split, that deserve a panel of their own."""
    names = [name for name in metrics if name not in FUNCTIONS_OF_LOSS]
    if "mean_absolute_error" in names and "loss" in names:  # the same curve, in the unit of the target
        names.remove("loss")
    return names


def end_axis_at_bounds(axes: "Axes", metric: str) -> None:
    """End the vertical axis at the bounds of the metric: an accuracy lies between 0 and 1."""
    data = axes.dataLim
    if metric == "accuracy" and 0 <= data.y0 <= data.y1 <= 1:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0.0), min(high, 1.0))
        for line in axes.lines:
            line.set_clip_on(False)  # a line along the border would be cut in half


def plain(text: str) -> str:
    """Escape a text so that matplotlib shows it literally: `$` starts no formula.

    A character that no font can draw, such as a surrogate of a file name that is not UTF-8, becomes U+FFFD.
    """
    drawable = "".join(each if each.isprintable() else "\ufffd" for each in text)
    return drawable.replace("$", r"\$")


def new_figure(columns: int = 1, rows: int = 1, *, width: float = 5.0, height: float = 3.6) -> "Figure":
    """Make a figure for columns x rows panels, without pyplot and so without a window or global state.

    Args:
        width: of a panel, in inches; likewise `height`.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width * columns, height * rows), layout="constrained")


def set_title(figure: "Figure", title: str) -> None:
    """Set a title above all panels, wrapped to the width of the figure."""
    lines = wrap(title, int(11 * figure.get_figwidth()), break_on_hyphens=False)
    figure.suptitle("\n".join(map(plain, lines)), fontsize="medium")


def save(figure: "Figure", path: Path) -> None:
    """Write a PNG."""
    with replacing(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(temporary, dpi=DPI, format="png")


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write the numbers behind a figure."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, csv_text([header, *rows]))
