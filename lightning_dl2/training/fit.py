"""Train one rank of a run, from its session to its result.

The data's way: data module and task -> run directory -> Trainer -> checkpoints -> test -> result.json
"""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_dl2.common import arithmetic, system
from lightning_dl2.common.command import REQUEUE, announced
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import WriteError
from lightning_dl2.common.statistics import with_split
from lightning_dl2.config.identity import digest
from lightning_dl2.config.schema import Config
from lightning_dl2.data.build import build_data, prepare_own
from lightning_dl2.distributed import slurm
from lightning_dl2.loggers import build
from lightning_dl2.nets.recurrent.bfloat16 import bfloat16_note
from lightning_dl2.resume.find_checkpoint import OTHERWISE, ResumePoint, data_spec
from lightning_dl2.resume.numerics import numerics, numerics_note
from lightning_dl2.resume.preemption import Interrupted
from lightning_dl2.resume.train_batches import batches_processed, datamodule_of
from lightning_dl2.run.directory import Run
from lightning_dl2.run.log import logging_to
from lightning_dl2.tasks.build import build_task
from lightning_dl2.training import limits
from lightning_dl2.training.session import Session
from lightning_dl2.training.trainer import RunCallbacks, build_trainer, build_watch

log = logging.getLogger(__name__)


