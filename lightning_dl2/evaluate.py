"""Evaluate: repeat the test figure of a run, from its directory alone.

    python -m lightning_dl2.evaluate run=DIR [checkpoint=best|last|FILE] [data.path=PATH]

data.path: where the run's text or graphs are now, if no longer where its configuration says.
"""

import sys
from pathlib import Path

from lightning_dl2.cli import command, doc_of, settings
from lightning_dl2.restore import located, restored
from lightning_dl2.run import Run


def evaluate(run: str | Path | Run, checkpoint: str = "best", data_path: str | None = None) -> dict[str, float]:
    """Tests a checkpoint of a run on the run's test set.

    Args:
        run: the run directory.
        checkpoint: best, last, or the name of a file.
        data_path: where the run's text or graphs are; None: where its configuration says.

    Returns:
        The test metrics; those of `best` are the ones in result.json, to the last bit. Where several processes have
        trained, each tested its share: sums are then in another order, a text's segments begin elsewhere, and
        `trainer.limit_test_batches` counted for each of them. A line on stderr tells if the threads, the kind of CPU
        or the torch are others than in the training.

    Raises:
        UserError: no run, or no such checkpoint.
    """
    run = run if isinstance(run, Run) else Run.existing(run)
    with restored(run, located(run.config(), data_path), checkpoint) as (task, data, trainer):
        from lightning_dl2.numerics import numerics, numerics_note

        here = numerics(task, trainer.strategy.root_device)
        if note := numerics_note(f"checkpoint={checkpoint}", task.written_with, here, "its figures"):
            print(f"note: {note}", file=sys.stderr)
        (metrics,) = trainer.test(task, data, verbose=False)
    return dict(sorted(metrics.items()))


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv, __doc__ or doc_of(__file__))


def _main(words: list[str]) -> int:
    values = settings(words, run="", checkpoint="best", **{"data.path": None})
    run = Run.existing(values["run"])
    metrics = evaluate(run, values["checkpoint"], values["data.path"])
    from lightning_dl2.outcome import print_table

    print_table(f"{values['run']} ({values['checkpoint']})", metrics | {"test split": run.config().test_split})
    print(values["run"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
