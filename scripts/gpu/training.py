"""Checks that a device trains what the CPU trains: optimisers, and short runs in each precision."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_dl2 import compose, train
from lightning_dl2.common.files import read_rows
from lightning_dl2.run.directory import Run
from lightning_dl2.tasks.optimizers import build_optimizer, complete
from scripts.gpu.checklist import Broken, Check, NotTried, Passed, Setting
from scripts.gpu.compare import compare, seeded
from scripts.torture.exactness import optimizers
from scripts.torture.small_runs import write_book

PRECISIONS = ("32", "bf16-mixed", "16-mixed")
FIRST_STEPS, STEP_TOLERANCE = 5, 1e-3  # in precision 32, without dropout, the losses of these steps are equal
QUIET = [
    "callbacks.progress_bar=false",
    "callbacks.curves=false",
    "callbacks.samples.enabled=false",
    "callbacks.solved.enabled=false",
    "callbacks.early_stopping.enabled=false",
    "trainer.log_every_n_steps=1",
]


@dataclass(frozen=True)
class ShortRun:
    """A run of seconds, and how near to the CPU's its last validation must come.

    Args:
        metric: of the validation.
        allowed: difference of an accuracy; of a loss or an error as a share of the CPU's.
        steps, short_steps: of the full and the short form.
        needs: folder of its files in data=DIR.
    """

    overrides: tuple[str, ...]
    metric: str
    allowed: float
    steps: int
    short_steps: int
    needs: str = ""


MINIGC = ("experiment=mutag", "data=minigc", "data.num_graphs=320", "data.num_folds=4", "data.min_nodes=8")
NODES = ("experiment=graph", "task.dropout=0", "task.input_dropout=0")
RUNS = {
    "palindrome": ShortRun(
        ("experiment=palindrome", "data.sequence_length=6", "task.hidden_size=64", "data.batch_size=64"),
        "val/accuracy", 0.03, 200, 60,
    ),
    "palindrome, bidirectional GRU": ShortRun(
        ("experiment=palindrome", "data.sequence_length=6", "task.hidden_size=64", "data.batch_size=64",
         "task.cell=gru", "task.bidirectional=true", "task.num_layers=2"),
        "val/accuracy", 0.03, 200, 60,
    ),
    "palindrome, peephole LSTM": ShortRun(
        ("experiment=palindrome", "data.sequence_length=6", "task.hidden_size=64", "data.batch_size=64",
         "task.cell=peephole"),
        "val/accuracy", 0.03, 200, 60,
    ),
    "text": ShortRun(
        ("experiment=text", "data=text", "data.sequence_length=32", "task.output_dropout=0", "task.hidden_size=128",
         "optimizer.schedule={name:constant,warmup_steps:0}", "optimizer.learning_rate=0.003"),
        "val/loss", 0.05, 120, 60,
    ),
    "graph": ShortRun(NODES, "val/accuracy", 0.03, 40, 20),
    "graph, sampled neighbours, two workers": ShortRun(
        (*NODES, "data.fanouts=[5,5]", "data.num_workers=2"), "val/accuracy", 0.03, 40, 20
    ),
    "graphs, GIN": ShortRun((*MINIGC, "task.dropout=0"), "val/accuracy", 0.1, 80, 30),
    "graphs, GatedGCN": ShortRun((*MINIGC, "task.layer=gatedgcn", "task.dropout=0"), "val/accuracy", 0.1, 80, 30),
    "cora": ShortRun(
        ("experiment=cora", "task.input_dropout=0", "task.dropout=0"), "val/accuracy", 0.03, 100, 20, "cora"
    ),
    "zinc": ShortRun(("experiment=zinc",), "val/mean_absolute_error", 0.15, 79, 20, "zinc12k"),
}  # fmt: skip
_of_the_cpu: dict[str, Run] = {}  # runs that this process has trained


def train_short(setting: Setting, name: str, accelerator: str, precision: str) -> Run:
    """Train one of RUNS on a device.

    Raises:
        NotTried: its files are not there.
    """
    short = RUNS[name]
    overrides = [*short.overrides, *QUIET, f"trainer.accelerator={accelerator}", f"trainer.precision={precision}"]
    steps = short.short_steps if setting.short else short.steps
    overrides += [f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}"]
    overrides.append(f"root={setting.folder / accelerator}")
    if short.needs:
        if setting.data is None or not (setting.data / short.needs).exists():
            raise NotTried(f"needs data=DIR with DIR/{short.needs}")
        file = "/zinc12k_rebuilt.npz" if short.needs == "zinc12k" else ""
        overrides.append(f"data.path={setting.data}/{short.needs}{file}")
    if "data=text" in short.overrides:
        overrides += [f"data.path={write_book(setting.folder)}", f"data.cache_dir={setting.folder}"]
    _, objects = train(compose(*overrides))
    return objects["run"]


def losses(run: Run) -> list[float]:
    """Return the losses of the first steps."""
    return [float(row["train/loss"]) for row in read_rows(run.metrics_file) if row["train/loss"]][:FIRST_STEPS]


def validated(run: Run, metric: str) -> float:
    """Return a metric of the last validation."""
    return [float(row[metric]) for row in read_rows(run.metrics_file) if row.get(metric)][-1]


def check_run(setting: Setting, name: str, precision: str) -> Passed:
    """Train on the device, and compare with the same run on the CPU in precision 32."""
    if setting.device == "cpu" and precision == "16-mixed":
        raise NotTried("16-mixed needs a GPU")
    if name not in _of_the_cpu:
        _of_the_cpu[name] = train_short(setting, name, "cpu", "32")
    there = train_short(setting, name, setting.accelerator, precision)
    short, here = RUNS[name], _of_the_cpu[name]
    if precision == "32":
        for step, (one, other) in enumerate(zip(losses(there), losses(here), strict=True), start=1):
            if not math.isclose(one, other, rel_tol=STEP_TOLERANCE):
                raise Broken(f"train/loss of step {step} is {one:g}, on the CPU {other:g}")
    return compare_reached(short, validated(there, short.metric), validated(here, short.metric))


def compare_reached(short: ShortRun, reached: float, expected: float) -> Passed:
    """Compare a metric of a device with the CPU's.

    Raises:
        Broken: it is worse by more than the run allows.
    """
    is_accuracy = short.metric.endswith("accuracy")
    worse = expected - reached if is_accuracy else (reached - expected) / expected
    if not worse <= short.allowed:
        raise Broken(f"{short.metric} reaches {reached:g}, on the CPU {expected:g}")
    return Passed(f"{short.metric} {reached:.4g}, on the CPU {expected:.4g}", size=worse / short.allowed)


def check_optimizer(setting: Setting, name: str) -> Passed:
    """Make three steps of an optimiser on the device and on the CPU."""

    def steps(net: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
        x = torch.linspace(-1, 1, 24, dtype=dtype, device=device).view(4, 6)
        optimizer = build_optimizer(net.parameters(), complete({"name": name, "learning_rate": 1e-2}))

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), x.sin())
            loss.backward()
            return loss

        for _ in range(3):
            closure()
            optimizer.step(closure)
        optimizer.zero_grad()
        return torch.cat([parameter.flatten() for parameter in net.parameters()])

    return compare(seeded(lambda: nn.Linear(6, 6, bias=name != "Muon")), steps, setting.device)


def checks() -> Iterator[Check]:
    """Yield the checks of training."""
    new = partial(Check, "training")
    for name in optimizers():
        yield new("an optimiser makes the CPU's steps", name, check_optimizer, (name,))
    for name in RUNS:
        for precision in PRECISIONS:
            yield new(f"a run reaches what the CPU reaches, {precision}", name, check_run, (name, precision))
