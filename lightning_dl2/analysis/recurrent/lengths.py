"""Measure trained nets at lengths other than their training length."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.analysis.recurrent.trained import load_classifier
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.identity import find_differing_keys, identity
from lightning_dl2.config.overrides import format_override
from lightning_dl2.config.schema import Config
from lightning_dl2.data.sequences.generators import draw_batch, get_task, majority_share
from lightning_dl2.data.sequences.module import EVALUATION_SEED
from lightning_dl2.data.sequences.sequence_task import sizes_of
from lightning_dl2.nets import RecurrentClassifier
from lightning_dl2.run.directory import Run

FACTORS = (0.25, 0.5, 1, 2, 4, 8)
BATCH_SIZE = 256


@dataclass
class Measured:
    """A finished run, its steps, and its accuracy and majority baseline at each length."""

    path: Path
    config: Config
    solved_at: int | None
    steps: int
    accuracies: dict[int, float]
    baselines: dict[int, float]

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def trained_at(self) -> int:
        data: Any = self.config.data  # a sequence data set
        return data.sequence_length


@dataclass
class Line:
    """Runs that differ only in their seeds. Lines of one name differ in the training length."""

    name: str
    trained_at: int
    runs: list[Measured]

    @property
    def lengths(self) -> list[int]:
        return sorted({length for run in self.runs for length in run.accuracies})

    def values(self, length: int) -> list[float]:
        """Return the accuracies of the runs tested at `length`."""
        return [run.accuracies[length] for run in self.runs if length in run.accuracies]

    def means(self) -> dict[int, float]:
        """Return the mean accuracy by length."""
        return {length: sum(values) / len(values) for length in self.lengths if (values := self.values(length))}


@torch.no_grad()
def accuracy(net: RecurrentClassifier, task: str, length: int, size: int) -> float:
    """Return the accuracy of a net on `size` test sequences of a task at this length.

    Raises:
        ValueError: the task has no sequences of this length.
    """
    tokens, labels = _test_set(task, length, size)
    answers = torch.cat([net(part).argmax(-1) for part in tokens.split(BATCH_SIZE)])
    return (answers == labels).double().mean().item()


def _test_set(task: str, length: int, size: int) -> tuple[Tensor, Tensor]:
    return draw_batch(task, length, size, seed=EVALUATION_SEED, split="test", step=0)


def measure(run: Run, checkpoint: str, lengths: Sequence[int] | None, size: int) -> Measured:
    """Test a finished run at several lengths.

    Args:
        lengths: in the task's own count; None for FACTORS times the training length.
        size: number of sequences of each length.

    Raises:
        UserError: the run is not finished, cannot be loaded, has no sequence classifier, or has a task whose tokens
            depend on the length; or the task has no sequences of a length.
    """
    config, result = run.config(), run.result()
    if result is None or result["status"] != "completed":
        raise UserError(f"run={run.path}: is not finished")
    if (steps := result.get("steps")) is None:
        raise UserError(f"run={run.path}: result.json does not say the steps; fix: write it again as it was")
    net = load_classifier(run, checkpoint)[0].net
    data: Any = config.data
    if not hasattr(data, "sequence_length"):
        raise UserError(f"run={run.path}: data={data.title} are given, of their own lengths; allowed: generated data")
    name, trained_at = data.name, data.sequence_length
    task = get_task(name)
    if lengths is None:
        lengths = sorted({max(task.minimum_length, round(factor * trained_at)) for factor in FACTORS})
    if lengths[0] < task.minimum_length:
        raise UserError(f"lengths={lengths[0]}: {name} has no such length; allowed: {task.minimum_length} or more")
    sizes = [getattr(task, size) for size in sizes_of(task)]
    if any(size(length) != size(trained_at) for size in sizes for length in lengths):
        raise UserError(f"run={run.path}: {name} has other tokens at each length; fix: give a run of another task")
    return Measured(
        run.path,
        config,
        result.get("solved_at"),
        steps,
        {length: accuracy(net, name, length, size) for length in lengths},
        {length: majority_share(task, length, _test_set(name, length, size)[1]) for length in lengths},
    )


def group_lines(runs: list[Measured]) -> list[Line]:
    """Group the runs that differ only in their seeds, by name and training length.

    Raises:
        UserError: the runs have different tasks.
    """
    tasks = {run.config.data.title for run in runs}
    if len(tasks) > 1:
        raise UserError(f"run: these are runs of {' and '.join(sorted(tasks))}; fix: give runs of one task")
    groups = defaultdict(list)
    for run, name in zip(runs, _name_runs(runs), strict=True):
        groups[name, run.trained_at].append(run)
    return [Line(name, trained_at, members) for (name, trained_at), members in sorted(groups.items())]


def _name_runs(runs: list[Measured]) -> list[str]:
    """Return the cell of each run, and the keys that differ among runs of that cell, without length and seed."""
    chosen = [identity(run.config) for run in runs]
    cells = {choices["task.cell"] for choices in chosen}
    keys = {cell: find_differing_keys(choices for choices in chosen if choices["task.cell"] == cell) for cell in cells}
    names = []
    for choices in chosen:
        cell = choices["task.cell"]
        told = [key for key in keys[cell] if key != "data.sequence_length"]
        names.append(
            " ".join([cell, *(f"{key.rpartition('.')[2]}={format_override(choices.get(key))}" for key in told)])
        )
    return names
