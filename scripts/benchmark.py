"""Benchmarks as ratios in one run: what the Trainer adds to a bare loop, what a cell costs beside torch.nn.LSTM.

    python scripts/benchmark.py [trainer] [cells] [repeats=7] [threads=1]

Both sides do the same work in the same process, in turns; the table shows the median of each and their ratio. On a
busy machine the seconds move, the ratio hardly does.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import pytorch_lightning as pl  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from rich.table import Table  # noqa: E402

from lightning_dl2 import compose  # noqa: E402
from lightning_dl2.cli import console, settings  # noqa: E402
from lightning_dl2.data import SequenceDataModule, build_data  # noqa: E402
from lightning_dl2.log import logging_to  # noqa: E402
from lightning_dl2.nets import Recurrent  # noqa: E402
from lightning_dl2.run import Run  # noqa: E402
from lightning_dl2.tasks import build_task  # noqa: E402
from lightning_dl2.trainer import build_trainer, build_watch  # noqa: E402

SIZES = ((128, 20, 128), (256, 81, 256), (64, 128, 512))
STEPS = {20: 300, 81: 8, 128: 8}  # steps a measurement, by T


class BareNet(torch.nn.Module):
    """The peer: the model as anybody would write it without a framework."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 128)
        self.lstm = torch.nn.LSTM(128, hidden_size, batch_first=True)
        self.output = torch.nn.Linear(hidden_size, 10)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        _, (h, _) = self.lstm(self.embedding(tokens))
        return self.output(h[-1])


def bare_loop(data: SequenceDataModule, hidden_size: int, steps: int) -> float:
    """Seconds a step of plain PyTorch: the same batches, model, loss, clipping and optimiser."""
    torch.use_deterministic_algorithms(False)  # the Trainer's choice, not the peer's
    net = BareNet(hidden_size)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step(k: int) -> None:
        tokens, labels = data.train_batch(k)
        loss = F.cross_entropy(net(tokens), labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    step(0)
    start = time.perf_counter()
    for k in range(1, steps + 1):
        step(k)
    return (time.perf_counter() - start) / steps


def num_parameters(hidden_size: int) -> int:
    """Of the peer: a ratio means something only between the same models."""
    return sum(p.numel() for p in BareNet(hidden_size).parameters())


class Clock(pl.Callback):
    """Seconds from the end of the first step to the end of the last."""

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        if trainer.global_step == 1:
            self.start = time.perf_counter()
        self.end = time.perf_counter()


def trainer_loop(words: list[str], steps: int) -> float:
    """Seconds a step of our Trainer with everything that a run has: logging, checkpoints, callbacks."""
    with tempfile.TemporaryDirectory() as root:
        config = compose(*words, f"trainer.max_steps={steps + 1}", f"root={root}")
        run = Run.of(config)
        with run.held(config, []), logging_to(run.log_file):
            data = build_data(config.data, config.seed)
            task = build_task(config.task, config.optimizer, data.spec)
            assert sum(p.numel() for p in task.parameters()) == num_parameters(config.task.hidden_size)
            trainer = build_trainer(config, run, build_watch(config, run), 0)
            clock = Clock()
            trainer.callbacks.append(clock)
            trainer.fit(task, data)
    return (clock.end - clock.start) / steps


def alternate(one: Callable[[], float], other: Callable[[], float], repeats: int) -> tuple[float, float, float]:
    """Medians of both and of the ratio of neighbours, after one uncounted turn."""
    one(), other()
    pairs = [(one(), other()) for _ in range(repeats)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def benchmark_trainer(repeats: int) -> Table:
    table = Table("(B, T, H)", "Trainer ms/step", "bare loop ms/step", "ratio", title="Trainer against a bare loop")
    for batch, length, hidden in SIZES:
        words = [
            f"data.batch_size={batch}",
            f"data.sequence_length={length + 1}",
            f"task.hidden_size={hidden}",
            "callbacks.curves=false",
            "data.validation_size=8",
            "trainer.val_check_interval=100000",
        ]
        data = build_data(compose(*words).data, 0)
        steps = STEPS[length]
        ours, bare, ratio = alternate(
            lambda w=words, s=steps: trainer_loop(w, s), lambda d=data, h=hidden, s=steps: bare_loop(d, h, s), repeats
        )
        table.add_row(str((batch, length, hidden)), f"{ours * 1e3:.2f}", f"{bare * 1e3:.2f}", f"{ratio:.3f}")
    return table


def cell_step(net: torch.nn.Module, x: torch.Tensor) -> float:
    """Seconds of forward and backward, the gradient of the input included."""
    start = time.perf_counter()
    outputs, _ = net(x)
    outputs.sum().backward()
    return time.perf_counter() - start


def benchmark_cells(repeats: int) -> Table:
    table = Table("cell", "(B, T, H)", "ms", "nn.LSTM ms", "ratio", title="Forward and backward against torch.nn.LSTM")
    kinds = (
        ("rnn", {}),
        ("gru", {}),
        ("gru", {"reset_after": False}),
        ("peephole", {"peephole": "gers"}),
        ("peephole", {"peephole": "assignment"}),
    )
    for cell, options in kinds:
        for batch, length, hidden in SIZES:
            x = torch.randn(batch, length, hidden, requires_grad=True)
            ours, peer = Recurrent(cell, hidden, hidden, **options), torch.nn.LSTM(hidden, hidden, batch_first=True)
            a, b, ratio = alternate(lambda n=ours, x=x: cell_step(n, x), lambda n=peer, x=x: cell_step(n, x), repeats)
            name = " ".join([cell, *(f"{key}={value}" for key, value in options.items())])
            table.add_row(name, str((batch, length, hidden)), f"{a * 1e3:.1f}", f"{b * 1e3:.1f}", f"{ratio:.2f}")
    return table


def main() -> None:
    kinds = [word for word in sys.argv[1:] if "=" not in word] or ["trainer", "cells"]
    values = settings([word for word in sys.argv[1:] if "=" in word], repeats="7", threads="1")
    torch.set_num_threads(int(values["threads"]))
    for kind in kinds:
        table = {"trainer": benchmark_trainer, "cells": benchmark_cells}[kind](int(values["repeats"]))
        console().print(table)


if __name__ == "__main__":
    main()
