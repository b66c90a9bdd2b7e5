"""Make SVG elements of figures that follow the page's colours and width, with their points for the page's script."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#010203"  # stands for the page's own colour of text


@contextmanager
def style(salt: str) -> Iterator[None]:
    """Draw in the page's colour of text, and leave texts to the browser's fonts.

    Args:
        salt: makes the ids in the SVG differ from those of other figures on the page.
    """
    import matplotlib

    values: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif", "font.size": 9}
    values |= dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
    with matplotlib.rc_context(values):
        yield


def element(axes: "Axes", curves: list[dict[str, Any]], label: str, *, unit: str) -> str:
    """Return the figure of `axes` as an `<svg>` element, as wide as its place.

    Args:
        curves: the label and the points [x, mean, deviation] of each, for the page's script.
        label: describes the figure to who cannot see it.
        unit: of x, in the text that the script shows at a point.
    """
    axes.grid(alpha=0.2, color=INK, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.patch.set_visible(False)
    axes.figure.patch.set_visible(False)
    text = StringIO()
    axes.figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})  # type: ignore[union-attr]
    points = {"axes": _place(axes, unit), "curves": curves}
    found = text.getvalue()
    found = found[found.index("<svg") :].replace(INK, "currentColor")
    found = re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.DOTALL)
    start, end = found.split(">", 1)
    start = re.sub(r' (width|height)="[^"]*"', "", start)
    data = escape(json.dumps(points, separators=(",", ":")))
    return f'{start} role="img" aria-label="{escape(label)}" data-points="{data}">{end}'


def _place(axes: "Axes", unit: str) -> dict[str, Any]:
    """Return the edges of the axes in the figure, in points from its upper left corner, and their limits."""
    box, height = axes.get_window_extent(), axes.figure.bbox.height
    size = 72 / axes.figure.dpi
    left, right, low, high = (size * edge for edge in (box.x0, box.x1, height - box.y0, height - box.y1))
    x, y = {"points": [left, right], "span": axes.get_xlim()}, {"points": [low, high], "span": axes.get_ylim()}
    return {"x": x | _scale(axes.get_xscale()) | {"unit": unit}, "y": y | _scale(axes.get_yscale())}


def _scale(name: str) -> dict[str, bool]:
    return {"log": name == "log"}
