"""Show the gates of a trained net while it reads sequences.

`sequence.png`: every gate and state of each unit on one sequence. `saturation.png`: shares of open and shut gates over
many sequences. `state.png`: the size that each step writes into the cell state and keeps of it, the part of each step's
writing in the last state, and that part's share in the variance between labels. `label.png`: the accuracy of a linear
probe that reads the label from the state at each step, before and after training, and each unit's share of variance
between labels. In a decimal palindrome the label is the first digit.

Without `run`, an LSTM of 64 units first learns palindromes of 21 digits (in `out`/gates/runs, once).
    run         runs of sequence classifiers or text generators, DIR[,DIR...], or trees of them; a text has no labels,
                so no label.png; a cell without a forget gate has no state.png, one without gates no saturation.png
    checkpoint  best | last | a file's name
    sequence    number of the sequence in sequence.png
    size        sequences behind the other figures (a text may have fewer); the probe learns from half of them; memory
                holds the net's quantities at all their steps
    layer       number of the layer, 1 is the lowest
    direction   forward | backward; backwards the last token is the first step
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from rich.table import Column, Table
from torch import Tensor

from lightning_dl2.analysis.arguments import NO_RUN, RunArguments
from lightning_dl2.analysis.figure_directory import run_name
from lightning_dl2.analysis.recurrent import gate_figures as figures
from lightning_dl2.analysis.recurrent import gate_statistics as statistics
from lightning_dl2.analysis.recurrent.gate_statistics import Trace
from lightning_dl2.analysis.recurrent.trained import load_recurrent, train_small, untrained_classifier
from lightning_dl2.common.arguments import whole
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.figures import write_csv
from lightning_dl2.data import SequenceDataModule, TextDataModule
from lightning_dl2.data.sequences.generators import draw_batch, majority_share
from lightning_dl2.data.sequences.module import EVALUATION_SEED
from lightning_dl2.nets.recurrent.gradient_flow import fixed_batch
from lightning_dl2.run.directory import Run

COMPARES_RUNS = False
BINS = 50
TEXT_SHOWN = 80  # characters of a window


class Arguments(RunArguments):
    sequence: Annotated[int, whole()] = 0
    size: Annotated[int, whole(8)] = 2048
    layer: Annotated[int, whole(1)] = 1
    direction: Literal["forward", "backward"] = "forward"


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write the figures and their numbers; return a table of the gates' means and saturation.

    Raises:
        UserError: a value is not allowed, or the run has no recurrent net.
    """
    layer, direction, sequence = arguments.layer - 1, int(arguments.direction == "backward"), arguments.sequence
    _check_sequence(sequence, arguments.size)
    if arguments.run == NO_RUN:
        arguments.refuse("layer", "direction", why="the net has one layer, forwards; fix: give run=DIR too")
        if arguments.checkpoint not in ("best", "last"):
            raise UserError(f"checkpoint={arguments.checkpoint}: allowed: best, last")
        run = train_small(out / "runs")
    else:
        run = Run.existing(arguments.run)
    task, data = load_recurrent(run, arguments.checkpoint)
    blocks = statistics.blocks(task.net)
    if layer >= (layers := sum(block.num_layers for block in blocks)):
        raise UserError(f"layer={arguments.layer}: is above the top layer; allowed: 1 to {layers}")
    if direction >= blocks[0].num_directions:
        raise UserError("direction=backward: the net reads forwards only; allowed: forward")
    cell = blocks[0].cell

    if isinstance(data, TextDataModule):
        tokens, labels = fixed_batch(data.test_dataloader(), arguments.size)[0], None
        _check_sequence(sequence, len(tokens))
    else:
        _check_generated(run, data)
        tokens, labels = draw_batch(data.task, data.length, arguments.size, seed=EVALUATION_SEED, split="test", step=0)
    trace = statistics.read(task.net, tokens, layer, direction)
    shown = (tokens[sequence].flip(0) if direction else tokens[sequence]).tolist()
    if isinstance(data, TextDataModule):
        names = [data.vocabulary.decode([token]) for token in shown[:TEXT_SHOWN]]
    else:
        names = [str(token) if tokens.dim() == 2 else " ".join(f"{value:.2g}" for value in token) for token in shown]
    title = f"{run_name(run.config())}, checkpoint {arguments.checkpoint}"
    title += f", layer {arguments.layer}, {arguments.direction}"
    sorted_by = cell.forget_gate or "h"
    order = trace[sorted_by][:, sequence].mean(0).argsort(descending=True)
    _sequence(out, trace, names, f"{title}, sequence {sequence}", sequence, order, f"its mean {sorted_by}")
    saturated = _write_saturation(out, cell, trace, title) if cell.gates else {}
    if statistics.keeps_its_state(cell, trace):
        _write_state(out, cell, trace, labels, title)
    if labels is None or isinstance(data, TextDataModule):
        return _build_table(saturated, {})

    untrained = statistics.read(untrained_classifier(run, data).net, tokens, layer, direction)
    half = arguments.size // 2
    accuracies = {
        f"{name}, {when}": statistics.probe(seen[name], labels, half)
        for when, seen in {"trained": trace, "untrained": untrained}.items()
        for name in cell.state
    }
    state = statistics.state_name(cell)
    baseline = majority_share(data.task, data.length, labels[-half:])  # of the sequences that test the probe
    _draw_label(out, accuracies, baseline, statistics.separation(trace[state], labels), state, title)
    return _build_table(saturated, accuracies)


