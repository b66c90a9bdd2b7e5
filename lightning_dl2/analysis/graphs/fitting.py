"""Training of small nets to see what they can do: no Trainer, no files."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from lightning_dl2.tasks.task import Task


def fit(
    task: Task,
    batch: Callable[[int], Any],
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float = 0.0,
    patience: int | None = None,
) -> int:
    """Trains a task in place by Adam, with the gradient clipped to norm 1, and leaves it in eval mode.

    Args:
        batch: the batch of each step, from 0 on.
        patience: ends when so many batches in a row were answered without an error.

    Returns:
        The number of steps.
    """
    optimizer = torch.optim.Adam(task.parameters(), lr=learning_rate, weight_decay=weight_decay)
    right = 0
    task.train()
    for step in range(steps):
        result: Any = task.training_step(batch(step), step)
        optimizer.zero_grad()
        result["loss"].backward()
        clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        right = right + 1 if result["accuracy"] == 1 else 0
        if right == patience:
            break
    task.eval()
    return step + 1
