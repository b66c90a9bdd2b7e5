"""Open runs of nets that read generated sequences, and let the nets read.

Shapes: B sequences, T tokens.
"""

import re
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.analysis.recurrent.trained import load_reader
from lightning_dl2.common.errors import UserError
from lightning_dl2.data import SequenceDataModule
from lightning_dl2.data.sequences.formal.strings import FunctionTask, StringTask
from lightning_dl2.data.sequences.generators import draw_batch
from lightning_dl2.data.sequences.module import EVALUATION_SEED
from lightning_dl2.decoding.vocabulary import NOT_COUNTED
from lightning_dl2.run.directory import Run

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
def read_explicitly(task: Any, sequences: Sequences, layer: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Let the net read sequences step by step.

    Returns:
        its answers, int64 [B, T], of a classifier at the last token alone, else NOT_COUNTED; and every quantity of the
        layer's steps by name, [T, B, ...]. A quantity that is no tensor, or not of each sequence, is left out.
    """
    tokens, _ = sequences
    logits, trace = task.net.explicit(tokens)
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
