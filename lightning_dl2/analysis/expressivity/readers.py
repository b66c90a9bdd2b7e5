"""Open runs of nets that read generated sequences, and let the nets read.

Shapes: B sequences, T tokens.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from lightning_dl2.analysis.arguments import NO_RUN
from lightning_dl2.analysis.figure_directory import run_name
from lightning_dl2.analysis.recurrent.trained import find_runs, load_reader, train_once
from lightning_dl2.common.errors import UserError
from lightning_dl2.data import SequenceDataModule
from lightning_dl2.data.sequences.formal.strings import FunctionTask, StringTask
from lightning_dl2.data.sequences.generators import draw_batch
from lightning_dl2.data.sequences.module import EVALUATION_SEED
from lightning_dl2.decoding.vocabulary import NOT_COUNTED
from lightning_dl2.run.directory import Run

FIRST_VALIDATION = 25  # optimiser steps, in a run of SMALL
SMALL = (  # overrides of the nets that an analysis of strings trains without a run
    *("data.test_size=128", "data.test_lengths=[]", "callbacks.solved.times=2"),
    *(f"trainer.val_check_interval={FIRST_VALIDATION}", "trainer.num_threads=1"),
    *("callbacks.progress_bar=false", "callbacks.curves=false"),
)

Measured = TypeVar("Measured")
Sequences = tuple[Tensor, Tensor]  # tokens [B, T], targets [B, T] with NOT_COUNTED at positions without one


def open_reader(run: Run, checkpoint: str) -> tuple[Any, SequenceDataModule]:
    """Load the task of a run, in evaluation mode, and its data.

    Raises:
        UserError: the run has no such checkpoint, reads no generated sequences, or its net reads backwards, too.
    """
    task, data = load_reader(run, checkpoint)
    if not isinstance(data, SequenceDataModule):
        name = run.config().data.title
        raise UserError(f"run={run.path}: reads sequences that are given ({name}); allowed: generated ones")
    if task.net.recurrent.num_directions > 1:
        raise UserError(f"run={run.path}: its net reads in two directions; allowed: runs of nets that read forwards")
    return task, data


def check_layer(number: int, task: Any) -> int:
    """Return the place of layer `number` in the trace; 1 is the lowest.

    Raises:
        UserError: the net has no such layer.
    """
    layers = task.net.recurrent.num_layers
    if number > layers:
        raise UserError(f"layer={number}: is above the top layer; allowed: 1 to {layers}")
    return number - 1


def draw_test(data: SequenceDataModule, length: int, size: int) -> Sequences:
    """Draw test sequences of a length; a label of the whole sequence is the target of its last token.

    Raises:
        UserError: the task has no sequences of this length, or other tokens than at the length of training.
    """
    check_length(data, length)
    tokens, answers = draw_batch(data.task, length, size, seed=EVALUATION_SEED, split="test", step=0)
    return tokens, answers if answers.dim() == 2 else _at_the_end(tokens, answers)


def check_length(data: SequenceDataModule, length: int) -> None:
    """Raise UserError unless the task has sequences of this length with the tokens and classes of training."""
    task, trained = data.task, data.length
    name = type(task).__name__
    if length < task.minimum_length:
        raise UserError(f"length={length}: {name} has no such sequences; allowed: {task.minimum_length} or more")
    for size in (task.vocabulary_size, task.num_classes):
        if size(length) > size(trained):
            raise UserError(f"length={length}: {name} has more tokens there; allowed: at most {trained}")


def read_string(text: str, data: SequenceDataModule) -> Sequences:
    """Return the tokens of a string that a user typed, and their targets, where the task tells them.

    Behind the symbols of an input follow as many empty places as the task's answer is long.

    Args:
        text: symbols as digits, 0110, or with commas between them, 0,11,3.

    Raises:
        UserError: a symbol is no token of the task, or the string is too short.
    """
    if data.task.features is not None:
        raise UserError(f"string={text}: the run's task reads real vectors; allowed: no string")
    words = text.split(",") if "," in text else list(text)
    size = data.task.vocabulary_size(data.length)
    if not all(re.fullmatch("[0-9]{1,9}", word) and int(word) < size for word in words):
        raise UserError(f"string={text}: allowed: tokens 0 to {size - 1}, as 010 or 0,1,0")
    symbols = [int(word) for word in words]
    tokens, task = torch.tensor([symbols]), data.task
    if not isinstance(task, StringTask) or task.symbols in symbols:  # the empty places are typed, too
        return tokens, torch.full_like(tokens, NOT_COUNTED)
    if len(symbols) < task.minimum_length:
        raise UserError(f"string={text}: allowed: {task.minimum_length} symbols or more")
    if isinstance(task, FunctionTask):
        answers = task.answer(tokens.numpy())
    else:
        answers = torch.full((1, task.answer_length(len(symbols))), NOT_COUNTED).numpy()
    tokens, targets = (torch.from_numpy(part) for part in task.append_answers(tokens.numpy(), answers, task.symbols))
    return tokens, targets


@torch.no_grad()
def read_explicitly(
    task: Any, sequences: Sequences, layer: int, input_length: int | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Let the net read sequences step by step.

    Args:
        input_length: symbols before the first answer, for a cell that is told them; None: all.

    Returns:
        its answers, int64 [B, T], of a classifier at the last token alone, else NOT_COUNTED; and every quantity of the
        layer's steps by name, [T, B, ...]. A quantity that is no tensor, or not of each sequence, is left out.
    """
    tokens, _ = sequences
    told = torch.full((len(tokens),), tokens.shape[1] if input_length is None else input_length)
    more = {"input_lengths": told} if task.net.recurrent.takes_input_length else {}
    logits, trace = task.net.explicit(tokens, **more)
    answers = logits.argmax(-1)
    values = {
        name: torch.stack(steps)
        for name, steps in trace[layer][0].items()
        if isinstance(steps[0], Tensor) and steps[0].shape[:1] == tokens.shape[:1]
    }
    return answers if answers.dim() == 2 else _at_the_end(tokens, answers), values


