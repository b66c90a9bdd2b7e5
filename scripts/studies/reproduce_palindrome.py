"""Reproduce the tables of the sequence experiments: train missing runs, resume interrupted ones, print the results.

    python scripts/studies/reproduce_palindrome.py [STUDY ...] [jobs=1] [threads=1] [root=runs] [only=PHRASE] [seeds=0]

STUDY is course (the course's own settings), good (settings that solve the same tasks fast), long (palindromes of up to
10,001 digits) or cells (the other cells on the tasks of long); by default all. `jobs` runs train at the same time, with
`threads` threads each. `only` keeps the rows whose name contains the phrase; `seeds` limits the seeds of each row (0:
no limit). "Solved at" is the step of the first of two consecutive validations (five with a curriculum) at or above the
experiment's threshold.
"""

import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.table import Table  # noqa: E402

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.common.command import command, console, read_docstring  # noqa: E402
from lightning_dl2.run.directory import Run  # noqa: E402
from scripts.studies.study import StudyArguments, format_markdown, format_spread, read_study, train_all  # noqa: E402


@dataclass(frozen=True)
class Row:
    """A row of the table: a setting, trained with several seeds."""

    study: str
    name: str
    overrides: tuple[str, ...]
    seeds: int
    public: str  # our goal, and the results of public solutions of the course, which use another protocol


def course_rows() -> list[Row]:
    rows = []
    reported = {
        ("binary_palindrome", 10, "lstm"): "0.984 0.998 1.000",
        ("binary_palindrome", 10, "peephole"): "0.974 0.898 0.988",
        ("binary_palindrome", 20, "lstm"): "0.671 0.752 1.000",
        ("binary_palindrome", 20, "peephole"): "0.780 0.868 0.918",
        ("random_combinations", 5, "lstm"): "25 batches",
        ("random_combinations", 10, "lstm"): "125 batches",
        ("random_combinations", 15, "lstm"): "545 batches",
        ("random_combinations", 5, "bilstm"): "18 batches",
        ("random_combinations", 10, "bilstm"): "81 batches",
        ("random_combinations", 15, "bilstm"): "298 batches",
        ("baum_sweet", 4, "lstm"): "588-690 steps",
        ("baum_sweet", 5, "lstm"): "729-846 steps",
        ("baum_sweet", 6, "lstm"): "950-1092 steps",
        ("baum_sweet", 4, "gru"): "1283-1417 steps",
        ("baum_sweet", 5, "gru"): "1453-1645 steps",
        ("baum_sweet", 6, "gru"): "1619-1982 steps",
        ("palindrome", 51, "rnn"): "1.0",
        ("palindrome", 101, "rnn"): "0.325",
        ("palindrome", 151, "rnn"): "0.104",
        ("palindrome", 51, "lstm"): "1.0",
        ("palindrome", 101, "lstm"): "0.774",
        ("palindrome", 151, "lstm"): "0.328",
    }
    lengths = {
        "random_combinations": (5, 10, 15),
        "baum_sweet": (4, 5, 6),
        "binary_palindrome": (10, 20),
        "palindrome": (51, 101, 151),
    }
    for task, sizes in lengths.items():
        for size in sizes:
            for cell in ("lstm", "bilstm", "gru", "peephole", "rnn"):
                form = {"gru": ("task.bias=false",), "peephole": ("task.peephole=assignment",)}.get(cell, ())
                overrides = (f"experiment=course/{task}", f"data.sequence_length={size}", f"task.cell={cell}", *form)
                public = reported.get((task, size, cell), "")
                rows.append(Row("course", f"{task} {size} {cell}", overrides, 3, public))
    # Others do not report their encoding. With digits as numbers, as in the course's template, the RNN learns nothing.
    for row in [row for row in rows if row.name.startswith("palindrome") and row.name.endswith("rnn")]:
        rows.append(replace(row, name=f"{row.name}, one-hot", overrides=(*row.overrides, "task.encoding=one_hot")))
    return rows


