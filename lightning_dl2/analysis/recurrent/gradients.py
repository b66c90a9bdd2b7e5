"""Draw the gradient of the loss after the last token in the state at each step: |dL/dh(t)| and |dL/dc(t)|.

Without `run`: untrained RNN, GRU, and LSTM with forget bias 0, 1, 2 and chrono, with He initialisation, on one-hot
digits of palindromes. If the keys have the values of the course's public solutions, the figure shows their results too.
With `run`: every layer of the run's net on its validation data, trained and untrained, by the explicit path with the
same weights. A trained net has a small loss, so all its gradients are small: compare the slopes. L is the mean loss of
a batch of 128, and a norm is the mean over its sequences. A line is the geometric mean over initialisations, its band
the range.
    run          runs of sequence classifiers or text generators, DIR[,DIR...], or trees of them
    checkpoint   best | last | a file's name
    length       tokens read; not with run
    hidden_size  units; not with run
    sequences    number of sequences measured
    seeds        number of initialisations
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from rich.table import Table
from torch import Tensor

from lightning_dl2.analysis.arguments import NO_RUN, RunArguments
from lightning_dl2.analysis.figure_directory import run_name
from lightning_dl2.common.arguments import whole
from lightning_dl2.common.figures import COLOURS, MARKERS, new_figure, save, set_title, write_csv
from lightning_dl2.data.sequences.generators import draw_batch
from lightning_dl2.nets import RecurrentClassifier
from lightning_dl2.nets.recurrent.gradient_flow import Flow, band, fixed_batch, gradient_flow, steps_back
from lightning_dl2.run.directory import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMPARES_RUNS = False
CELLS: dict[str, dict[str, Any]] = {
    "RNN": {"cell": "rnn"},
    "GRU": {"cell": "gru"},
    "LSTM, forget bias 0": {"cell": "lstm", "forget_bias": 0.0},
    "LSTM, forget bias 1": {"cell": "lstm", "forget_bias": 1.0},
    "LSTM, forget bias 2": {"cell": "lstm", "forget_bias": 2.0},
    "LSTM, chrono": {"cell": "lstm", "forget_bias": "chrono"},
}
# |dL/dh| at PUBLISHED_STEPS steps back in public solutions of the course: untrained nets with the default arguments,
# apparently one initialisation each.
PUBLISHED_STEPS = 98
PUBLISHED = {
    "RNN": 2.4e-4,
    "LSTM, forget bias 0": 6.3e-13,
    "LSTM, forget bias 1": 9.8e-5,
    "LSTM, forget bias 2": 1.9e-2,
}
TRAINED, UNTRAINED = ", trained", ", untrained"
WORDS = {"h": "the output h", "c": "the cell state c"}
STAR = {"markersize": 11, "markeredgecolor": "black", "linestyle": "none"}

Curves = dict[str, Tensor]  # by name, [seeds, T] by steps back


class Arguments(RunArguments):
    length: Annotated[int, whole(2)] = 100
    hidden_size: Annotated[int, whole(1)] = 128
    sequences: Annotated[int, whole(1)] = 32
    seeds: Annotated[int, whole(1)] = 40


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write gradients.png and gradients.csv; return a table of the norms' decay.

    Raises:
        UserError: a value is not allowed, or the run has no recurrent net.
    """
    published, title = {}, "untrained nets"
    if arguments.run != NO_RUN:
        arguments.refuse("length", "hidden_size", why="a run has its own; fix: leave it out or remove run=DIR")
        run = Run.existing(arguments.run)
        title = f"{run_name(run.config())}, checkpoint {arguments.checkpoint}"
        curves = measure_run(run, arguments.checkpoint, arguments.sequences, arguments.seeds)
    else:
        arguments.refuse("checkpoint", why="untrained nets have no checkpoint; fix: give run=DIR too")
        curves = measure_cells(arguments.length, arguments.hidden_size, arguments.sequences, arguments.seeds)
        if not arguments.changed("length", "hidden_size"):
            published = PUBLISHED
    rows = (
        [f"dL/d{state}", name, steps, *(part[steps].item() for part in parts)]
        for state, series in curves.items()
        for name, norms in series.items()
        for parts in [band(norms)]
        for steps in range(norms.shape[1])
    )
    write_csv(out / "gradients.csv", ["gradient", "net", "steps_back", "geometric_mean", "lowest", "highest"], rows)
    draw(curves, published, title, out / "gradients.png")
    return _build_table(curves, published)


def measure_cells(
    length: int, hidden_size: int, sequences: int, seeds: int, cells: dict[str, dict[str, Any]] = CELLS
) -> dict[str, Curves]:
    """Return the gradient flow through untrained nets, by state; `cells` are arguments of `RecurrentClassifier`."""

    def flow(options: dict[str, Any], seed: int) -> Flow:
        torch.manual_seed(seed)
        sizes: dict[str, Any] = {"hidden_size": hidden_size, "sequence_length": length}
        net = RecurrentClassifier(10, 10, encoding="one_hot", initialization="kaiming", **sizes, **options)
        tokens, labels = draw_batch("decimal_palindrome", length + 1, sequences, seed=seed, split="train", step=0)
        return gradient_flow(net.double(), tokens, labels)  # vanished gradients underflow in float32

    flows = {name: [flow(options, seed) for seed in range(seeds)] for name, options in cells.items()}
    return _collect_curves(flows, lambda name, layer, direction: name)


