"""Reproduce the tables of the graph experiments: train missing runs, resume interrupted ones, print the results.

    python scripts/studies/reproduce_graphs.py [STUDY ...] [data=DIR] [jobs=1] [threads=1] [root=runs] [only=PHRASE]
        [seeds=0]

STUDY is cora (ten seeds on the public split), csl (with and without positional encodings), zinc (three nets of 100
thousand parameters) or folds (MUTAG and PROTEINS by ten folds); by default all. DIR holds the folders cora, mutag,
proteins and zinc12k; without data= the files are downloaded, except ZINC, which needs DIR.
`jobs` runs train at the same time, with `threads` threads each. `only` keeps the rows whose name contains the phrase;
`seeds` limits the seeds of each row (0: no limit).

The ten folds follow the fair protocol (Errica et al. 2020). In each fold the settings compete on a validation split of
the training graphs; the best setting trains with three seeds, each tested once. No test fold influences a choice.
"""

import itertools
import math
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.table import Table  # noqa: E402

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.common.arguments import Text  # noqa: E402
from lightning_dl2.common.command import command, console, read_docstring  # noqa: E402
from lightning_dl2.run.directory import Run  # noqa: E402
from scripts.studies.study import StudyArguments, format_markdown, format_spread, read_study, train_all  # noqa: E402

FOLDS = 10
SEEDS_A_FOLD = 3
GRID = {"task.hidden_size": (16, 64)}
FOLDERS = {"cora": "cora", "mutag": "mutag", "proteins": "proteins", "zinc": "zinc12k/zinc12k_rebuilt.npz"}


class GraphStudyArguments(StudyArguments):
    """Hold the key=value arguments of the script."""

    data: Text = "download"


@dataclass(frozen=True)
class Row:
    """A row of the table: a setting, trained with several seeds or on several folds."""

    study: str
    name: str
    data: str  # key of FOLDERS; "" for generated data
    overrides: tuple[str, ...]
    seeds: int
    folds: int  # 0: the data set has one split
    public: str  # published result or goal


def cora_rows() -> list[Row]:
    nets = (
        ("gcn", ("experiment=cora",), "81.5, goal 81.5"),
        ("gat", ("experiment=cora_gat",), "83.0, goal 83.0"),
        ("gcnii, 32 layers", ("experiment=cora_gcnii",), "85.5 (64 layers), goal 84.5"),
        ("mlp, no edges", ("experiment=cora", "task.layer=mlp"), ""),
    )
    return [Row("cora", f"cora {name}", "cora", overrides, 10, 0, public) for name, overrides, public in nets]


def csl_rows() -> list[Row]:
    without = ("data.positional.kind=none", "data.positional.size=0", "trainer.max_steps=500")
    nets = (
        ("gatedgcn, laplacian", (), "100"),
        ("gin, laplacian", ("task.layer=gin",), "100"),
        ("gatedgcn, no encoding", without, "10"),
        ("gin, no encoding", ("task.layer=gin", *without), "10"),
    )
    return [
        Row("csl", f"csl {name}", "", ("experiment=csl", *overrides), 1, 5, public) for name, overrides, public in nets
    ]


def zinc_rows() -> list[Row]:
    without = ("data.positional.kind=none", "data.positional.size=0")
    nets = (
        ("gatedgcn, bonds, random walks", (), "goal 0.375"),
        ("gatedgcn, bonds", without, "0.375 on the official set"),
        ("gin", ("task.layer=gin", "task.hidden_size=110", *without), "0.387 on the official set"),
        ("gcn", ("task.layer=gcn", "task.hidden_size=145", *without), "0.459 on the official set"),
        ("mlp, no edges", ("task.layer=mlp", "task.hidden_size=145", *without), "0.706 on the official set"),
    )
    return [
        Row("zinc", f"zinc {name}", "zinc", ("experiment=zinc", *overrides), 1, 0, public)
        for name, overrides, public in nets
    ]


def fold_rows() -> list[Row]:
    public = {("mutag", "gin"): "89.4 lenient", ("proteins", "gin"): "73.3 fair", ("proteins", "mlp"): "75.8 fair"}
    return [
        Row("folds", f"{name} {layer}", name, (f"experiment={name}", f"task.layer={layer}"), SEEDS_A_FOLD, FOLDS,
            public.get((name, layer), ""))
        for name in ("mutag", "proteins")
        for layer in ("gin", "mlp")
    ]  # fmt: skip


