"""Open a run from its directory alone: its task, data and threads, to evaluate it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from lightning_dl2.config.schema import Config, OwnTask
from lightning_dl2.run.directory import Run


def with_data_path(config: Config, data_path: str | list[str] | None) -> Config:
    """Return `config` with its data at `data_path`; None: where they are.

    Raises:
        UserError: the data have no path.
    """
    return config if data_path is None else config.model_copy(update={"data": config.data.at(data_path)})


@contextmanager
def open_finished_run(
    run: Run, config: Config, checkpoint: str, others: bool = False
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield the task of a checkpoint, the data module of its run, and a Trainer that evaluates the one on the other.

    Within the block torch has as many threads as the run had, warnings are not printed, and Ctrl-C is a
    KeyboardInterrupt.

    Args:
        others: whether the data may be others, if they are graphs; a note then tells what was matched.

    Raises:
        UserError: the checkpoint does not exist, or the data are no longer those that the run was begun with.
    """
    with run.open_checkpoint(checkpoint) as content:  # before torch is imported
        from lightning_dl2.common import arithmetic
        from lightning_dl2.run.log import logging_to
        from lightning_dl2.training.trainer import interruptible

        if note := run.code.note(config, "the checkpoint was trained with the former code"):
            print(f"note: {note}", file=sys.stderr)
        with logging_to(None), arithmetic.configured(config.trainer), interruptible():
            yield build_for_evaluation(run, config, content, checkpoint, others=others)


def build_for_evaluation(
    run: Run,
    config: Config,
    content: BufferedReader,
    checkpoint: str,
    given: tuple[Any, Any] | None = None,
    others: bool = False,
) -> tuple[Any, Any, Any]:
    """Build task, data module and Trainer from an open checkpoint; errors are those of `open_finished_run`.

    Args:
        given: data module and task of a Python script; None: the configuration names them.
        others: see `open_finished_run`.
    """
    from lightning_dl2.data.build import build_data
    from lightning_dl2.tasks.build import load_task
    from lightning_dl2.training import preflight
    from lightning_dl2.training.trainer import build_evaluator

    preflight.check_variables()
    data, task = given or (None, None)
    if data is None and isinstance(config.task, OwnTask):
        data = build_data(config.data, config.seed)
    task = load_task(config, content, checkpoint, data, task)
    data = data or build_data(config.data, config.seed, for_run=task.trained_on if others else None)
    if (note := getattr(data, "other", None)) is None:
        run.check_same_data(task.trained_on, data.spec)
    else:
        told = "; ".join(filter(None, ("not the graphs of the run", data.note, note)))
        print(f"note: data.path={config.data.sources[0]}: {told}", file=sys.stderr)
    return task, data, build_evaluator(config, run)


class Loaded(NamedTuple):
    """Task, configuration and result of a run, loaded from its directory.

    Attributes:
        task: a LightningModule with the weights of the checkpoint, on the CPU.
        config: the resolved configuration.
        result: the content of result.json; None where the run has not ended yet, or the file is damaged.
    """

    task: Any
    config: Config
    result: dict[str, Any] | None


def load(run: str | Path | Run, checkpoint: str = "best") -> Loaded:
    """Load the task, the configuration and the result of a run from its directory; the data are not needed.

    Args:
        run: the run directory.
        checkpoint: best, last, or the name of a file.

    Raises:
        UserError: the directory holds no run, or the checkpoint does not exist.
    """
    run = run if isinstance(run, Run) else Run.existing(run)
    config = run.config()
    with run.open_checkpoint(checkpoint) as content:
        from lightning_dl2.tasks.build import load_task

        return Loaded(load_task(config, content, checkpoint), config, run.result())
