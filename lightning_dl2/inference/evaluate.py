"""Repeat the test metrics of a run."""

import sys
from pathlib import Path

from lightning_dl2.run.directory import Run
from lightning_dl2.training.restore import open_finished_run, with_data_path


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
    with open_finished_run(run, with_data_path(run.config(), data_path), checkpoint) as (task, data, trainer):
        from lightning_dl2.resume.numerics import numerics, numerics_note

        here = numerics(task, trainer.strategy.root_device)
        if note := numerics_note(f"checkpoint={checkpoint}", task.written_with, here, "its figures"):
            print(f"note: {note}", file=sys.stderr)
        (metrics,) = trainer.test(task, data, verbose=False)
    return dict(sorted(metrics.items()))
