"""Memory: how far trained nets remember: accuracy against length, and the steps that a length takes to learn.

`memory.png`: the test accuracy of trained nets at, below and beyond the length that they were trained at, a panel for
each such length; without a curriculum a net has seen no other one. In the last panel the optimiser steps until a run
was solved (see callbacks.solved), against its length; an open mark where it was not, at the steps that it was trained.
Of several seeds a line is the mean, a band goes from the lowest to the highest. `accuracy.csv` and `runs.csv` have the
numbers.

Without `run`, nets of 64 units learn decimal palindromes of some lengths first (in `out`/memory/runs, once): the gated
cells as in experiment=palindrome; the plain RNN, which learns nothing so, from one-hot digits at learning rate 1e-3.
    run         run directories or trees of them, DIR[,DIR...]; what is not finished is left out, and named
    checkpoint  best | last
    lengths     N[,N...] to test at, as the task counts them; auto: a quarter to eight times those of training
    size        test sequences of each length
    cells       those to be trained, of rnn, gru, lstm, peephole, bilstm
    trained_at  N[,N...], the lengths to be trained at
    seeds       S: seeds 0 to S-1 of each
    max_steps   after which an unsolved net is given up
"""

import sys
from pathlib import Path

from rich.table import Table

from lightning_dl2.analysis.places import run_name
from lightning_dl2.analysis.recurrent.lengths import Line, Measured, lines_of, measure
from lightning_dl2.analysis.recurrent.memory_figure import draw
from lightning_dl2.analysis.recurrent.trained import find_runs, train_small
from lightning_dl2.common.arguments import choice, choices, natural, naturals, refuse
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.figures import write_csv
from lightning_dl2.nets import CELLS

COMPARES_RUNS = True
KEYS = {
    "run": "none",
    "checkpoint": "best",
    "lengths": "auto",
    "size": "1024",
    "cells": "rnn,gru,lstm,peephole,bilstm",
    "trained_at": "5,10,20",
    "seeds": "1",
    "max_steps": "400",
}
MINIMUM_LENGTH = 2  # of decimal palindromes
MINIMUM_STEPS = 10  # until the first validation
WORDS = {"rnn": ("task.encoding=one_hot", "optimizer.learning_rate=1e-3")}


def analyze(out: Path, values: dict[str, str]) -> Table:
    """Writes the figure and the numbers; returns the accuracies.

    Raises:
        UserError: a value is not allowed, or there is no run that can be tested.
    """
    checkpoint = choice(values, "checkpoint", ("best", "last"))
    size = natural(values, "size", least=1)
    trains = values["run"] == "none"
    least = MINIMUM_LENGTH if trains else 1  # each run's task has its own
    lengths = None if values["lengths"] == "auto" else naturals(values, "lengths", least=least)
    if trains:
        runs = [train_small(out / "runs", *words) for words in _trainings(values)]
    else:
        refuse(values, KEYS, ("cells", "trained_at", "seeds", "max_steps"), "runs are trained; allowed without run=DIR")
        runs = find_runs(values["run"])
    measured, left_out = [], []
    for run in runs:
        try:
            measured.append(measure(run, checkpoint, lengths, size))
        except UserError as error:
            left_out.append(str(error) if str(run.path) in str(error) else f"run={run.path}: {error}")
    if not measured:
        raise UserError(left_out[0])
    lines = lines_of(measured)
    _write(out, lines)
    draw(lines, _title(measured, checkpoint), out / "memory.png")
    for why in left_out:
        print(f"left out: {why}", file=sys.stderr)
    return _table(lines)


def _title(measured: list[Measured], checkpoint: str) -> str:
    """Say of which run the figure is, or of how many."""
    if len(measured) == 1:
        return f"{run_name(measured[0].config)}, checkpoint {checkpoint}"
    experiments = dict.fromkeys(run.config.experiment for run in measured)
    return f"{len(measured)} runs of {', '.join(experiments)} (named in runs.csv), checkpoint {checkpoint}"


def _trainings(values: dict[str, str]) -> list[list[str]]:
    """The words of each training that the values ask for."""
    cells = choices(values, "cells", (*CELLS, "bilstm"))
    lengths = naturals(values, "trained_at", least=MINIMUM_LENGTH)
    seeds = natural(values, "seeds", least=1)
    max_steps = natural(values, "max_steps", least=MINIMUM_STEPS)
    return [
        [f"task.cell={cell}", f"data.sequence_length={length}", f"seed={seed}", f"trainer.max_steps={max_steps}"]
        + list(WORDS.get(cell, ()))
        for cell in cells
        for length in lengths
        for seed in range(seeds)
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


def _table(lines: list[Line]) -> Table:
    lengths = sorted({length for line in lines for length in line.lengths})
    table = Table(title="test accuracy by length")
    table.add_column("net")
    for column in ("trained at", "runs", "solved", "solved at", *map(str, lengths)):
        table.add_column(column, justify="right")
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
