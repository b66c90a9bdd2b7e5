"""One training run, from its configuration to its result.

The data's way: data module and task -> run directory -> Trainer -> checkpoints -> test -> result.json
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytorch_lightning as pl

from lightning_dl2.common import cpu, system
from lightning_dl2.common.command import REQUEUE, announced
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import WriteError
from lightning_dl2.config.identity import digest
from lightning_dl2.config.schema import Config
from lightning_dl2.data.build import DataModule, build_data
from lightning_dl2.distributed import slurm
from lightning_dl2.distributed.devices import uses_gpu
from lightning_dl2.distributed.group import Group
from lightning_dl2.loggers import build
from lightning_dl2.nets.recurrent.layers import bfloat16_note
from lightning_dl2.resume.find_checkpoint import OTHERWISE, ResumePoint
from lightning_dl2.resume.numerics import numerics, numerics_note
from lightning_dl2.resume.preemption import Interrupted
from lightning_dl2.resume.train_batches import batches_processed
from lightning_dl2.run.directory import Run
from lightning_dl2.run.log import logging_to
from lightning_dl2.tasks import Task
from lightning_dl2.tasks.build import build_task
from lightning_dl2.training import limits
from lightning_dl2.training.trainer import RunCallbacks, build_trainer, build_watch

log = logging.getLogger(__name__)


def run_rank(config: Config, run: Run, words: list[str], group: Group) -> tuple[dict[str, Any], dict[str, Any]]:
    """What each of the processes of a run does. Arguments, results and errors are those of `train`.

    Args:
        group: the processes that train together.
    """
    with ExitStack() as stack:
        # Before the directory: a file that is no text, or a net that cannot be, creates none.
        with group.all_or_none(), ExitStack() as preparing:
            stack.enter_context(cpu.configured(config.trainer))
            if config.callbacks.progress_bar and group.rank == 0:
                preparing.enter_context(announced("preparing data and net"))
            data = build_data(config.data, config.seed)
            data.check_processes(group.world_size)
            data.placed_at = group.rank, group.world_size
            if says := config.epoch_length_problem(data.batches_per_epoch):
                raise UserError(says)
            limits.check_net(config, data.spec)
            system.seed(config.seed)
            task = build_task(config.task, config.optimizer, data.spec)
            if config.trainer.precision == 64:  # Lightning does so only when a checkpoint was read into single ones
                task.double()
        group.agree({"data": digest(data.spec)})
        with group.all_or_none():  # nobody looks into the directory before rank 0 has prepared it
            stack.enter_context(run.locked(config))
        with group.all_or_none():
            run.check_seen()
        stack.enter_context(logging_to(run.log_file if group.rank == 0 else None))
        stack.enter_context(group.raise_first_failure())
        return fit(config, run, words, data, task, group)


def fit(
    config: Config, run: Run, words: list[str], data: DataModule, task: Task, group: Group
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Trains, tests the best checkpoint, and writes result.json. The run directory is held.

    Args:
        words: what was typed.
        data: of `build_data`.
        task: of `build_task`, with the weights to begin from.
        group: the processes that train together.

    Returns:
        The result, and the objects `run`, `task`, `datamodule`, `trainer`.

    Raises:
        UserError: the data or the number of processes are not those that the run was begun with.
        Interrupted: a signal or the time limit stopped it; the result says so.
        NonFiniteError: a loss or gradient is NaN or infinite; the result says where.
        WriteError: the disk is full, say; the last checkpoint is whole.
    """
    with group.all_or_none():
        start = run.find_resume_point()
        if start:
            _check_resume_point(config, run, start, data, task, group.world_size)
    last_step = start.step if start else 0
    group.agree({"step": last_step})
    watch = build_watch(config, run)
    interval, says = config.validation_interval(data.batches_per_epoch)
    trainer = build_trainer(config, run, watch, start, interval)
    with group.all_or_none():
        run.begin(config, words)
    log.info("%s from step %d", run.path, last_step)
    notes = [says, config.schedule_warning, getattr(data, "note", None)]
    _tell(*notes, *_precision_notes(config, task, trainer, start), aloud=group.rank == 0)
    objects = {"run": run, "task": task, "datamodule": data, "trainer": trainer}
    try:
        with watch.preemption.listening():  # until the result is written: a signal may come twice
            try:
                trainer.fit(task, data, ckpt_path=start.path if start else None, weights_only=True)
                watch.checkpoints.replace_lost_best(trainer)
                task.load_state_dict(run.load(run.best)["state_dict"])
                watch.final_validation.run(trainer, task, data)
                (metrics,) = trainer.test(task, data, verbose=False)
                metrics = dict(sorted({**watch.checkpoints.best, **metrics}.items()))
                result = _write_result(config, run, task, trainer, watch, status="completed", metrics=metrics)
            except BaseException as error:
                _end_early(config, run, task, trainer, watch, error)
                raise
    except Interrupted as error:
        if error.exit_code == REQUEUE and trainer.is_global_zero:
            # Last of all: SLURM ends the job for it.
            slurm.requeue(progressed=watch.checkpoints.saved_step > last_step, counter=run.fruitless_file)
        raise
    build.finish(trainer.loggers, result)
    return result, objects


