"""Evaluate: repeat the test figure of a run, from its directory alone.

python -m lightning_dl2.evaluate run=DIR [checkpoint=best|last|FILE] [data.path=PATH]

data.path: where the run's text or graphs are now, if no longer where its configuration says.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning_dl2.cli import UserError, command, settings
from lightning_dl2.config import Config
from lightning_dl2.run import Run
from lightning_dl2.schema.data import GENERATED


def evaluate(run: str | Run, checkpoint: str = "best", data_path: str | None = None) -> dict[str, float]:
    """Tests a checkpoint of a run on the run's test set.

    Args:
        run: the run directory.
        checkpoint: best, last, or the name of a file.
        data_path: where the run's text or graphs are; None: where its configuration says.

    Returns:
        The test metrics; those of `best` are the ones in result.json, to the last bit. Where several processes have
        trained, each tested its share: sums are then in another order, a text's segments begin elsewhere, and
        `trainer.limit_test_batches` counted for each of them.

    Raises:
        UserError: no run, or no such checkpoint.
    """
    run = run if isinstance(run, Run) else Run.existing(run)

    with restored(run, located(run.config(), data_path), checkpoint) as (task, data, trainer):
        (metrics,) = trainer.test(task, data, verbose=False)
    return dict(sorted(metrics.items()))


def located(config: Config, data_path: str | None) -> Config:
    """`config`, with its data at `data_path`; None: where they are.

    Raises:
        UserError: its data are generated.
    """
    if data_path is None:
        return config
    if not hasattr(config.data, "path") or config.data.name in GENERATED:
        raise UserError(f"data.path={data_path}: the run's data={config.data.name} is generated; allowed: no data.path")
    return config.model_copy(update={"data": config.data.model_copy(update={"path": data_path})})


@contextmanager
def restored(run: Run, config: Config, checkpoint: str) -> Iterator[tuple[Any, Any, Any]]:
    """The task of a checkpoint, the data module of its run, and a Trainer that evaluates the one on the other.

    Within the block there are as many threads as the run had, warnings are kept, and Ctrl-C is a KeyboardInterrupt.

    Raises:
        UserError: no such checkpoint, or the data are no longer those that the run was begun with.
    """
    path = run.checkpoint(checkpoint)

    from lightning_dl2 import cpu
    from lightning_dl2.data import build_data
    from lightning_dl2.log import logging_to
    from lightning_dl2.tasks import load_task
    from lightning_dl2.trainer import build_evaluator, interruptible

    with logging_to(None), cpu.configured(config.trainer), interruptible():
        task = load_task(config.task.name, path, checkpoint)
        data = build_data(config.data, config.seed)
        run.check_same_data(task.spec, data.spec)
        yield task, data, build_evaluator(config, run)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv)


def _main(words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        print(__doc__.strip())
        return 0
    values = settings(words, run="", checkpoint="best", **{"data.path": None})
    metrics = evaluate(values["run"], values["checkpoint"], values["data.path"])
    from lightning_dl2.outcome import print_table

    print_table(f"{values['run']} ({values['checkpoint']})", metrics)
    print(values["run"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
