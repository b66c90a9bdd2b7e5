"""Run `benchmark.py subnormal`: the cost of a vanished gradient if subnormal numbers are not set to zero."""

from functools import partial

import torch
from rich.table import Table

from lightning_dl2 import compose
from lightning_dl2.common import arithmetic
from lightning_dl2.data.build import build_data
from lightning_dl2.tasks.build import build_task
from scripts.benchmarks.loops import alternate, seconds

CELLS = ("rnn", "lstm")
LENGTHS = (51, 151, 501)  # T


def benchmark_subnormal(repeats: int) -> Table:
    """Time a forward and a backward pass of untrained nets with the course's settings."""
    title = "Forward and backward of an untrained net, B = 128, H = 128: trainer.flush_denormal=true against false"
    table = Table("cell", "T", "true, ms", "false, ms", "ratio", title=title)
    for cell in CELLS:
        for length in LENGTHS:
            config = compose("experiment=course/palindrome", f"data.sequence_length={length}", f"task.cell={cell}")
            data = build_data(config.data, 0)
            torch.manual_seed(0)
            net, (tokens, labels) = build_task(config.task, config.optimizer, data.spec).net, data.train_batch(0)
            sides = [partial(measure, net, tokens, labels, flush) for flush in (True, False)]
            (a, b), (ratio,) = alternate(sides, repeats)
            table.add_row(cell, str(length), f"{a * 1e3:.1f}", f"{b * 1e3:.1f}", f"{ratio:.2f}")
    return table


def measure(net: torch.nn.Module, tokens: torch.Tensor, labels: torch.Tensor, flush: bool) -> float:
    def step() -> None:
        torch.nn.functional.cross_entropy(net(tokens), labels).backward()

    arithmetic.set_flush_denormal(flush)
    try:
        return seconds(step)
    finally:
        arithmetic.set_flush_denormal(False)
