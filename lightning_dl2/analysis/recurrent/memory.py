"""Show the memory of trained nets: accuracy against length, and the steps that a length takes to learn.

`memory.png`: test accuracy of trained nets below, at and beyond their training length, with a panel for each training
length; without a curriculum a net has seen no other length. The last panel shows the optimiser steps until a run was
solved (see callbacks.solved) against its length; an open mark is an unsolved run at its last step. With several seeds a
line is the mean and the band the range. `accuracy.csv` and `runs.csv` hold the numbers.

Without `run`, nets of 64 units first learn decimal palindromes of some lengths (in `out`/memory/runs, once). The gated
cells train as in experiment=palindrome. The plain RNN does not learn that way, so it has one-hot digits and learning
rate 1e-3.
    run         run directories or trees of them, DIR[,DIR...]; unfinished runs are skipped and named
    checkpoint  best | last
    lengths     N[,N...] to test at, in the task's own count; auto: a quarter to eight times the training length
    size        test sequences of each length
    cells       cells to train, of rnn, gru, lstm, peephole, bilstm
    trained_at  N[,N...], training lengths
    seeds       S: each net trains with seeds 0 to S-1
    max_steps   optimiser steps after which an unsolved net stops
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

from rich.table import Column, Table

from lightning_dl2.analysis.arguments import NO_RUN, RunArguments
from lightning_dl2.analysis.figure_directory import run_name
from lightning_dl2.analysis.recurrent.lengths import Line, Measured, group_lines, measure
from lightning_dl2.analysis.recurrent.memory_figure import draw
from lightning_dl2.analysis.recurrent.trained import find_runs, train_small
from lightning_dl2.common.arguments import choices, whole, wholes
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.figures import write_csv
from lightning_dl2.tasks.sequence_reader import CELL_NAMES

COMPARES_RUNS = True
MINIMUM_LENGTH = 2  # of decimal palindromes
MINIMUM_STEPS = 10  # the first validation
WORDS = {"rnn": ("task.encoding=one_hot", "optimizer.learning_rate=1e-3")}


class Arguments(RunArguments):
    checkpoint: Literal["best", "last"] = "best"
    lengths: Annotated[tuple[int, ...], wholes(1)] | Literal["auto"] = "auto"  # `measure` checks each task's minimum
    size: Annotated[int, whole(1)] = 1024
    cells: Annotated[tuple[str, ...], choices(CELL_NAMES)] = ("rnn", "gru", "lstm", "peephole", "bilstm")
    trained_at: Annotated[tuple[int, ...], wholes(MINIMUM_LENGTH)] = (5, 10, 20)
    seeds: Annotated[int, whole(1)] = 1
    max_steps: Annotated[int, whole(MINIMUM_STEPS)] = 400


def analyze(out: Path, arguments: Arguments) -> Table:
    """Write the figure and the numbers; return a table of the accuracies.

    Raises:
        UserError: a value is not allowed, or no run can be tested.
    """
    checkpoint, lengths = arguments.checkpoint, None if arguments.lengths == "auto" else arguments.lengths
    if arguments.run == NO_RUN:
        if lengths and lengths[0] < MINIMUM_LENGTH:
            shown = ",".join(map(str, lengths))
            raise UserError(f"lengths={shown}: allowed: whole numbers N[,N...], {MINIMUM_LENGTH} or more")
        runs = [train_small(out / "runs", *words) for words in _list_trainings(arguments)]
    else:
        keys = "cells", "trained_at", "seeds", "max_steps"
        arguments.refuse(*keys, why="a run is trained already; fix: leave it out or remove run=DIR")
        runs = find_runs(arguments.run)
    measured, skipped = [], []
    for run in runs:
        try:
            measured.append(measure(run, checkpoint, lengths, arguments.size))
        except UserError as error:
            skipped.append(str(error) if str(run.path) in str(error) else f"run={run.path}: {error}")
    if not measured:
        raise UserError(skipped[0])
    lines = group_lines(measured)
    _write(out, lines)
    draw(lines, _name_figure(measured, checkpoint), out / "memory.png")
    for why in skipped:
        print(f"skipped: {why}", file=sys.stderr)
    return _build_table(lines)


def _name_figure(measured: list[Measured], checkpoint: str) -> str:
    """Return a title that names the run, or counts the runs."""
    if len(measured) == 1:
        return f"{run_name(measured[0].config)}, checkpoint {checkpoint}"
    experiments = dict.fromkeys(run.config.experiment for run in measured)
    return f"{len(measured)} runs of {', '.join(experiments)} (named in runs.csv), checkpoint {checkpoint}"


def _list_trainings(arguments: Arguments) -> list[list[str]]:
    """Return the overrides of each training that the arguments ask for."""
    steps = f"trainer.max_steps={arguments.max_steps}"
    return [
        [f"task.cell={cell}", f"data.sequence_length={length}", f"seed={seed}", steps, *WORDS.get(cell, ())]
        for cell in arguments.cells
        for length in arguments.trained_at
        for seed in range(arguments.seeds)
    ]


def _write(out: Path, lines: list[Line]) -> None:
    runs = [(line, measured) for line in lines for measured in line.runs]
    write_csv(
        out / "runs.csv",
        ["net", "trained_at", "seed", "solved_at", "steps", "run"],
        ([line.name, line.trained_at, run.seed, run.solved_at, run.steps, run.path] for line, run in runs),
    )
    write_csv(
        out / "accuracy.csv",
        ["net", "trained_at", "seed", "length", "accuracy", "majority_baseline"],
        (
            [line.name, line.trained_at, run.seed, length, accuracy, run.baselines[length]]
            for line, run in runs
            for length, accuracy in run.accuracies.items()
        ),
    )


def _build_table(lines: list[Line]) -> Table:
    lengths = sorted({length for line in lines for length in line.lengths})
    columns = ("trained at", "runs", "solved", "solved at", *map(str, lengths))
    table = Table("net", *(Column(column, justify="right") for column in columns), title="test accuracy by length")
    for line in lines:
        means = line.means()
        solved = [run.solved_at for run in line.runs if run.solved_at is not None]
        table.add_row(
            line.name,
            str(line.trained_at),
            str(len(line.runs)),
            str(len(solved)),
            f"{sum(solved) / len(solved):.0f}" if solved else "-",
            *(f"{means[length]:.3f}" if length in means else "" for length in lengths),
        )
    return table
