"""Evaluate: repeat the test figure of a run, from its directory alone.

    python -m lightning_dl2.evaluate run=DIR [checkpoint=best|last|FILE] [data.path=PATH]

data.path: where the run's text or graphs are now, if no longer where its configuration says.
"""

import sys

from lightning_dl2.common.command import command, doc_of, settings
from lightning_dl2.inference.evaluate import evaluate
from lightning_dl2.run.directory import Run


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv, __doc__ or doc_of(__file__))


def _main(words: list[str]) -> int:
    values = settings(words, run="", checkpoint="best", **{"data.path": None})
    run = Run.existing(values["run"])
    metrics = evaluate(run, values["checkpoint"], values["data.path"])
    from lightning_dl2.training.outcome import print_table

    print_table(f"{values['run']} ({values['checkpoint']})", metrics | {"test split": run.config().test_split})
    print(values["run"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
