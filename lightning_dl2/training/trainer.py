"""Build Lightning's Trainer of a configuration, with its loggers and callbacks."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import Precision
from pytorch_lightning.plugins.environments import LightningEnvironment

from lightning_dl2.callbacks import (
    Curves,
    FinalValidation,
    GradientFlow,
    LengthCurriculum,
    OwnModule,
    ProgressBar,
    Samples,
    Stopwatch,
    StopWhenSolved,
    StopWhenStalled,
    WeightAveraging,
    WeightNoise,
)
from lightning_dl2.common.dotted import find_callable, is_dotted
from lightning_dl2.config.schema import Config
from lightning_dl2.distributed.devices import Devices
from lightning_dl2.loggers.build import build_loggers
from lightning_dl2.resume.checkpoint_io import VerifiedCheckpointIO
from lightning_dl2.resume.data.record_data import RecordData
from lightning_dl2.resume.exact_resume import ExactResume
from lightning_dl2.resume.find_checkpoint import ResumePoint
from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints
from lightning_dl2.resume.preemption import Preemption
from lightning_dl2.run.directory import Run
from lightning_dl2.training.own_callbacks import build_own_callbacks
from lightning_dl2.training.session import Session

# Keys of conf/trainer/ that Lightning's Trainer has by the same name: for each Trainer, and for one that trains.
KEYS = {"accelerator", "devices", "num_nodes", "strategy", "precision", "deterministic", "profiler"}
KEYS |= {"limit_val_batches", "limit_test_batches"}
TRAINING_KEYS = {"max_steps", "check_val_every_n_epoch", "log_every_n_steps", "gradient_clip_val"}
TRAINING_KEYS |= {"accumulate_grad_batches", "limit_train_batches", "overfit_batches"}
TRAINING_KEYS |= {"gradient_clip_algorithm", "detect_anomaly"}


@dataclass
class RunCallbacks:
    """The callbacks whose state ends up in the result."""

    checkpoints: KeepCheckpoints
    preemption: Preemption
    final_validation: FinalValidation
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    solved: StopWhenSolved | None = None
    stalled: StopWhenStalled | None = None

    @property
    def stopped_by(self) -> str:
        """Return solved, early_stopping, or limit (max_steps or max_epochs)."""
        if self.solved and self.solved.solved_at is not None:
            return "solved"
        return "early_stopping" if self.stalled and self.stalled.stalled else "limit"


def build_watch(session: Session) -> RunCallbacks:
    """Build the callbacks whose state ends up in the result."""
    config, rules = session.config, session.config.callbacks
    checkpoints = KeepCheckpoints(session.run.checkpoints, **rules.checkpoint.model_dump())
    watch = RunCallbacks(checkpoints, Preemption(checkpoints, config.trainer.max_time), FinalValidation(checkpoints))
    if rules.solved.enabled:
        watch.solved = StopWhenSolved(**rules.solved.model_dump(exclude={"enabled"}))
    if rules.early_stopping.enabled:
        watch.stalled = StopWhenStalled(
            **rules.early_stopping.model_dump(exclude={"enabled"}), check_on_train_epoch_end=False
        )
    return watch


def build_trainer(
    session: Session,
    watch: RunCallbacks,
    start: ResumePoint | None = None,
    interval: int | None = None,
    spec: dict[str, Any] | None = None,
) -> pl.Trainer:
    """Build the Trainer of a session.

    Args:
        start: the checkpoint that it resumes from; None for a new run.
        interval: training batches between two validations; None: as `config` says.
        spec: of the data module, for the checkpoints.
    """
    # With deterministic algorithms torch would fill new memory before each use; nothing here reads it uninitialised.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # not in torch's stubs
    config, run = session.config, session.run
    rules, max_epochs = config.callbacks, config.trainer.max_epochs
    if max_epochs > 0:  # fewer than are trained already end the run, as with steps; Lightning would raise an error
        max_epochs = max(max_epochs, start.epoch if start else 0)
    if start:
        watch.checkpoints.resume_from(start.path)
    # A checkpoint is saved, or training interrupted, before a step draws random numbers: so ExactResume comes last
    # (but for the checkpoints, which Lightning moves to the end; saving draws nothing).
    callbacks: list[pl.Callback] = [watch.stopwatch, ProgressBar(rules.progress_bar), OwnModule()]
    curriculum = getattr(config.data, "curriculum", None)
    if curriculum and curriculum.enabled:
        callbacks.append(LengthCurriculum())
    averaging, samples, flow = rules.weight_averaging, rules.samples, rules.gradient_flow
    if averaging.enabled:
        callbacks.append(WeightAveraging(averaging.decay, averaging.start_step))
    if rules.weight_noise.enabled:
        callbacks.append(WeightNoise(**rules.weight_noise.model_dump(exclude={"enabled"}), seed=config.seed))
    callbacks += [callback for callback in (watch.solved, watch.stalled) if callback]
    if rules.curves:
        callbacks.append(Curves(run.metrics_file, run.path / "figures"))
    if samples.enabled:
        callbacks.append(Samples(run.path / "samples", **samples.model_dump(exclude={"enabled"})))
    if flow.enabled:
        figures = run.path / "figures"
        callbacks.append(GradientFlow(run.gradient_flow_file, figures, every_n_steps=flow.every_n_steps))
    callbacks += [*build_own_callbacks(config), *session.callbacks]
    callbacks += [watch.final_validation, watch.checkpoints, watch.preemption]
    callbacks += [RecordData(spec or {}), ExactResume(config.seed)]
    trainer = pl.Trainer(
        **_trainer_arguments(config, run.path, start) | config.trainer.model_dump(include=TRAINING_KEYS),
        logger=[*build_loggers(config, run, start.step if start else 0), *session.loggers],
        callbacks=callbacks,
        max_epochs=max_epochs,
        val_check_interval=interval or config.trainer.val_check_interval,
        num_sanity_val_steps=0,  # they would log metrics before the first step
    )
    if config.trainer.overfit_batches:  # Lightning would limit the validation to as many batches
        trainer.limit_val_batches = (
            1.0 if config.trainer.limit_val_batches is None else config.trainer.limit_val_batches
        )
    _leave_sigterm(trainer)
    return trainer


def build_evaluator(config: Config, run: Run) -> pl.Trainer:
    """Build a Trainer that only evaluates: one process, no logger, on a CPU where this machine lacks the run's GPU."""
    gpu, precision = Devices(config.trainer).is_gpu and torch.cuda.is_available(), config.trainer.precision
    mps = config.trainer.accelerator == "mps" and torch.backends.mps.is_available()
    if precision == "16-mixed" and not gpu:  # Lightning would use bf16 without a message
        print("note: trainer.precision=16-mixed needs a GPU; evaluated with 32 here", file=sys.stderr)
        precision = 32
    arguments = _trainer_arguments(config, run.path)
    if arguments["precision"] is not None:
        arguments["precision"] = precision
    arguments |= {
        "accelerator": "gpu" if gpu else "mps" if mps else "cpu",
        "devices": 1,
        "num_nodes": 1,
        "strategy": "auto",
        "profiler": None,
    }
    callbacks: list[pl.Callback] = [ProgressBar(config.callbacks.progress_bar)]
    trainer = pl.Trainer(**arguments, logger=False, callbacks=callbacks, enable_checkpointing=False)
    _leave_sigterm(trainer)
    return trainer


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a Trainer with KeyboardInterrupt within the block; Lightning would exit with 1, then ignore it."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise error.__context__ from None


def _leave_sigterm(trainer: pl.Trainer) -> None:
    """Remove Lightning's own handler, which would end the process in the middle of a step, with exit code 0."""
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]  # has no switch


def _trainer_arguments(config: Config, path: Path, start: ResumePoint | None = None) -> dict[str, Any]:
    keys, plugins = config.trainer, [find_callable(name)() for name in config.trainer.plugins]
    return keys.model_dump(include=KEYS) | {
        "strategy": find_callable(keys.strategy)() if is_dotted(keys.strategy) else keys.strategy,
        # Lightning takes one of the two.
        "precision": None if any(isinstance(plugin, Precision) for plugin in plugins) else keys.precision,
        # All ranks run already, whoever has started them; their numbers are in Lightning's own variables.
        "plugins": [VerifiedCheckpointIO(start), LightningEnvironment(), *plugins],
        "default_root_dir": path,
        "use_distributed_sampler": False,  # the data modules give each rank its share
        "enable_progress_bar": False,
        "enable_model_summary": False,
        **keys.arguments,
    }
