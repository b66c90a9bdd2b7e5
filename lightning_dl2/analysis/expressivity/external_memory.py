"""Show what a net writes on its external memory while it reads one string: a stack, a tape, or yours.

`external_memory.png`: above, the probabilities of the actions at each step (of a stack: push, pop, no-op), with the
symbols that are read; below, the cells of the memory after each step. A cell's colour is the symbol that it holds, its
strength how much of it: a blurred cell is pale. The line is the depth, the sum of these strengths. Below stand the
answers; a wrong one has its target beside it. `actions.csv` and `cells.csv` hold the numbers.

A cell holds the symbol whose written vector it is nearest to: the mean of what the net writes when it has read the
symbol, at once or a few steps later, whichever tells the symbols apart best.
Without `run`, a net with a stack first learns to reverse strings of bits (in `out`/external_memory/runs, once).
    run         runs of nets with an external memory, DIR[,DIR...], or trees of them: cells with an attribute `memory`
    checkpoint  best | last | a file's name
    string      tokens to be read, as 0110 or 0,1,1,0; empty places for the answer are added; auto: a test string
    length      of a test string, as the task counts it; auto: half the longest length of training
    sequence    number of the test string
    layer       number of the layer, 1 is the lowest
    max_steps   optimiser steps after which the net that is trained here stops
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from rich.table import Column, Table
from torch import Tensor

from lightning_dl2.analysis.arguments import NO_RUN, RunArguments
from lightning_dl2.analysis.expressivity.external_memory_figure import Shown, draw
from lightning_dl2.analysis.expressivity.readers import (
    FIRST_VALIDATION,
    SMALL,
    Sequences,
    check_layer,
    draw_test,
    open_reader,
    read_explicitly,
    read_string,
)
from lightning_dl2.analysis.figure_directory import run_name
from lightning_dl2.analysis.recurrent.trained import train_once
from lightning_dl2.common.arguments import Text, whole
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.figures import write_csv
from lightning_dl2.decoding.vocabulary import NOT_COUNTED
from lightning_dl2.run.directory import Run

COMPARES_RUNS = False
LONGEST_DELAY = 3  # steps
VISIBLE = 0.05  # share of a symbol from which on a cell counts as filled
TRAINED = (
    *("experiment=chomsky/reverse_string", "task.cell=stack_rnn", "task.hidden_size=64", "data.sequence_length=20"),
    *("data.validation_size=128", "optimizer.learning_rate=3e-3"),
    *SMALL,
)


class Arguments(RunArguments):
    string: Text = "auto"
    length: Annotated[int, whole(1)] | Literal["auto"] = "auto"
    sequence: Annotated[int, whole()] = 0
    layer: Annotated[int, whole(1)] = 1
    max_steps: Annotated[int, whole(FIRST_VALIDATION)] = 1000


class Held(NamedTuple):
    """Contents of the cells of a memory after each step, [T, K].

    Attributes:
        symbols: the number of the nearest symbol.
        shares: how much of it, from 0 to 1.
        delay: steps from the reading of a symbol to its writing.
    """

    symbols: Tensor
    shares: Tensor
    delay: int = 0


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write the figure and the numbers; return a table of the actions while the net reads and while it answers.

    Raises:
        UserError: a value is not allowed, or the net has no external memory.
    """
    if arguments.string != "auto":
        arguments.refuse("length", "sequence", why="the string is given; fix: leave it out or remove string")
    if arguments.run == NO_RUN:
        run = train_once(out / "runs", *TRAINED, f"trainer.max_steps={arguments.max_steps}")
    else:
        arguments.refuse("max_steps", why="a run is trained already; fix: leave it out or remove run=DIR")
        run = Run.existing(arguments.run)
    task, data = open_reader(run, arguments.checkpoint)
    cell, layer = task.net.recurrent.cell, check_layer(arguments.layer, task)
    if getattr(cell, "memory", None) is None:
        config: Any = run.config().task
        says = f"cell={config.cell} has no external memory; allowed: cells that name one, as `memory`"
        raise UserError(f"run={run.path}: {says}")
    sequences = _choose(arguments, data)
    tokens, targets = (part[0] for part in sequences)
    empty = getattr(data.task, "symbols", None)  # of a string task: the empty place
    inputs = _count_inputs(tokens, targets, empty)
    answers, values = read_explicitly(task, sequences, layer, inputs)
    memory = values[cell.memory][:, 0]  # [T, K, C]
    written = values[cell.written][:, 0] if getattr(cell, "written", None) else None
    actions = {name: values[name][:, 0].flatten(1).mean(1) for name in cell.gates}
    held = hold(memory, written, tokens[:inputs])
    names = [str(token) for token in tokens.tolist()]
    if empty is not None:
        names = ["\u00b7" if token == empty else name for token, name in zip(tokens.tolist(), names, strict=True)]
    shown = Shown(names, answers[0].tolist(), targets.tolist(), actions, *held)
    title = f"{run_name(run.config())}, checkpoint {arguments.checkpoint}, layer {arguments.layer}"
    draw(shown, VISIBLE, cell.memory, title, out / "external_memory.png")
    _write(out, shown, memory)
    return _build_table(shown, inputs)


