"""What a training step costs more when W&B, offline, is logged to beside metrics.csv: see benchmark.py."""

import os
import tempfile
from functools import partial

from rich.table import Table

from lightning_dl2 import compose, train
from scripts.benchmarks.loops import alternate

SIZE = (128, 20, 128)  # B, T, H: the smallest of the Trainer's benchmark, where a row weighs most
STEPS = 600  # twelve of them are logged, as by default


def seconds_a_step(*words: str) -> float:
    """Of a whole run, its checkpoints and loggers included, validation and test not."""
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
                *words,
            )
        )
    return result["seconds"] / result["steps"]


def benchmark_logging(repeats: int) -> Table:
    """Milliseconds a step with W&B and without, and their ratio."""
    os.environ["WANDB_MODE"] = "offline"
    sides = [partial(seconds_a_step, f"logger={name}") for name in ("wandb", "csv")]
    (both, alone), (ratio,) = alternate(sides, repeats)
    title = "Logging to W&B, offline, against metrics.csv alone"
    table = Table("(B, T, H)", "W&B ms/step", "metrics.csv ms/step", "ratio", title=title)
    table.add_row(str(SIZE), f"{both * 1e3:.2f}", f"{alone * 1e3:.2f}", f"{ratio:.3f}")
    return table
