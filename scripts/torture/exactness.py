"""Stop and resume runs of every precision, cell and layer, and compare them with uninterrupted runs bit by bit.

    python scripts/torture/exactness.py [EXPERIMENT ...] [precisions=32,64,bf16-mixed] [processes=1] [root=DIR]

EXPERIMENT is palindrome, text, graph (nodes of one graph, neighbours sampled by two workers), graphs (many graphs) or
optimizers (every class of torch.optim on palindrome); by default all. Each run, with and without dropout, trains once
without a stop and once in three parts, each part in a new process. The script compares metrics.csv by bytes and all
other files value by value, to the last bit; `evaluate` must repeat the test metrics. Stdout has a table in Markdown
with a row per experiment and precision. The exit code is 1 if any run differs.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.progress import Progress  # noqa: E402

from lightning_dl2 import compose, evaluate  # noqa: E402
from lightning_dl2.builtin.cells import CELLS as CELL_FACTS  # noqa: E402
from lightning_dl2.builtin.effect_rules import ATTENTION  # noqa: E402
from lightning_dl2.common.arguments import AnyPath, Arguments, choices, parse, split_names, whole  # noqa: E402
from lightning_dl2.common.command import command, console, read_docstring  # noqa: E402
from lightning_dl2.run.directory import Run  # noqa: E402
from scripts.studies.study import format_markdown  # noqa: E402
from scripts.torture.run_until_killed import RunStart  # noqa: E402
from scripts.torture.small_runs import overrides_of  # noqa: E402
from tests.comparison import contents, differing  # noqa: E402

PRECISIONS = ("32", "64", "bf16-mixed")
STOPS = (13, 26, 40)  # inside an epoch with accumulation; validation runs every 7 batches
CELLS = {
    "rnn": ("task.cell=rnn",),
    "lstm": ("task.cell=lstm",),
    "gru": ("task.cell=gru",),
    "gru, reset before": ("task.cell=gru", "task.reset_after=false"),
    "peephole": ("task.cell=peephole",),
    "peephole, assignment": ("task.cell=peephole", "task.peephole=assignment"),
} | {name: (f"task.cell={name}",) for name in CELL_FACTS if name not in ("rnn", "lstm", "gru", "peephole")}
LAYERS = {
    name: (f"task.layer={name}",) for name in ("gcn", "sage", "gat", "gatv2", "gin", "gine", "gatedgcn", "rgcn", "mlp")
}
DEEP = {"gcnii": ("task.layer=gcnii", "task.input_layer=true", "task.output_layer=linear")}
DROPOUTS = ("task.dropout=0.0", "task.dropout=0.3")
UNFIT = ("SparseAdam",)  # takes no dense gradients
HEADER = ("experiment", "processes", "precision", "runs", "values", "differing", "seconds")


class ExactnessArguments(Arguments):
    """Hold the key=value arguments of the script."""

    precisions: Annotated[tuple[str, ...], choices(PRECISIONS)] = PRECISIONS
    processes: Annotated[int, whole(1)] = 1
    root: AnyPath = Path(tempfile.gettempdir())


def cases(name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the experiment of `small_runs` and the further overrides of each run of `name`."""
    if name == "optimizers":
        yield from (("palindrome", (f"optimizer.name={optimizer}",)) for optimizer in optimizers())
        return
    kinds = CELLS if name in ("palindrome", "text") else LAYERS | (DEEP if name == "graphs" else {})
    for kind, overrides in kinds.items():
        if (without := _without(name, kind)) is not None:
            yield from ((name, (*overrides, *without, dropout)) for dropout in DROPOUTS)


def _without(name: str, kind: str) -> tuple[str, ...] | None:
    """Return what turns off the keys of the small run that a cell or layer cannot have; None: it cannot run at all."""
    if name == "text" and kind in CELL_FACTS:
        facts = CELL_FACTS[kind]
        return None if not facts.reads_text else () if facts.drops_weights else ("task.weight_dropout=0",)
    return ("task.attention_dropout=0",) if name == "graph" and kind not in ATTENTION else ()