def run_rank(
    session: Session, build: Callable[[], tuple[Any, pl.LightningModule]] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train one rank of a run. Results and errors are those of `train`.

    Args:
        build: returns data module and task; None: the configuration names them.
    """
    config, run, group = session.config, session.run, session.group
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message=".*LeafSpec")  # Lightning asks torch for it in several loaders
        # Before the directory: a file that is no text, or a net that cannot be built, creates none.
        with group.all_or_none(), ExitStack() as preparing:
            stack.enter_context(arithmetic.configured(config.trainer))
            if config.callbacks.progress_bar and group.rank == 0:
                preparing.enter_context(announced("preparing data and net"))
            place = group.rank, group.world_size
            given = build() if build else None
            data = (
                given[0] if given else build_data(config.data, config.seed, place, config.trainer.limit_train_batches)
            )
            if group.rank == 0:
                prepare_own(data)
        with group.all_or_none():  # the other ranks find what rank 0 has downloaded
            data.check_processes(group.world_size)
            data.placed_at = group.rank, group.world_size
            if problem := config.epoch_length_problem(data.batches_per_epoch):
                raise UserError(problem)
            limits.check_net(config, data.spec, session.devices.is_gpu)
            system.seed(config.seed)
            task = given[1] if given else build_task(config.task, config.optimizer, data.spec, data)
            if config.trainer.precision == 64:  # Lightning does so only when a checkpoint was read into single ones
                task.double()
        group.agree({"data": digest(data.spec)})
        with group.all_or_none():  # no rank looks into the directory before rank 0 has prepared it
            stack.enter_context(run.locked(config))
        with group.all_or_none():
            run.check_seen()
        stack.enter_context(logging_to(run.log_file if group.rank == 0 else None))
        stack.enter_context(group.raise_first_failure())
        return fit(session, data, task)


def fit(session: Session, data: Any, task: pl.LightningModule) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train, test the best checkpoint, and write result.json. The run directory is locked.

    Args:
        session: with all ranks.
        data: of `build_data`.
        task: of `build_task`, with the weights to begin from.

    Returns:
        The result, and the objects `run`, `task`, `datamodule`, `trainer`.

    Raises:
        UserError: the data or the number of ranks are not those that the run was begun with.
        Interrupted: a signal or the time limit stopped the training; the result says so.
        NonFiniteError: a loss or gradient is NaN or infinite; the result says where.
        WriteError: the disk is full, say; the last checkpoint is whole.
    """
    config, run, group = session.config, session.run, session.group
    with group.all_or_none():
        start = run.find_resume_point()
        if start:
            _check_resume_point(session, start, data, task)
    first_step = start.step if start else 0
    group.agree({"step": first_step})
    watch = build_watch(session)
    interval, note = config.validation_interval(data.batches_per_epoch)
    trainer = build_trainer(session, watch, start, interval, data.spec)
    code = run.code.note(config, "the rest is trained with the new code; fix: resume=restart trains it anew")
    with group.all_or_none():
        run.begin(config, session.overrides)
    log.info("%s from step %d", run.path, first_step)
    notes = [
        note,
        code,
        config.schedule_warning,
        *config.trainer.notes,
        *getattr(data, "notes", [getattr(data, "note", None)]),
    ]
    _tell(*notes, *_precision_notes(config, data, task, trainer, start), aloud=group.rank == 0)
    objects = {"run": run, "task": task, "datamodule": data, "trainer": trainer}
    try:
        with watch.preemption.listening():  # until the result is written: a signal may come twice
            try:
                trainer.fit(task, data, ckpt_path=start.path if start else None, weights_only=True)
                watch.checkpoints.replace_lost_best(trainer)
                metrics = _measure(run, task, data, trainer, watch)
                result = _write_result(session, task, trainer, watch, status="completed", metrics=metrics)
            except BaseException as error:
                _end_early(session, task, trainer, watch, error)
                raise
    except Interrupted as error:
        if error.exit_code == REQUEUE and trainer.is_global_zero:
            # Last of all: SLURM ends the job for it.
            slurm.requeue(progressed=watch.checkpoints.saved_step > first_step, counter=run.fruitless_file)
        raise
    build.finish(trainer.loggers, result)
    return result, objects


def _measure(
    run: Run, task: pl.LightningModule, data: Any, trainer: pl.Trainer, watch: RunCallbacks
) -> dict[str, float]:
    """Return the metrics of `best.ckpt`: of its validation, and of the test where task and data have one."""
    best = run.load(run.best)
    task.on_load_checkpoint(best)
    task.load_state_dict(best["state_dict"], strict=task.strict_loading)
    if is_overridden("validation_step", task) and is_overridden("val_dataloader", data):
        watch.final_validation.run(trainer, task, data)
    tested: list[Any] = []
    if is_overridden("test_step", task) and is_overridden("test_dataloader", data):
        build.begin_test(trainer.loggers)
        tested = list(trainer.test(task, data, verbose=False))
    # A name that says no split is that of a validation metric, too: the test's gets test/ before it.
    measured = {with_split(name, "test"): value for each in tested for name, value in each.items()}
    return dict(sorted({**watch.checkpoints.best, **measured}.items()))


def _end_early(
    session: Session, task: pl.LightningModule, trainer: pl.Trainer, watch: RunCallbacks, error: BaseException
) -> None:
    """Write the result and close the loggers of a run that `error` ends, and log that."""
    status = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"
    if trainer.is_global_zero:
        message = f"{type(error).__name__}: {error}" if status == "failed" else None
        best, result = dict(watch.checkpoints.best), {}
        try:
            result = _write_result(session, task, trainer, watch, status=status, metrics=best, error=message)
        except WriteError as unwritten:  # a full disk, say, which `error` names already
            log.error("%s", unwritten)
        build.finish(trainer.loggers, result, error)
    log.log(logging.ERROR if status == "failed" else logging.INFO, status, exc_info=error)


def _check_resume_point(session: Session, start: ResumePoint, data: Any, task: pl.LightningModule) -> None:
    """Raise UserError where the checkpoint to resume from is of other data, devices or another net."""
    run, checkpoint = session.run, start.checkpoint
    # Data before the net: of other data, it has other shapes.
    run.check_same_data(data_spec(checkpoint), data.spec, OTHERWISE)
    run.check_same_devices(checkpoint, session.group.world_size, session.devices.is_gpu)
    run.check_fits(start, {name: tuple(value.shape) for name, value in task.state_dict().items()})


def _precision_notes(
    config: Config, data: Any, task: pl.LightningModule, trainer: pl.Trainer, start: ResumePoint | None
) -> Iterator[str | None]:
    """Yield what may surprise in the bits of this run."""
    device = trainer.strategy.root_device
    if start:
        now = numerics(task, device, data)
        yield numerics_note("the last checkpoint", start.numerics, now, "the rest of this run")
    if config.trainer.precision == "bf16-mixed":
        yield bfloat16_note(task, device)


def _tell(*notes: str | None, aloud: bool) -> None:
    """Log those notes that are not None; `aloud` on stderr, too."""
    for note in filter(None, notes):
        log.warning(note)
        if aloud:
            print(f"note: {note}", file=sys.stderr)


def _write_result(
    session: Session,
    task: pl.LightningModule,
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
        "data_digest": datamodule_of(trainer).spec.get(
            "digest"
        ),  # of data from files or generated graphs; tells a complete run's data
        "encoding": getattr(datamodule_of(trainer), "encoding", None),  # of a text
    }
    if not trainer.is_global_zero:
        return values
    return session.run.write_result(session.config, **values)
