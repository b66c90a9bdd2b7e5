"""Make a resumed run bitwise equal to the run that never stopped.

Two rules make it so. Order and content of the batches (data/) and the random numbers within a step (here) follow from
the number of batches processed. And a checkpoint describes the moment between two batches, whenever it is written:
counters (`loop_counters`) and what an epoch has gathered so far (`epoch_state`).
"""

import logging
import sys
from collections.abc import Iterator
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import StochasticWeightAveraging
from pytorch_lightning.loops.fetchers import _DataLoaderIterDataFetcher
from pytorch_lightning.trainer.states import TrainerFn

from lightning_dl2.resume.epoch_state import all_ranks, epoch_state, restore_epoch_state
from lightning_dl2.resume.loop_counters import between_batches, place_of, resume_quietly
from lightning_dl2.resume.numerics import numerics
from lightning_dl2.resume.random_numbers import seed_all, step_seed
from lightning_dl2.resume.train_batches import TrainBatches, batches_processed, datamodule_of

log = logging.getLogger(__name__)


class ExactResume(Callback):
    """Seed each training step, and make checkpoints describe the moment between two batches.

    With this callback, KeepCheckpoints, and data whose batches follow from the step's number, a plain Trainer resumes
    bitwise:

        data = adapt(datamodule, seed=0)
        trainer = Trainer(
            callbacks=[ExactResume(seed=0), KeepCheckpoints("checkpoints", every_n_steps=100)],
            plugins=[VerifiedCheckpointIO()],
            max_epochs=10,
        )
        trainer.fit(module, data, ckpt_path="checkpoints/last.ckpt" if resumes else None)

    A checkpoint keeps, beside what Lightning writes, all that an epoch has gathered: the means of
    `self.log(on_epoch=True)`, the states of torchmetrics, the metrics that schedules and callbacks monitor, and, with
    manual optimisation, the gradients. Other attributes of a module are its own to keep, by `on_save_checkpoint`.

    What `max_steps` ends within an epoch has ended that epoch for its hooks: with a larger limit, the run goes on
    within the epoch, and `on_train_epoch_end` is called once more.

    Args:
        seed: of the random numbers in training steps: of `random`, `numpy.random` and torch.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._resumed: dict[str, Any] | None = None
        self._before_end: dict[str, Any] | None = None  # what an epoch that max_steps cuts short had gathered

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        states = checkpoint.get("epoch_states", [])
        place = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["processed"]
        state = states[trainer.global_rank] if trainer.global_rank < len(states) else {}
        self._resumed = {"state": state, "within": place > 0}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for note in inexact_parts(trainer):
            log.warning(note)
            if trainer.is_global_zero:
                print(f"note: {note}", file=sys.stderr)
        resumed, self._resumed = self._resumed, None
        if resumed is None:
            return

        def restore() -> None:
            restore_epoch_state(trainer, pl_module, resumed["state"], within=resumed["within"])

        resume_quietly(trainer, restore)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        loop, done = trainer.fit_loop.epoch_loop, batches_processed(trainer)
        seed_all(step_seed(self.seed, done, trainer.global_rank), pl_module.device.type)
        # This counter decides which steps are logged; Lightning restores it off by one. With manual optimisation, a
        # batch may make several optimiser steps.
        loop._batches_that_stepped = trainer.global_step if pl_module.automatic_optimization else done
        self._before_end = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        place = place_of(trainer)
        self._before_end = epoch_state(trainer, pl_module) if place.batch else None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        loops, place = checkpoint["loops"]["fit_loop"], place_of(trainer)
        between_batches(loops, place)
        size, done = trainer.num_training_batches, batches_processed(trainer)
        checkpoint["epoch"] = place.epoch if size == float("inf") else int(done // size)
        # At a validation between the batches of one step: their gradients are in no checkpoint.
        batch = place.batch % size
        checkpoint["within_step"] = bool(batch % trainer.accumulate_grad_batches > 0)
        checkpoint["world_size"], checkpoint["gpu"] = trainer.world_size, pl_module.device.type == "cuda"
        checkpoint["numerics"] = numerics(pl_module, pl_module.device, datamodule_of(trainer))
        # Without an optimiser, Lightning has one that has no state.
        checkpoint["optimizer_states"] = [state for state in checkpoint.get("optimizer_states", ()) if state]
        states = all_ranks(self._before_end or epoch_state(trainer, pl_module), trainer.world_size)
        if any(states):
            checkpoint["epoch_states"] = states


def inexact_parts(trainer: Trainer) -> Iterator[str]:
    """Yield one line for each part of a Trainer with which a resumed run differs from the one that never stopped."""
    loop: Any = trainer.fit_loop
    if not all(isinstance(loader, TrainBatches) for loader in loop._combined_loader.flattened):
        yield "the batches of a plain DataLoader do not follow from the step; fix: use adapt(data, seed=...)"
    if isinstance(loop._data_fetcher, _DataLoaderIterDataFetcher):
        yield "training_step(dataloader_iter) reads ahead of the step: a resumed run lacks what was read"
    if loop.trainer._val_check_time_interval is not None:
        yield "val_check_interval is a time: a resumed run validates at other steps; fix: use a number of batches"
    if any(isinstance(callback, StochasticWeightAveraging) for callback in loop.trainer.callbacks):
        yield "Lightning does not restore the schedule of StochasticWeightAveraging; fix: use WeightAveraging"
