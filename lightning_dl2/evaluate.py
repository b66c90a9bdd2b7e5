"""Evaluate: repeat the test metrics of a run, from its directory alone.

    python -m lightning_dl2.evaluate run=DIR [checkpoint=best|last|FILE] [data.path=PATH]

data.path is the path of the run's text or graphs, if they have moved since the training; of a text also a directory, a
pattern or a list, such as [a.txt,b.txt].
"""

import sys

from pydantic import Field

from lightning_dl2.common.arguments import Arguments, RunDirectory, Text, parse
from lightning_dl2.common.command import command, read_docstring
from lightning_dl2.inference.evaluate import evaluate
from lightning_dl2.run.directory import Run


class EvaluateArguments(Arguments):
    run: RunDirectory
    checkpoint: Text = "best"
    data_path: Text | None = Field(None, alias="data.path")


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command(_main, argv, __doc__ or read_docstring(__file__))


def _main(argv: list[str]) -> int:
    arguments = parse(EvaluateArguments, argv)
    run = Run.existing(arguments.run)
    metrics = evaluate(run, arguments.checkpoint, arguments.data_path)
    from lightning_dl2.training.outcome import print_table

    print_table(f"{arguments.run} ({arguments.checkpoint})", metrics | {"test split": run.config().test_split})
    print(arguments.run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