def good_rows() -> list[Row]:
    grows = {"enabled": "true", "start": 5, "growth": 2, "smoothing": 0.8, "shortest": 0.5, "tokens_per_batch": 16000}
    binary_100 = (
        "experiment=palindrome_binary",
        "data.sequence_length=100",
        "data.evaluation_batch_size=128",
        *(f"data.curriculum.{key}={value}" for key, value in grows.items()),
    )
    rows = [
        Row("good", "binary_palindrome 20 lstm", ("experiment=palindrome_binary",), 10, "300; 0.671 0.752 1.000"),
        Row("good", "binary_palindrome 100 lstm", binary_100, 4, "solved; -"),
    ]
    for size, goal, reported in ((5, 10, (25, 18)), (10, 25, (125, 81)), (15, 50, (545, 298))):
        for cell, others in zip(("lstm", "bilstm"), reported, strict=True):
            overrides = ("experiment=random_combinations", f"data.sequence_length={size}", f"task.cell={cell}")
            rows.append(Row("good", f"random_combinations {size} {cell}", overrides, 10, f"{goal}; {others}"))
    for size, goal in ((4, 588), (5, 729), (6, 950)):
        overrides = ("experiment=baum_sweet", f"data.sequence_length={size}")
        rows.append(Row("good", f"baum_sweet {size} lstm", overrides, 10, f"{goal}; {goal}"))
    return rows


def long_setting(size: int) -> tuple[str, ...]:
    overrides = ("experiment=palindrome_long", f"data.sequence_length={size}")
    if size > 2000:
        overrides += ("data.validation_size=512", "data.test_size=512", "data.evaluation_batch_size=16")
    return overrides


def long_rows() -> list[Row]:
    public = {101: "1.0; 0.774", 151: "1.0; 0.328", 301: "1.0; -", 1001: "1.0; -"}
    return [
        Row("long", f"palindrome {size} lstm", long_setting(size), 4, public.get(size, "-; -"))
        for size in (101, 151, 301, 1001, 5001, 10001)
    ]


def cell_rows() -> list[Row]:
    rows = []
    cells = {
        "rnn": ("task.cell=rnn", "optimizer.learning_rate=1e-3"),
        "gru": ("task.cell=gru",),
        "gru, reset before": ("task.cell=gru", "task.reset_after=false"),
        "peephole gers": ("task.cell=peephole",),
        "peephole assignment": ("task.cell=peephole", "task.peephole=assignment"),
        "bilstm": ("task.cell=bilstm",),
    }
    for size in (101, 301, 1001, 5001, 10001):
        for name, overrides in cells.items():
            rows.append(Row("cells", f"palindrome {size} {name}", (*long_setting(size), *overrides), 2, ""))
    return rows


STUDIES = {"course": course_rows, "good": good_rows, "long": long_rows, "cells": cell_rows}


def list_overrides(row: Row, root: str, threads: int) -> list[list[str]]:
    """Return the overrides for each seed of a row."""
    fixed = [f"root={root}", f"trainer.num_threads={threads}", "callbacks.progress_bar=false"]
    return [[*row.overrides, f"seed={seed}", *fixed] for seed in range(row.seeds)]


def summarize(row: Row, root: str, threads: int) -> list[str]:
    """Return the cells of a row of the table, from the finished runs."""
    results = []
    for overrides in list_overrides(row, root, threads):
        result = Run.of(compose(*overrides)).result()
        if result and result["status"] == "completed":
            results.append(result)
    solved = sorted(result["solved_at"] for result in results if result["solved_at"] is not None)
    baseline = f"{results[0]['metrics']['test/majority_baseline']:.3f}" if results else "-"
    return [
        row.study,
        row.name,
        baseline,
        format_spread([result["metrics"]["test/accuracy"] for result in results], 4),
        f"{len(solved)}/{len(results)}" if results else "-",
        f"{statistics.median(solved):.0f} ({solved[0]}-{solved[-1]})" if solved else "-",
        format_spread([result["seconds"] for result in results], 1),
        row.public,
    ]


HEADER = (
    "study",
    "task, size, cell",
    "majority",
    "test accuracy",
    "solved",
    "solved at",
    "training s",
    "our goal; others",
)


def main(argv: list[str] | None = None) -> int:
    return command(_main, argv, __doc__ or read_docstring(__file__))


def _main(argv: list[str]) -> int:
    rows, arguments = read_study(argv, STUDIES, StudyArguments)
    root, jobs, threads = arguments.root, arguments.jobs, arguments.threads
    train_all([overrides for row in rows for overrides in list_overrides(row, root, threads)], jobs, threads)
    table = Table(*HEADER)
    lines = [summarize(row, root, threads) for row in rows]
    for line in lines:
        table.add_row(*line)
    console(stderr=True).print(table)
    print(format_markdown(HEADER, lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
