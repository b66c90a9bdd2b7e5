"""Evaluate: repeat the test figure of a run, from its directory alone.

python -m lightning_dl2.evaluate run=DIR [checkpoint=best|last|FILE]
"""

import sys
from typing import Any

from lightning_dl2.cli import command, settings
from lightning_dl2.run import Run


def evaluate(run: str | Run, checkpoint: str = "best") -> dict[str, float]:
    """Tests a checkpoint of a run on the run's test set.

    Args:
        run: the run directory.
        checkpoint: best, last, or the name of a file.

    Returns:
        The test metrics; those of `best` are the ones in result.json, to the last bit.

    Raises:
        UserError: no run, or no such checkpoint.
    """
    run = run if isinstance(run, Run) else Run.existing(run)

    from lightning_dl2.log import logging_to
    from lightning_dl2.trainer import interruptible

    with logging_to(None):
        task, data, trainer = restored(run, checkpoint)
        with interruptible():
            (metrics,) = trainer.test(task, data, verbose=False)
    return dict(sorted(metrics.items()))


def restored(run: Run, checkpoint: str) -> tuple[Any, Any, Any]:
    """The task of a checkpoint, the data module of its run, and a Trainer that evaluates the one on the other.

    Raises:
        UserError: no such checkpoint, or the data are no longer those that the run was begun with.
    """
    config, path = run.config(), run.checkpoint(checkpoint)

    from lightning_dl2 import environment
    from lightning_dl2.data import build_data
    from lightning_dl2.tasks import load_task
    from lightning_dl2.trainer import build_evaluator

    environment.set_num_threads(config.trainer.num_threads)
    task = load_task(config.task.name, path, checkpoint)
    data = build_data(config.data, config.seed)
    run.check_same_data(task.spec, data.spec)
    return task, data, build_evaluator(config, run)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv)


def _main(words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        print(__doc__.strip())
        return 0
    values = settings(words, run="", checkpoint="best")
    metrics = evaluate(values["run"], values["checkpoint"])
    from lightning_dl2.outcome import print_table

    print_table(f"{values['run']} ({values['checkpoint']})", metrics)
    print(values["run"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