@cache
def optimizers() -> list[str]:
    """Return the classes of torch.optim that `optimizer.name` allows."""
    from torch import optim

    found = {name for name, value in vars(optim).items() if isinstance(value, type)} - {"Optimizer", *UNFIT}
    return sorted(name for name in found if issubclass(getattr(optim, name), optim.Optimizer))


def compare(
    name: str,
    overrides: tuple[str, ...],
    directory: Path,
    stops: tuple[int, ...] = STOPS,
    processes: int = 1,
    launch: str = "fork",
) -> tuple[list[str], int]:
    """Return the values in which an uninterrupted and a resumed run differ, and the number of values compared.

    Args:
        name: experiment in `small_runs`.
        overrides: of the run, beside the experiment's.
        directory: parent of both runs.
        stops: last step of each part.
        processes: number of ranks.
        launch: see `RunStart`.

    Raises:
        SystemExit: a part failed.
    """
    runs = []
    for kind, steps in (("whole", stops[-1:]), ("parts", stops)):
        typed = [*overrides_of(name, processes, directory), *overrides, f"root={directory / kind}"]
        for step in steps:
            start = RunStart([*typed, f"trainer.max_steps={step}"], directory / "output", processes, launch)
            start.wait()
            if any(start.codes):
                raise SystemExit(f"{' '.join(typed)} ended with {start.codes}: {start.output.read_text('utf-8')}")
        runs.append(Run.of(compose(*typed)))
    one, other = map(contents, runs)
    # Each part writes samples at the thirds of its own steps, so only common samples are compared.
    both = one.keys() & other.keys()
    wrong = [place for place in differing(one, other) if place in both or not place.startswith("samples/")]
    files = [run.metrics_file.read_bytes() for run in runs]
    if files[0] != files[1]:
        wrong.append("metrics.csv")
    if processes == 1:  # several ranks sum their shares in another order
        result = runs[0].result()["metrics"]
        wrong += [f"evaluate {key}" for key, value in evaluate(runs[0]).items() if value != result[key]]
    return wrong, len(one)


def compare_all(name: str, precision: str, processes: int, root: Path, progress: Progress) -> list[str]:
    """Return a row of the table."""
    began, values, wrong, todo = time.monotonic(), 0, 0, list(cases(name))
    bar = progress.add_task(f"{name}, {precision}", total=len(todo))
    for experiment, overrides in todo:
        directory = Path(tempfile.mkdtemp(prefix=f"exactness-{name}-", dir=root))
        overrides = (*overrides, f"trainer.precision={precision}")
        found, count = compare(experiment, overrides, directory, processes=processes)
        for place in found[:5]:
            print(f"{name} {' '.join(overrides)}: {place} differs, see {directory}", file=sys.stderr)
        values, wrong = values + count, wrong + len(found)
        if not found:
            shutil.rmtree(directory)
        progress.advance(bar)
    seconds = round(time.monotonic() - began)
    return [str(cell) for cell in (name, processes, precision, len(todo), values, wrong, seconds)]


def main(argv: list[str] | None = None) -> int:
    return command(_main, argv, __doc__ or read_docstring(__file__))


def _main(argv: list[str]) -> int:
    names, rest = split_names(argv, ("palindrome", "text", "graph", "graphs", "optimizers"))
    arguments = parse(ExactnessArguments, rest)
    os.environ["OMP_NUM_THREADS"] = "1"  # before the first process, from which all others are forked
    arguments.root.mkdir(parents=True, exist_ok=True)
    print(format_markdown(HEADER, []))
    wrong = 0
    with Progress(console=console(stderr=True)) as progress:
        for name in names:
            for precision in arguments.precisions:
                cells = compare_all(name, precision, arguments.processes, arguments.root, progress)
                print(f"| {' | '.join(cells)} |", flush=True)
                wrong += cells[HEADER.index("differing")] != "0"
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