def _at_the_end(tokens: Tensor, labels: Tensor) -> Tensor:
    targets = torch.full_like(tokens, NOT_COUNTED)
    targets[:, -1] = labels
    return targets


class Opened(NamedTuple):
    """A run with its task and data; its name tells it from the others."""

    name: str
    run: Run
    task: Any
    data: SequenceDataModule


def open_readers(arguments: Any, out: Path, trainings: Mapping[str, Sequence[str]]) -> tuple[list[Opened], list[str]]:
    """Open the runs that `run` names, or train nets first and open those.

    Args:
        arguments: of an analysis that has the keys `cells` and `max_steps` for its own trainings.
        trainings: overrides by the names of the nets.

    Returns:
        the opened runs, and why others could not be opened.

    Raises:
        UserError: a directory holds no run, or none can be opened.
    """
    if arguments.run == NO_RUN:
        runs = [train_once(out / "runs", *words) for words in trainings.values()]
        names = list(trainings)
    else:
        arguments.refuse("cells", "max_steps", why="a run is trained already; fix: leave it out or remove run=DIR")
        runs = find_runs(arguments.run)
        names = _name(runs)
    found, skipped = [], []
    for name, run in zip(names, runs, strict=True):
        try:
            found.append(Opened(name, run, *open_reader(run, arguments.checkpoint)))
        except UserError as error:
            skipped.append(str(error))
    if not found:
        raise UserError(skipped[0])
    return found, skipped


def measure_each(found: list[Opened], skipped: list[str], measure: Callable[[Opened], Measured]) -> list[Measured]:
    """Measure each run; say on stderr, a line each, why those in `skipped` and others are left out.

    Raises:
        UserError: none can be measured.
    """
    measured = []
    for opened in found:
        try:
            measured.append(measure(opened))
        except UserError as error:
            skipped.append(f"run={opened.run.path}: {error}")
    if not measured:
        raise UserError(skipped[0])
    for why in skipped:
        print(f"skipped: {why}", file=sys.stderr)
    return measured


def _name(runs: list[Run]) -> list[str]:
    """Name each run by its cell, and by its place as well where cells are equal."""
    cells = [_name_cell(getattr(run.config().task, "cell", None) or run.config().task.title) for run in runs]
    return [
        cell if cells.count(cell) == 1 else f"{cell}, {run_name(run.config())}"
        for cell, run in zip(cells, runs, strict=True)
    ]


def _name_cell(cell: Any) -> str:
    if not isinstance(cell, Mapping):
        return str(cell).rpartition(".")[2]
    options = (f" {key}={value}" for key, value in cell.items() if key != "_target_")
    return str(cell["_target_"]).rpartition(".")[2] + "".join(options)


def title_of(found: list[Opened], arguments: Any) -> str:
    """Return a title that names the run, or the experiments of several."""
    if len(found) == 1:
        return f"{run_name(found[0].run.config())}, checkpoint {arguments.checkpoint}"
    experiments = dict.fromkeys(str(opened.run.config().experiment) for opened in found)
    return f"{len(found)} runs of {', '.join(experiments)}, checkpoint {arguments.checkpoint}"
