"""Measure during training how much of the gradient of the loss reaches each state of a recurrent net."""

import os
from itertools import product
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only

from lightning_dl2.common.figures import MARKERS, SEQUENTIAL, new_figure, save
from lightning_dl2.common.files import csv_text, open_to_append, write_text, writing
from lightning_dl2.loggers.gradient_flow_csv import COLUMNS, read_measurements, summarize
from lightning_dl2.loggers.metrics_csv import MetricsCSV
from lightning_dl2.nets.recurrent.gradient_flow import Flow, fixed_batch, gradient_flow, steps_back
from lightning_dl2.resume.requirements import needed
from lightning_dl2.resume.train_batches import datamodule_of

ROWS = 16  # sequences; the step-by-step path is slow
LINES = 6  # most steps of training in the figure


class GradientFlow(Callback):
    """Write |dL/dh(t)| and |dL/dc(t)| of the validation sequences every n steps; see nets/recurrent/gradient_flow.

    A measurement draws no random number and leaves the net as it is, so that it does not change training.

    Args:
        file: the CSV. A resumed run drops the rows after its step, since it measures them again.
        figures: the directory for gradient_flow.png, drawn when training ends.
        every_n_steps: optimiser steps between two measurements; the first is before training.
    """

    def __init__(self, file: Path, figures: Path, *, every_n_steps: int) -> None:
        self.file, self.figures, self.every_n_steps = file, figures, every_n_steps
        self._measured = -1
        self._batch: tuple[Any, ...] | None = None

    @rank_zero_only
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        fix = "call fit(task, datamodule) with a SequenceClassifier or TextGenerator and its data module"
        needed(self, pl_module, "net", fix)
        batch = fixed_batch(needed(self, datamodule_of(trainer), "val_dataloader", fix)(), ROWS)
        self._batch = tuple(part if part is None else part.to(pl_module.device) for part in batch)
        step = trainer.global_step
        rows = [row for row in read_measurements(self.file) if int(row[0]) <= step]
        here = [row for row in rows if int(row[0]) == step]
        # A process that was killed, or ran out of disk, while it wrote may have left a part.
        if here and self._is_due(step) and len(here) < len(self._measure(step, pl_module)):
            rows, here = rows[: -len(here)], []
        self._measured = step if here else -1
        write_text(self.file, csv_text([COLUMNS, *rows]))
        self._measure_if_due(trainer, pl_module)

    @rank_zero_only
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        self._measure_if_due(trainer, pl_module)

    @rank_zero_only
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        draw(self.file, self.figures / "gradient_flow.png")

    def _measure_if_due(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = trainer.global_step
        if not self._is_due(step) or step == self._measured:
            return
        self._measured = step
        rows = self._measure(step, pl_module)
        with writing(self.file), open_to_append(self.file) as file:
            file.write(csv_text(rows))
            file.flush()
            os.fsync(file.fileno())  # before the checkpoint of this step
        metrics = summarize(rows)
        for logger in trainer.loggers:
            if not isinstance(logger, MetricsCSV):  # the measurements have a CSV of their own
                logger.log_metrics({name: float(value) for name, value in metrics.items()}, step)

    def _is_due(self, step: int) -> bool:
        return step % self.every_n_steps == 0

    def _measure(self, step: int, pl_module: Any) -> list[tuple[Any, ...]]:
        assert self._batch
        flow = gradient_flow(pl_module.net, *self._batch)
        return _rows(step, {name: steps_back(norms) for name, norms in flow.items()})


def draw(file: Path, path: Path) -> None:
    """Draw a gradient_flow.csv: a panel for each state and layer, a line for each of a few steps of training."""
    import matplotlib

    curves: dict[tuple[str, ...], list[tuple[int, float]]] = {}
    for *key, place, norm in read_measurements(file):
        curves.setdefault(tuple(key), []).append((int(place), float(norm)))
    if not curves:  # turned on late, and no step has been due
        return
    steps, states, layers, directions = (list(dict.fromkeys(column)) for column in zip(*curves, strict=True))
    if len(steps) > LINES:
        steps = [steps[round(line * (len(steps) - 1) / (LINES - 1))] for line in range(LINES)]
    colours = matplotlib.colormaps[SEQUENTIAL].resampled(len(steps) + 1)  # the last colour is too bright for a line
    figure, lines = new_figure(len(states), len(layers)), {}
    panels = figure.subplots(len(layers), len(states), squeeze=False, sharex=True, sharey=True).flat
    for panel, (layer, state) in zip(panels, product(layers, states), strict=True):
        for (number, step), direction in product(enumerate(steps), directions):
            label, style = (f"step {step}", "-") if direction == "forward" else (f"step {step}, backward", ":")
            points = curves[step, state, layer, direction]
            marks = {"marker": MARKERS[number], "markersize": 4, "markevery": (number, max(1, len(points) // 6))}
            line = {"color": colours(number), "linewidth": 1.3} | marks
            (lines[label],) = panel.plot(*zip(*points, strict=True), style, **line)
        panel.set(title=f"layer {layer}" if len(layers) > 1 else "", yscale="log")
        panel.set(xlabel="steps back from the loss, T - t")
        panel.set(ylabel=rf"$|\partial L / \partial {state}(t)|$")
        panel.grid(alpha=0.3)
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=LINES, frameon=False)
    save(figure, path)


def _rows(step: int, flow: Flow) -> list[tuple[Any, ...]]:
    return [
        (step, name, layer, direction, steps, repr(norm))
        for name, norms in flow.items()
        for layer, of_layer in enumerate(norms.tolist(), start=1)
        for direction, of_direction in zip(("forward", "backward"), of_layer, strict=False)
        for steps, norm in enumerate(of_direction)
    ]