def measure_run(run: Run, checkpoint: str, sequences: int, seeds: int) -> dict[str, Curves]:
    """Return the gradient flow through a run's net on its validation data, trained and newly initialised.

    Raises:
        UserError: the run has no recurrent net or no such checkpoint.
    """
    from lightning_dl2.analysis.recurrent.trained import load_recurrent
    from lightning_dl2.common import system
    from lightning_dl2.tasks.build import build_task

    config = run.config()
    task, data = load_recurrent(run, checkpoint)
    data.setup("validate")
    batch = fixed_batch(data.val_dataloader(), sequences)

    def untrained(seed: int) -> Flow:
        system.seed(seed)
        return gradient_flow(build_task(config.task, config.optimizer, data.spec).net.double(), *batch)

    flows = {TRAINED: [gradient_flow(task.net.double(), *batch)], UNTRAINED: [untrained(seed) for seed in range(seeds)]}

    def name(how: str, layer: int, direction: int) -> str:
        return f"layer {layer + 1}{', backwards' * direction}{how}"

    return _collect_curves(flows, name)


def _collect_curves(flows: dict[str, list[Flow]], name: Callable[[str, int, int], str]) -> dict[str, Curves]:
    """Return one curve per state, layer and direction of flows by seed."""
    curves: dict[str, Curves] = {}
    for how, found in flows.items():
        for state in found[0]:
            norms = torch.stack([steps_back(flow[state]) for flow in found])  # [seeds, L, N, T]
            for layer in range(norms.shape[1]):
                for direction in range(norms.shape[2]):
                    curves.setdefault(state, {})[name(how, layer, direction)] = norms[:, layer, direction]
    return curves


def draw(curves: dict[str, Curves], published: dict[str, float], title: str, path: Path) -> None:
    """Draw a panel for each state; `title` names the nets."""
    figure = new_figure(len(curves), width=5.2, height=4.2)
    set_title(figure, title)
    names = list(dict.fromkeys(_plain(name) for series in curves.values() for name in series))
    panels = figure.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for panel, (state, series) in zip(panels, curves.items(), strict=True):
        _draw(panel, series, names)
        for name in published if state == "h" else ():
            panel.plot(PUBLISHED_STEPS, published[name], marker="*", color=COLOURS[names.index(name)], **STAR)
        panel.set(
            xlabel="steps back from the loss, T - t", ylabel=rf"$|\partial L / \partial {state}(t)|$ (nats a unit)"
        )
        panel.set(title=f"what reaches {WORDS.get(state, f'the state {state}')}", yscale="log")
        panel.yaxis.set_tick_params(labelleft=True)
        panel.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    if published:
        handles += panels[0].plot([], [], marker="*", color="white", **STAR)
        labels.append(f"public solutions, {PUBLISHED_STEPS} steps back")
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    save(figure, path)


def _plain(name: str) -> str:
    """Return the name without its training state; nets that share it have the same colour."""
    return name.removesuffix(TRAINED).removesuffix(UNTRAINED)


def _draw(panel: "Axes", series: Curves, names: list[str]) -> None:
    for name, norms in series.items():
        number = names.index(_plain(name))
        mean, low, high = band(norms)
        steps = range(len(mean))
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4}
        style |= {"markevery": (3 * number, max(1, len(mean) // 5)), "linewidth": 1.3}  # spread the markers
        panel.plot(steps, mean, linestyle="--" if name.endswith(UNTRAINED) else "-", label=name, **style)
        panel.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)


def _build_table(curves: dict[str, Curves], published: dict[str, float]) -> Table:
    """Tabulate the norms next to the loss and far from it, and the mean factor per step between the two."""
    columns = ["gradient", "net", "at the end", "steps back", "there", "lowest to highest", "factor a step"]
    table = Table(*columns, *(["published", "ours / published"] if published else []))
    for state, series in curves.items():
        for name, norms in series.items():
            far = PUBLISHED_STEPS if published else norms.shape[1] - 1
            mean, low, high = (part.tolist() for part in band(norms))
            row = [f"dL/d{state}", name, f"{mean[0]:.1e}", str(far), f"{mean[far]:.1e}"]
            row += [
                f"{low[far]:.1e} to {high[far]:.1e}",
                f"{(mean[far] / mean[0]) ** (1 / far):.3f}" if far and mean[0] else "-",
            ]
            if state == "h" and name in published:
                row += [f"{published[name]:.1e}", f"{mean[far] / published[name]:.2f}"]
            table.add_row(*row)
    return table
