"""Train small nets in memory, without the Trainer and without files."""

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
    """Train a task in place by Adam, with the gradient clipped to norm 1; return the number of steps trained.

    The task is left in eval mode.

    Args:
        batch: function from a step, counted from 0, to its batch.
        patience: number of consecutive batches at accuracy 1 after which training stops; None trains all steps.
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
