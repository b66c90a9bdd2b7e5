"""Report: show the results of many runs as tables and as an HTML page.

    python -m lightning_dl2.report DIR [DIR ...] [out=report.html] [details=30] [over=KEY,...]
                                   [matrix=KEY,KEY] [metric=NAME] [solved=NUMBER]

DIR is a run directory or any tree of them, with or without figures of `analyze` and sweeps. Runs that differ in their
seeds alone share a row: mean ± standard deviation over those that completed. The command writes `out`, one HTML file
that needs no network, and beside it the tables as .md, .csv and _runs.csv, which has one line for each run. The page
shows the curves, samples and runs of the `details` best variants of each experiment. `over=data.fold` averages over
folds, too. Damaged directories are named and skipped.

Runs of one task on several data sets with several nets are laid out as a matrix, data by nets; `matrix=ROWS,COLUMNS`
lays out all runs by any two keys, `experiment` included. A field shows the test metric that all completed runs have, or
`metric=NAME`. Its mark says whether all, some or no seeds have at least `solved` (0.99 for an accuracy).

The last line of standard output is the path of the page.
"""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_dl2.common.command import command, console, read_docstring
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.common.paths import user_path

if TYPE_CHECKING:
    from lightning_dl2.reporting.arguments import ReportArguments


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command(_main, argv, __doc__ or read_docstring(__file__))


def _main(argv: list[str]) -> int:
    if not argv:
        print((__doc__ or read_docstring(__file__)).strip())
        return 0
    directories, arguments = _read(argv)
    out, over = user_path("out", arguments.out), [key for key in arguments.over if key != "seed"]
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from lightning_dl2.reporting import matrix, matrix_tables, output, page, records, tables, variants

    output.check_free(out)

    screen = console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.completed} {task.description}")
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as progress:
        read = progress.add_task("runs read")
        found = records.find(directories, lambda path: progress.advance(read))
        known = {key for record in found.records for key in record.choices}
        if unknown := [key for key in over if key not in known]:
            raise UserError(f"over={unknown[0]}: is not a key of these runs; {nearest(unknown[0], sorted(known))}")
        if arguments.matrix and (averaged := {*over, "seed"} & set(arguments.matrix)):
            raise UserError(f"matrix={','.join(arguments.matrix)}: the report averages over {averaged.pop()}")
        experiments = variants.experiments(found, over)
        matrices = matrix.matrices(experiments, arguments.matrix, arguments.metric, arguments.solved)
        notes = [records.printable(f"{path}: {why}") for path, why in found.skipped]
        drawn = progress.add_task("variants drawn")
        html = page.render(
            experiments,
            matrices,
            found.pictures,
            notes,
            details=arguments.details,
            progress=lambda label: progress.advance(drawn),
        )
    for each in matrices:
        console().print(matrix_tables.table(each))
    for experiment in experiments:
        console().print(tables.table(experiment, console().width))
    for note in notes:
        print(f"skipped: {note}", file=sys.stderr)
    output.write(out, html, experiments, matrices, notes)
    print(out)
    return 0


def _read(argv: list[str]) -> "tuple[list[Path], ReportArguments]":
    """Return the directories, and the other arguments.

    Names of run directories contain `=`, so an argument with `=` may be a directory, too.
    """
    from lightning_dl2.common.arguments import parse
    from lightning_dl2.reporting.arguments import ReportArguments

    keys = [word for word in argv if re.match(r"(?!seed=)[^/=]*=", word)]
    directories = [word for word in argv if word not in keys or user_path("DIR", word).is_dir()]
    arguments = parse(ReportArguments, [word for word in argv if word not in directories])
    if not directories:
        raise UserError("DIR: is missing; allowed: run directories or trees of them")
    return [user_path("DIR", word) for word in directories], arguments


if __name__ == "__main__":
    sys.exit(main())
