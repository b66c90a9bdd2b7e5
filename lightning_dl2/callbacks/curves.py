"""Draw figures/curves.png: the learning curves in metrics.csv."""

from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only

from lightning_dl2.common.figures import (
    BASELINES,
    TRAINING,
    VALIDATION,
    distinct,
    end_axis_at_bounds,
    new_figure,
    plain,
    save,
)
from lightning_dl2.common.run_files import read_metrics
from lightning_dl2.common.statistics import bare_name, find_metric, split_of

CROWDED = 150  # points; more markers would merge into a band
NAMES = {"train": "training", "val": "validation"}
STYLES = {  # colours for the colour-blind, and different lines for a print in grey
    "train": {"color": TRAINING, "linewidth": 1},
    "val": {"color": VALIDATION, "linewidth": 1.5, "marker": "o", "markersize": 3},
}


def draw_curves(metrics_file: Path, out: Path, baselines: dict[str, float] | None = None) -> bool:
    """Draw a panel for each validation metric, with training and validation in it.

    Args:
        baselines: metric name to the level of a dotted line, such as {"accuracy": 0.1}.

    Returns:
        False where there was nothing to draw.
    """
    rows = read_metrics(metrics_file)
    columns = list(rows[0]) if rows else []
    names = distinct(dict.fromkeys(bare_name(key) for key in columns if split_of(key) == "val"))
    if not names:
        return False
    figure = new_figure(len(names), width=4.5, height=3.5)
    lines = {}
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for split, style in STYLES.items():
            key = find_metric(columns, name, split) or ""
            points = [(int(row["step"]), float(row[key])) for row in rows if row.get(key)]
            if points:
                crowded = {"marker": None} if len(points) > CROWDED else {}
                (lines[NAMES[split]],) = axes.plot(*zip(*points, strict=True), **style | crowded)
        if baselines and name in baselines:
            level = axes.axhline(baselines[name], color="black", linestyle=":", linewidth=1)
            lines[BASELINES[name].replace("_", " ")] = level
        if name == "loss" and axes.dataLim.ymin * 10 < axes.dataLim.ymax:
            axes.set_yscale("log")  # within a decade, a logarithmic axis has hardly any labels
        axes.set(xlabel="optimiser step", ylabel=plain(name))
        axes.grid(alpha=0.3)
        end_axis_at_bounds(axes, name)
    figure.legend(lines.values(), lines.keys(), loc="outside upper center", ncols=3, frameon=False)
    save(figure, out)
    return True


class Curves(Callback):
    """Draw the learning curves when training ends, or after the test where only that logged a validation.

    Args:
        metrics_file: the run's metrics.csv.
        figures: the directory for curves.png.
    """

    def __init__(self, metrics_file: Path, figures: Path) -> None:
        self.metrics_file, self.figures = metrics_file, figures
        self._is_drawn = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._is_drawn:
            self._draw(pl_module)

    @rank_zero_only
    def _draw(self, pl_module: LightningModule) -> None:
        out = self.figures / "curves.png"
        spec = pl_module.hparams.get("spec", {})  # another library's module has no baselines
        levels = {metric: spec[baseline] for metric, baseline in BASELINES.items() if baseline in spec}
        self._is_drawn = draw_curves(self.metrics_file, out, levels)
