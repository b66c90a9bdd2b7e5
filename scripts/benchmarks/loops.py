"""Measure two or more sides in turns, and the Trainer against a bare loop, for all benchmarks."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pytorch_lightning as pl
import torch

from lightning_dl2 import compose
from lightning_dl2.data.build import build_data
from lightning_dl2.run.log import logging_to
from lightning_dl2.tasks.build import build_task
from lightning_dl2.training.session import Session
from lightning_dl2.training.trainer import build_trainer, build_watch


class Bare(Protocol):
    """The peer: a module and its optimiser as one would write them without a framework."""

    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler | None

    def to(self, device: str) -> object: ...

    def loss(self, *batch: object) -> torch.Tensor: ...


def synchronize() -> None:
    """Wait until the GPU, if there is one, has done what it was asked for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def time_bare_loop(data: Any, build: Callable[[], Bare], steps: int, clip: float | None, device: str = "cpu") -> float:
    """Return the seconds per step of plain PyTorch with the same batches, model, loss, clipping and optimiser."""
    torch.use_deterministic_algorithms(False)  # the Trainer sets this, the peer would not
    net = build()
    net.to(device)

    def step(k: int) -> None:
        batch = data.train_batch(k)
        parts = batch if isinstance(batch, tuple) else [batch]
        loss = net.loss(*[part.to(device) if hasattr(part, "to") else part for part in parts])
        net.optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        net.optimizer.step()
        if net.schedule is not None:
            net.schedule.step()

    step(0)
    synchronize()
    start = time.perf_counter()
    for k in range(1, steps + 1):
        step(k)
    synchronize()
    return (time.perf_counter() - start) / steps


def count_parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


class Clock(pl.Callback):
    """Measure the time from the end of the first step to the end of step number `last`."""

    def __init__(self, last: int) -> None:
        self.last = last

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        if trainer.global_step in (1, self.last):
            synchronize()
        if trainer.global_step == 1:
            self.start = time.perf_counter()
        if trainer.global_step == self.last:
            self.end = time.perf_counter()


def time_trainer(overrides: list[str], build: Callable[[], Bare], steps: int) -> float:
    """Return the seconds per step of the Trainer with all that a run has: logging, checkpoints, callbacks."""
    with tempfile.TemporaryDirectory() as root:
        config = compose(*overrides, f"trainer.max_steps={steps + 1}", f"root={root}")
        session = Session.open(config)
        with session.run.locked(config), logging_to(session.run.log_file):
            data = build_data(config.data, config.seed)
            task = build_task(config.task, config.optimizer, data.spec)
            assert count_parameters(task) == count_parameters(build())  # nets of different sizes are not comparable
            trainer = build_trainer(session, build_watch(session))
            clock = Clock(steps + 1)
            trainer.callbacks.append(clock)
            trainer.fit(task, data)
    return (clock.end - clock.start) / steps


def alternate(sides: Sequence[Callable[[], float]], repeats: int) -> tuple[list[float], list[float]]:
    """Return the median of each side, and of the ratios of the first side to the others; the first turn warms up."""
    for side in sides:
        side()
    turns = [[side() for side in sides] for _ in range(repeats)]
    medians = [statistics.median(values) for values in zip(*turns, strict=True)]
    ratios = [statistics.median(turn[0] / turn[k] for turn in turns) for k in range(1, len(sides))]
    return medians, ratios


def compare_with_bare(
    overrides: list[str], build: Callable[[], Bare], steps: int, repeats: int, device: str = "cpu"
) -> tuple[float, float, float]:
    """Return the seconds per step of the Trainer and of the bare loop, and their ratio; no validation, no figures.

    Args:
        device: of the bare loop; `overrides` set the Trainer's.
    """
    overrides = [*overrides, "callbacks.curves=false", "trainer.val_check_interval=100000"]
    config = compose(*overrides)
    data, clip = build_data(config.data, 0), config.trainer.gradient_clip_val
    sides = (lambda: time_trainer(overrides, build, steps), lambda: time_bare_loop(data, build, steps, clip, device))
    (ours, bare), (ratio,) = alternate(sides, repeats)
    return ours, bare, ratio


def seconds(function: Callable[[], object], times: int = 1) -> float:
    """Return the mean seconds of a call over `times` calls."""
    start = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - start) / times