def _check_generated(run: Run, data: Any) -> None:
    if not isinstance(data, SequenceDataModule):
        name = run.config().data.title
        raise UserError(f"run={run.path}: reads sequences that are given ({name}); allowed: generated ones, or a text")


def _check_sequence(number: int, size: int) -> None:
    if number >= size:
        raise UserError(f"sequence={number}: allowed: whole numbers, 0 to {size - 1}")


def _sequence(
    out: Path, trace: Trace, tokens: list[str], title: str, number: int, order: Tensor, sorted_by: str
) -> None:
    units = {name: values for name, values in trace.items() if values.shape[2] == len(order)}
    if others := [name for name in trace if name not in units]:
        print(f"note: {', '.join(others)}: left out of sequence.png, for other units than {sorted_by}", file=sys.stderr)
    maps = {name: values[: len(tokens), number, order].T for name, values in units.items()}  # [H, T]
    figures.draw_sequence(maps, tokens, sorted_by, title, out / "sequence.png")
    rows = (
        [step, token, unit, *(values[place, step - 1].item() for values in maps.values())]
        for place, unit in enumerate(order.tolist())
        for step, token in enumerate(tokens, start=1)
    )
    write_csv(out / "sequence.csv", ["step", "token", "unit", *maps], rows)


def _write_saturation(out: Path, cell: Any, trace: Trace, title: str) -> dict[str, tuple[float, float, float]]:
    """Draw the saturation; return mean, share near the lower and share near the upper bound of each gate."""
    shares, histograms, summary = {}, {}, {}
    for name in cell.gates:
        low, high = statistics.bounds(cell, name, trace[name])
        counts = torch.histc(trace[name], BINS, low, high)
        histograms[name] = (torch.linspace(low, high, BINS + 1), counts / counts.sum())
        shares[name] = statistics.saturation(trace[name], (low, high))
        lower, upper = (share.mean().item() for share in shares[name])
        summary[name] = trace[name].mean().item(), lower, upper
    figures.draw_saturation(histograms, shares, title, out / "saturation.png")
    rows = (
        [name, edges[place].item(), edges[place + 1].item(), share.item()]
        for name, (edges, values) in histograms.items()
        for place, share in enumerate(values)
    )
    write_csv(out / "saturation.csv", ["gate", "from", "to", "share"], rows)
    rows = (
        [name, unit, low.item(), high.item()]
        for name, pair in shares.items()
        for unit, (low, high) in enumerate(zip(*pair, strict=True))
    )
    write_csv(out / "saturation_units.csv", ["gate", "unit", "share_near_lower", "share_near_upper"], rows)
    return summary


def _write_state(out: Path, cell: Any, trace: Trace, labels: Tensor | None, title: str) -> None:
    written, kept = statistics.written_and_kept(cell, trace)
    state = statistics.state_name(cell)
    parts = statistics.surviving(cell, trace)
    sizes = {"written": written, "kept": kept, "state": trace[state], "surviving": parts}
    means = {name: values.abs().mean((1, 2)).tolist() for name, values in sizes.items()}
    if labels is not None:
        means["label_share"] = statistics.label_share(parts, labels).tolist()
    figures.draw_state(means, state, title, out / "state.png")
    write_csv(out / "state.csv", ["step", *means], zip(range(1, len(written) + 1), *means.values(), strict=True))


def _draw_label(
    out: Path, accuracies: dict[str, Tensor], baseline: float, shares: Tensor, state: str, title: str
) -> None:
    """Draw and write the probe's accuracies and `shares`, [T, H], the result of `statistics.separation`."""
    order = shares[-1].argsort(descending=True)
    figures.draw_label(accuracies, shares[:, order].T, baseline, state, title, out / "label.png")
    header = ["step", *(name.replace(", ", "_") for name in accuracies)]
    columns = (values.tolist() for values in accuracies.values())
    write_csv(out / "label.csv", header, zip(range(1, len(shares) + 1), *columns, strict=True))
    rows = (
        [unit, step, share] for unit in order.tolist() for step, share in enumerate(shares[:, unit].tolist(), start=1)
    )
    write_csv(out / "label_units.csv", ["unit", "step", "share_between_labels"], rows)


def _build_table(saturated: dict[str, tuple[float, float, float]], accuracies: dict[str, Tensor]) -> Table:
    probed = ("accuracy of a probe: worst step", "last step") if accuracies else ()
    columns = ("mean", "near its lower end", "near its upper end", *probed)
    table = Table("", *(Column(column, justify="right") for column in columns))
    for name, numbers in saturated.items():
        table.add_row(figures.label(name), *(f"{number:.3f}" for number in numbers))
    table.add_section()
    for name, values in accuracies.items():
        table.add_row(f"label from {name}", "", "", "", f"{values.min():.3f}", f"{values[-1]:.3f}")
    return table