def hold(memory: Tensor, written: Tensor | None, symbols: Tensor) -> Held:
    """Tell which symbol each cell of a memory holds.

    Args:
        memory: the cells after each step, [T, K, C].
        written: what each step writes, [T, C]; None: nobody knows, and a share is the length of a cell over the longest
            one, of symbol 0.
        symbols: read at the first steps, those of the input, [I].
    """
    if written is None:
        lengths = memory.norm(dim=2)
        return Held(torch.zeros(lengths.shape, dtype=torch.int64), lengths / lengths.max().clamp_min(1e-12))
    known = symbols.unique()
    delay = max(range(min(LONGEST_DELAY, len(written) - len(symbols)) + 1), key=lambda d: _told(written[d:], symbols))
    means = _means(written[delay:], symbols)
    squares = means.square().sum(1).clamp_min(1e-12)
    shares = (torch.einsum("tkc,sc->tks", memory, means) / squares).clamp(0, 1)
    distances = (memory.unsqueeze(2) - shares.unsqueeze(3) * means).norm(dim=3)
    nearest = distances.argmin(2, keepdim=True)
    return Held(known[nearest.squeeze(2)], shares.gather(2, nearest).squeeze(2), delay)


def _means(written: Tensor, symbols: Tensor) -> Tensor:
    """Return the mean of what is written for each symbol, [S, C]."""
    mine = written[: len(symbols)]
    return torch.stack([mine[symbols == symbol].mean(0) for symbol in symbols.unique()])


def _told(written: Tensor, symbols: Tensor) -> float:
    """Return the share of the variance of what is written that lies between symbols (eta squared)."""
    mine = written[: len(symbols)]
    around = mine - mine.mean(0)
    within = mine - _means(written, symbols)[symbols.unique(return_inverse=True)[1]]
    return 1 - (within.square().sum() / around.square().sum().clamp_min(1e-12)).item()


def _choose(arguments: Arguments, data: Any) -> Sequences:
    if arguments.string != "auto":
        return read_string(arguments.string, data)
    length = max(data.task.minimum_length, data.length // 2) if arguments.length == "auto" else arguments.length
    tokens, targets = draw_test(data, length, arguments.sequence + 1)
    return tokens[-1:], targets[-1:]


def _count_inputs(tokens: Tensor, targets: Tensor, empty: int | None) -> int:
    """Return the steps before the first answer, or before the first empty place where no target is known; else all."""
    marked = (targets != NOT_COUNTED).nonzero()
    if not len(marked) and empty is not None:
        marked = (tokens == empty).nonzero()
    return max(1, int(marked[0])) if len(marked) else len(tokens)


def _write(out: Path, shown: Shown, memory: Tensor) -> None:
    depths = shown.shares.sum(1).tolist()
    marked = [["" if number == NOT_COUNTED else number for number in part] for part in (shown.answers, shown.targets)]
    columns = shown.symbols, *marked, *(values.tolist() for values in shown.actions.values()), depths
    rows = ([step, *values] for step, values in enumerate(zip(*columns, strict=True), start=1))
    write_csv(out / "actions.csv", ["step", "symbol", "answer", "target", *shown.actions, "depth"], rows)
    rows = (
        [
            step + 1,
            place,
            shown.held[step, place].item(),
            shown.shares[step, place].item(),
            *memory[step, place].tolist(),
        ]
        for step in range(len(memory))
        for place in range(memory.shape[1])
        if shown.shares[step, place] > VISIBLE
    )
    numbers = [f"value_{number}" for number in range(memory.shape[2])]
    write_csv(out / "cells.csv", ["step", "cell", "holds", "share", *numbers], rows)


def _build_table(shown: Shown, inputs: int) -> Table:
    counted = torch.tensor(shown.targets) != NOT_COUNTED
    right = (torch.tensor(shown.answers) == torch.tensor(shown.targets))[counted]
    parts = {"before the first answer": slice(0, inputs)}
    if inputs < len(shown.symbols):
        parts["from the first answer on"] = slice(inputs, None)
    columns = [*shown.actions, "least certain step", "depth at the end"]
    right_ones = f"{int(right.sum())} of {len(right)} answers are right; " if len(right) else ""
    title = f"{right_ones}a symbol is written {shown.delay} steps after it is read"
    table = Table("mean probability", *(Column(name, justify="right") for name in columns), title=title)
    for name, steps in parts.items():
        inside = torch.stack([values[steps] for values in shown.actions.values()])
        means, certain = inside.mean(1).tolist(), inside.amax(0).min().item()
        table.add_row(
            name, *(f"{mean:.3f}" for mean in means), f"{certain:.3f}", f"{shown.shares[steps][-1].sum():.2f}"
        )
    return table
