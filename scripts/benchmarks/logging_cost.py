"""Run `benchmark.py logging`: the cost of offline W&B beside metrics.csv, per training step."""

import os
import tempfile
from functools import partial

from rich.table import Table

from lightning_dl2 import compose, train
from scripts.benchmarks.loops import alternate

SIZE = (128, 20, 128)  # B, T, H: the smallest size of the Trainer's benchmark, where logging weighs most
STEPS = 600  # twelve are logged, as by default


def time_step(*overrides: str) -> float:
    """Return the seconds per step of a whole run: with checkpoints and loggers, without validation and test."""
    batch, length, hidden = SIZE
    with tempfile.TemporaryDirectory() as root:
        result, _ = train(
            compose(
                f"data.batch_size={batch}",
                f"data.sequence_length={length + 1}",
                f"task.hidden_size={hidden}",
                "data.validation_size=8",
                "data.test_size=8",
                "trainer.val_check_interval=100000",
                f"trainer.max_steps={STEPS}",
                "callbacks.curves=false",
                "callbacks.progress_bar=false",
                f"root={root}",
                *overrides,
            )
        )
    return result["seconds"] / result["steps"]


def benchmark_logging(repeats: int) -> Table:
    """Return a table of the milliseconds per step with W&B, without it, and their ratio."""
    os.environ["WANDB_MODE"] = "offline"
    sides = [partial(time_step, f"logger={name}") for name in ("wandb", "csv")]
    (both, alone), (ratio,) = alternate(sides, repeats)
    title = "Logging to W&B, offline, against metrics.csv alone"
    table = Table("(B, T, H)", "W&B ms/step", "metrics.csv ms/step", "ratio", title=title)
    table.add_row(str(SIZE), f"{both * 1e3:.2f}", f"{alone * 1e3:.2f}", f"{ratio:.3f}")
    return table
