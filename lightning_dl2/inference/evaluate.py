"""Repeat the test metrics of a run."""

import sys
from pathlib import Path

from lightning_dl2.run.directory import Run
from lightning_dl2.training.open_run import open_finished_run, with_data_path


def evaluate(
    run: str | Path | Run, checkpoint: str = "best", data_path: str | list[str] | None = None
) -> dict[str, float]:
    """Test a checkpoint of a run on the run's test set.

    Args:
        run: the run directory.
        checkpoint: best, last, or the name of a file.
        data_path: the path of the run's text or graphs, of a text also a list; None: as the configuration says.

    Returns:
        The test metrics. Those of `best` equal result.json to the last bit, unless several ranks have trained. Then
        each rank tested its share: sums have another order, segments of a text begin elsewhere, and
        `trainer.limit_test_batches` counted for each rank. A line on stderr says if the number of threads, the kind of
        CPU or the version of torch differ from the training's.

    Raises:
        UserError: `run` is no run, or has no such checkpoint.
    """
    run = run if isinstance(run, Run) else Run.existing(run)
    with open_finished_run(run, with_data_path(run.config(), data_path), checkpoint) as (task, data, trainer):
        from lightning_dl2.resume.numerics import numerics, numerics_note

        here = numerics(task, trainer.strategy.root_device)
        if note := numerics_note(f"checkpoint={checkpoint}", task.written_with, here, "its figures"):
            print(f"note: {note}", file=sys.stderr)
        (metrics,) = trainer.test(task, data, verbose=False)
    return dict(sorted(metrics.items()))
