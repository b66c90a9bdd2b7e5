"""One training run, from the checkpoint it goes on from to its result.

The data's way: data module and task -> Trainer -> checkpoints -> test -> result.json
"""

import logging
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_dl2 import environment
from lightning_dl2.callbacks import Interrupted
from lightning_dl2.data import DataModule
from lightning_dl2.run import Run
from lightning_dl2.schema import Config
from lightning_dl2.tasks import Task
from lightning_dl2.trainer import Watch, build_trainer, build_watch

log = logging.getLogger(__name__)


def fit(config: Config, run: Run, data: DataModule, task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    """Trains, tests the best checkpoint, and writes result.json.

    Args:
        data: of `build_data`.
        task: of `build_task`, with the weights to begin from.

    Returns:
        The result, and the objects `run`, `task`, `datamodule`, `trainer`.

    Raises:
        UserError: the data are not those that the run was begun with.
        Interrupted: a signal or the time limit stopped it; the result says so.
    """
    start = run.resume_from()
    last_step = 0
    if start:
        checkpoint = torch.load(start, weights_only=True, map_location="cpu")
        run.check_same_data(checkpoint["hyper_parameters"]["spec"], data.spec)
        last_step = checkpoint["global_step"]
    watch = build_watch(config, run)
    trainer = build_trainer(config, run, watch, last_step)
    log.info("%s from step %d", run.path, last_step)
    objects = {"run": run, "task": task, "datamodule": data, "trainer": trainer}
    try:
        with watch.preemption.listening():
            trainer.fit(task, data, ckpt_path=start, weights_only=True)
            if watch.checkpoints.best:
                trainer.strategy.barrier()
                task.load_state_dict(torch.load(run.best, weights_only=True, map_location=task.device)["state_dict"])
            (metrics,) = trainer.test(task, data, verbose=False)  # training is saved: a signal now is not obeyed
    except BaseException as error:
        status = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"
        if trainer.is_global_zero:
            _write_result(config, run, task, trainer, watch, status=status, metrics=dict(watch.checkpoints.best))
        log.log(logging.ERROR if status == "failed" else logging.INFO, status, exc_info=error)
        raise
    metrics = dict(sorted((watch.checkpoints.best | metrics).items()))
    return _write_result(config, run, task, trainer, watch, status="completed", metrics=metrics), objects


def _write_result(
    config: Config, run: Run, task: Task, trainer: pl.Trainer, watch: Watch, *, status: str, metrics: dict[str, float]
) -> dict[str, Any]:
    seconds, steps = watch.stopwatch.state_dict()["seconds"], trainer.global_step
    batches = trainer.fit_loop.epoch_loop.batch_progress.total.processed
    values = {
        "status": status,
        "stopped_by": watch.stopped_by if status == "completed" else None,
        "solved_at": watch.solved.solved_at if watch.solved else None,
        "best_step": watch.checkpoints.best_step,
        "metrics": metrics,
        "steps": steps,
        "epochs": int(batches // trainer.num_training_batches),  # whole ones; Lightning counts a begun one, too
        "seconds": round(seconds, 3),
        "steps_per_second": round(steps / seconds, 3) if seconds else 0.0,
        "parameters": sum(p.numel() for p in task.parameters()),
        "versions": environment.versions(),
        "device": environment.device_name(task),
        "world_size": trainer.world_size,
    }
    if not trainer.is_global_zero:
        return values
    return run.write_result(config, **values)
