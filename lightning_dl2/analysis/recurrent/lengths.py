"""Trained nets at other lengths than the one that they were trained at."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.analysis.recurrent.trained import load_classifier
from lightning_dl2.common.errors import UserError
from lightning_dl2.config.identity import differing, identity
from lightning_dl2.config.overrides import format_override
from lightning_dl2.config.schema import Config
from lightning_dl2.data.sequences.generators import SEQUENCE_TASKS, draw_batch, majority_share
from lightning_dl2.data.sequences.module import EVALUATION_SEED
from lightning_dl2.nets import RecurrentClassifier
from lightning_dl2.run.directory import Run

FACTORS = (0.25, 0.5, 1, 2, 4, 8)
BATCH_SIZE = 256


@dataclass
class Measured:
    """A finished run, how long it took, and its accuracy at each length, beside that of the most common label."""

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
        data: Any = self.config.data  # of sequences
        return data.sequence_length


@dataclass
class Line:
    """Runs that differ in their seeds alone. Lines of one name differ in the length that they were trained at."""

    name: str
    trained_at: int
    runs: list[Measured]

    @property
    def lengths(self) -> list[int]:
        return sorted({length for run in self.runs for length in run.accuracies})

    def values(self, length: int) -> list[float]:
        """The accuracies of the runs that were tested at `length`."""
        return [run.accuracies[length] for run in self.runs if length in run.accuracies]

    def means(self) -> dict[int, float]:
        """Length to the mean accuracy."""
        return {length: sum(values) / len(values) for length in self.lengths if (values := self.values(length))}


@torch.no_grad()
def accuracy(net: RecurrentClassifier, task: str, length: int, size: int) -> float:
    """The share of `size` test sequences of a task, of this length, that a net names right.

    Raises:
        ValueError: the task has no sequences of this length.
    """
    tokens, labels = _test_set(task, length, size)
    answers = torch.cat([net(part).argmax(-1) for part in tokens.split(BATCH_SIZE)])
    return (answers == labels).double().mean().item()


def _test_set(task: str, length: int, size: int) -> tuple[Tensor, Tensor]:
    return draw_batch(task, length, size, seed=EVALUATION_SEED, split="test", step=0)


def measure(run: Run, checkpoint: str, lengths: Sequence[int] | None, size: int) -> Measured:
    """Tests a finished run.

    Args:
        lengths: as the task counts them; None: FACTORS times that of training.
        size: sequences of each length.

    Raises:
        UserError: the run is not finished, cannot be loaded, is none of a sequence classifier or of a task whose
            tokens depend on the length; or the task has no sequences of such a length.
    """
    config, result = run.config(), run.result()
    if result is None or result["status"] != "completed":
        raise UserError(f"run={run.path}: is not finished")
    if (steps := result.get("steps")) is None:
        raise UserError(f"run={run.path}: result.json does not say the steps; fix: write it again as it was")
    net = load_classifier(run, checkpoint)[0].net
    data: Any = config.data  # of sequences
    name, trained_at = data.name, data.sequence_length
    task = SEQUENCE_TASKS[name]
    if lengths is None:
        lengths = sorted({max(task.minimum_length, round(factor * trained_at)) for factor in FACTORS})
    if lengths[0] < task.minimum_length:
        raise UserError(f"lengths={lengths[0]}: {name} has none; allowed: {task.minimum_length} or more")
    if any(task.vocabulary_size(length) != task.vocabulary_size(trained_at) for length in lengths):
        raise UserError(f"run={run.path}: {name} has other tokens at each length; allowed: another task")
    return Measured(
        run.path,
        config,
        result.get("solved_at"),
        steps,
        {length: accuracy(net, name, length, size) for length in lengths},
        {length: majority_share(task, length, _test_set(name, length, size)[1]) for length in lengths},
    )


def lines_of(runs: list[Measured]) -> list[Line]:
    """Puts together the runs that differ in their seeds alone, by name and length of training.

    Raises:
        UserError: runs of different tasks.
    """
    tasks = {run.config.data.name for run in runs}
    if len(tasks) > 1:
        raise UserError(f"run: these are runs of {' and '.join(sorted(tasks))}; allowed: runs of one task")
    groups = defaultdict(list)
    for run, name in zip(runs, _names(runs), strict=True):
        groups[name, run.trained_at].append(run)
    return [Line(name, trained_at, members) for (name, trained_at), members in sorted(groups.items())]


def _names(runs: list[Measured]) -> list[str]:
    """The cell of each run, and in what it differs from the other runs of that cell, but for length and seed."""
    chosen = [identity(run.config) for run in runs]
    cells = {choices["task.cell"] for choices in chosen}
    keys = {cell: differing(choices for choices in chosen if choices["task.cell"] == cell) for cell in cells}
    names = []
    for choices in chosen:
        cell = choices["task.cell"]
        told = [key for key in keys[cell] if key != "data.sequence_length"]
        names.append(
            " ".join([cell, *(f"{key.rpartition('.')[2]}={format_override(choices.get(key))}" for key in told)])
        )
    return names