STUDIES = {"cora": cora_rows, "csl": csl_rows, "zinc": zinc_rows, "folds": fold_rows}
HEADER = ("study", "data, net", "parameters", "constant", "no graph, counts", "test", "training s", "others / goal")


def list_overrides(row: Row, fixed: list[str], data: str) -> list[list[str]]:
    """Return the overrides for each seed and fold of a row, without the settings of GRID."""
    path = [f"data.path={Path(data) / FOLDERS[row.data]}"] if data != "download" and row.data else []
    folds = [[f"data.fold={fold}"] for fold in range(row.folds)] or [[]]
    return [[*row.overrides, *path, *fold, f"seed={seed}", *fixed] for fold in folds for seed in range(row.seeds)]


def read_results(lines: list[list[str]]) -> list[dict[str, Any]]:
    """Return the results of the finished runs."""
    found = (Run.of(compose(*overrides)).result() for overrides in lines)
    return [result for result in found if result and result["status"] == "completed"]


def compete(row: Row, fixed: list[str], data: str, jobs: int, threads: int) -> list[list[str]]:
    """Train every setting of GRID in each fold; return the overrides of the best setting for each fold and seed."""
    grid = [[f"{key}={value}" for key, value in zip(GRID, values, strict=True)] for values in
            itertools.product(*GRID.values())]  # fmt: skip
    firsts = list_overrides(Row(**vars(row) | {"seeds": 1}), fixed, data)
    train_all([[*overrides, *choice] for overrides in firsts for choice in grid], jobs, threads)
    best = []
    for fold, overrides in enumerate(firsts):

        def accuracy(choice: list[str], overrides: list[str] = overrides) -> tuple[float, float]:
            (result,) = read_results([[*overrides, *choice]])
            loss = result["metrics"]["val/loss"]
            return result["metrics"]["val/accuracy"], -math.inf if loss is None else -loss  # None: the run diverged

        winner = max(grid, key=accuracy)
        seeds = list_overrides(row, fixed, data)[fold * row.seeds : (fold + 1) * row.seeds]
        best += [[*line, *winner] for line in seeds]
    return best


def summarize(row: Row, lines: list[list[str]]) -> list[str]:
    """Return the cells of a row of the table; over folds, the deviation is that of the folds' means over seeds."""
    results = read_results(lines)

    def figures(*names: str) -> list[float]:
        name = next((name for name in names if results and f"test/{name}" in results[0]["metrics"]), None)
        values = [result["metrics"][f"test/{name}"] for result in results] if name else []
        values = [value if row.study == "zinc" else 100 * value for value in values]  # per cent
        if row.folds and len(results) == len(lines):
            values = [statistics.mean(values[i : i + row.seeds]) for i in range(0, len(values), row.seeds)]
        return values

    def baseline(*names: str) -> str:
        values = figures(*names)
        return format_spread(values if len(set(values)) > 1 else values[:1], digits)

    digits = 4 if row.study == "zinc" else 1
    return [
        row.study,
        row.name,
        f"{results[0]['parameters']:,}" if results else "-",
        baseline("majority_baseline", "median_baseline"),
        baseline("no_graph_baseline", "counts_baseline"),
        format_spread(figures("accuracy", "mean_absolute_error"), digits) + f" ({len(results)}/{len(lines)} runs)",
        format_spread([result["seconds"] for result in results], 1),
        row.public,
    ]


def main(argv: list[str] | None = None) -> int:
    return command(_main, argv, __doc__ or read_docstring(__file__))


def _main(argv: list[str]) -> int:
    rows, arguments = read_study(argv, STUDIES, GraphStudyArguments)
    data, jobs, threads = arguments.data, arguments.jobs, arguments.threads
    fixed = [f"root={arguments.root}", f"trainer.num_threads={threads}", "callbacks.progress_bar=false"]
    table, cells = Table(*HEADER), []
    for row in rows:
        lines = compete(row, fixed, data, jobs, threads) if row.study == "folds" else list_overrides(row, fixed, data)
        train_all(lines, jobs, threads)
        cells.append(summarize(row, lines))
        table.add_row(*cells[-1])
        console(stderr=True).print(" | ".join(cells[-1]), markup=False, highlight=False)
    console(stderr=True).print(table)
    print(format_markdown(HEADER, cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