def _end_early(
    config: Config, run: Run, task: Task, trainer: pl.Trainer, watch: RunCallbacks, error: BaseException
) -> None:
    """Write the result and close the loggers of a run that `error` ends, and log that."""
    status = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"
    if trainer.is_global_zero:
        told = f"{type(error).__name__}: {error}" if status == "failed" else None
        best, result = dict(watch.checkpoints.best), {}
        try:
            result = _write_result(config, run, task, trainer, watch, status=status, metrics=best, error=told)
        except WriteError as unwritten:  # a full disk, say, which `error` tells already
            log.error("%s", unwritten)
        build.finish(trainer.loggers, result, error)
    log.log(logging.ERROR if status == "failed" else logging.INFO, status, exc_info=error)


def _check_resume_point(
    config: Config, run: Run, start: ResumePoint, data: DataModule, task: Task, world_size: int
) -> None:
    """Raise UserError where the checkpoint to resume from is of other data, devices or another net."""
    # Data before the net: of other data, it has other shapes.
    run.check_same_data(start.checkpoint["hyper_parameters"]["spec"], data.spec, OTHERWISE)
    run.check_same_devices(start.checkpoint, world_size, uses_gpu(config))
    run.check_fits(start, {name: tuple(value.shape) for name, value in task.state_dict().items()})


def _precision_notes(
    config: Config, task: Task, trainer: pl.Trainer, start: ResumePoint | None
) -> Iterator[str | None]:
    """Yield what may surprise in the bits of this run."""
    device, then = trainer.strategy.root_device, start.numerics if start else None
    yield numerics_note("the last checkpoint", then, numerics(task, device), "the rest of this run")
    if config.trainer.precision == "bf16-mixed":
        yield bfloat16_note(task.net, device)


def _tell(*notes: str | None, aloud: bool) -> None:
    """Log the notes that there are; `aloud` on stderr, too."""
    for note in filter(None, notes):
        log.warning(note)
        if aloud:
            print(f"note: {note}", file=sys.stderr)


def _write_result(
    config: Config,
    run: Run,
    task: Task,
    trainer: pl.Trainer,
    watch: RunCallbacks,
    *,
    status: str,
    metrics: dict[str, float],
    error: str | None = None,
) -> dict[str, Any]:
    seconds, steps = watch.stopwatch.state_dict()["seconds"], trainer.global_step
    batches = batches_processed(trainer)
    values = {
        "status": status,
        "error": error,
        "stopped_by": watch.stopped_by if status == "completed" else None,
        "solved_at": watch.solved.solved_at if watch.solved else None,
        "best_step": watch.checkpoints.best_step,
        "metrics": metrics,
        "steps": steps,
        "epochs": int(batches // trainer.num_training_batches),  # whole ones; Lightning counts a begun one, too
        "seconds": round(seconds, 3),
        "steps_per_second": round(steps / seconds, 3) if seconds else 0.0,
        "parameters": sum(p.numel() for p in task.parameters()),
        "versions": system.versions(),
        "device": system.device_name(trainer.strategy.root_device),
        "world_size": trainer.world_size,
        "data_digest": task.spec.get("digest"),  # of data from files or generated graphs; tells a complete run's data
        "encoding": getattr(trainer.datamodule, "encoding", None),  # type: ignore[attr-defined]  # of a text
    }
    if not trainer.is_global_zero:
        return values
    return run.write_result(config, **values)
