"""Run `benchmark.py scaling`: the gain of a second process of one thread, with DDP on the CPU (gloo)."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from lightning_dl2 import compose, train
from scripts.benchmarks.graph_steps import generate_molecules
from scripts.benchmarks.loops import alternate

SPLITS = {"train": 1600, "val": 200, "test": 200}
EXPERIMENTS = {  # (unit, units per batch, steps per measurement), overrides
    "palindrome, LSTM (64, 128, 512)": (
        ("sequences", 64, 12),
        ["experiment=palindrome", "data.batch_size=64", "data.sequence_length=129", "task.hidden_size=512"]
        + ["data.validation_size=8", "data.test_size=8"],
    ),
    "text (16, 64), LSTM 256": (("characters", 16 * 64, 150), ["experiment=text", "callbacks.samples.enabled=false"]),
    "made-up molecules, GatedGCN 4 x 70": (("molecules", 128, 24), ["experiment=zinc"]),
}
QUIET = ["callbacks.progress_bar=false", "callbacks.curves=false", "trainer.val_check_interval=100000"]


def write_molecules(path: Path) -> Path:
    """Write the synthetic molecules as a file in ZINC's format, each bond once."""
    graphs, y = generate_molecules()
    arrays, first = {"atom_names": np.arange(28).astype(str)}, 0
    for split, size in SPLITS.items():
        part = graphs.subset(torch.arange(first, first + size))
        values = {
            "num_nodes": part.num_nodes,
            "num_bonds": part.num_edges // 2,
            "atom": part.ndata["types"],
            "src": part.src[::2],
            "dst": part.dst[::2],
            "bond": part.edata["types"][::2],
            "y": y[first : first + size],
        }
        arrays |= {f"{split}_{name}": value.numpy() for name, value in values.items()}
        first += size
    np.savez(path, **arrays)
    return path


def time_step(overrides: list[str], steps: int, devices: int) -> float:
    """Return the seconds per step of a run on `devices` processes, without their start."""
    with tempfile.TemporaryDirectory() as root:
        overrides = [*overrides, *QUIET, f"root={root}", f"trainer.max_steps={steps}", "trainer.num_threads=1"]
        overrides.append(f"callbacks.checkpoint.every_n_steps={steps}")
        trainer = ["trainer=ddp_cpu", f"trainer.devices={devices}"] if devices > 1 else ["trainer=cpu"]
        result, _ = train(compose(*trainer, *overrides))
    return result["seconds"] / steps


def benchmark_scaling(repeats: int) -> Table:
    title = "1 and 2 processes on the CPU, one batch each"
    table = Table("task", "a second", "1 process", "2 processes", "ratio", title=title)
    with tempfile.TemporaryDirectory() as data:
        molecules = write_molecules(Path(data) / "molecules.npz")
        where = {"text": [f"data.cache_dir={data}"], "made-up": [f"data.path={molecules}"]}
        for name, ((what, batch, steps), overrides) in EXPERIMENTS.items():
            overrides = overrides + where.get(name.split()[0].rstrip(","), [])
            sides = [partial(time_step, overrides, steps, devices) for devices in (1, 2)]
            (one, two), (ratio,) = alternate(sides, repeats)
            table.add_row(name, what, f"{batch / one:.0f}", f"{2 * batch / two:.0f}", f"{2 * ratio:.2f}")
    return table
