"""Analyze: put the theory to the test, in figures, the numbers behind them, and a table.

    python -m lightning_dl2.analyze WHAT [out=analysis] [threads=1] [run=DIR,...] [key=value ...]

WHAT is one of:
    bptt             gradients of the weights by hand, step by step back in time: vanishing and exploding
    gradients        gradient of the loss with respect to h(t) and c(t), for each cell untrained, or for a run
    gates            values of the gates of a trained run while it reads a sequence
    parameters       number of parameters of a recurrent net, by formula and as built
    memory           accuracy against length, at and beyond the training length
    external_memory  what a net writes on its stack or tape, step by step
    counter          the unit that counts in a net that reads a^n b^n
    eigenvalues      of linear cells, and why those in [0, 1] cannot tell odd from even
    tracking         how far a net tracks a state beyond its training, and why an affine cell stops
    graphs           spreading of information in graph networks, and the effect of depth
    explain          how much each feature and edge adds to one answer of a graph network
    expressiveness   how many pairs of graphs of BREC a graph network tells apart
    WHAT --help prints its keys. All but bptt, parameters, graphs and expressiveness have run=DIR[,DIR...] for your
    own runs or trees of them.

Figures (PNG) and the numbers behind them (CSV) go to out/WHAT. Those of a run go to a directory in it that is named
after the run, and replace no other run's. The last line of standard output is that directory, or out/WHAT if there are
several.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lightning_dl2.common import arithmetic
from lightning_dl2.common.command import command, console, read_docstring
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.common.paths import out_directory

if TYPE_CHECKING:
    from lightning_dl2.analysis.arguments import RunArguments

ANALYSES = {
    "bptt": "recurrent.bptt",
    "gradients": "recurrent.gradients",
    "gates": "recurrent.gates",
    "parameters": "recurrent.parameters",
    "memory": "recurrent.memory",
    "external_memory": "expressivity.external_memory",
    "counter": "expressivity.counter",
    "eigenvalues": "expressivity.eigenvalues",
    "tracking": "expressivity.tracking",
    "graphs": "graphs.figures",
    "explain": "graphs.explain",
    "expressiveness": "brec.expressiveness",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command(_main, argv)


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("--help", "-h"):
        print((__doc__ or read_docstring(__file__)).strip())
        return 0
    what, *rest = argv
    if what not in ANALYSES:
        raise UserError(f"{what}: {nearest(what, list(ANALYSES))}")
    module = import_module(f"lightning_dl2.analysis.{ANALYSES[what]}")
    if "--help" in rest or "-h" in rest:
        print((module.__doc__ or read_docstring(str(module.__file__))).strip())
        defaults = module.Arguments.defaults().items()
        print("\nKeys, with their defaults:", " ".join(f"{key}={value}" for key, value in defaults))
        return 0
    from lightning_dl2.common.arguments import parse

    arguments = parse(module.Arguments, rest)
    out = arguments.out / what
    # The nets are small: more threads gain little, and beside a busy neighbour they take 20 times as long.
    arithmetic.set_num_threads(arguments.threads)
    if "run" not in arguments.changed("run"):
        with out_directory(out):
            console().print(module.analyze(out, arguments))
        print(out)
    else:
        _analyze_runs(module, out, arguments)
    return 0


def _analyze_runs(module: ModuleType, out: Path, arguments: "RunArguments") -> None:
    """Draw each run in its own directory, or all runs together if the analysis compares them.

    Runs that cannot be analysed are named on stderr.

    Raises:
        UserError: no run is found, or none can be analysed.
    """
    from lightning_dl2.analysis.figure_directory import figure_directory, writing_figures
    from lightning_dl2.analysis.recurrent.trained import find_runs

    runs = find_runs(arguments.run)
    together = module.COMPARES_RUNS
    groups = [(runs, arguments.run)] if together else [([run], str(run.path)) for run in runs]
    written, skipped = [], []
    for members, names in groups:
        try:
            path = figure_directory(out, members, arguments)
            with writing_figures(path, members):
                console().print(module.analyze(path, arguments.model_copy(update={"run": names})))
            print(path)
            written.append(path)
        except UserError as error:
            skipped.append(error)
    if not written:
        raise skipped[0]
    for each in skipped:
        print(f"skipped: {each}", file=sys.stderr)
    if len(groups) > 1:
        print(out)


if __name__ == "__main__":
    sys.exit(main())
