"""Actions on an external memory, and how a cell chooses among them.

Shapes: B batch, A actions.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from lightning_dl2.common.errors import UserError
from lightning_dl2.nets.recurrent.cells.base import Cell, Weights

Size = Annotated[int, Field(ge=1)]
Choice = Literal["softmax", "sparsemax"]
Sharpness = Annotated[float, Field(gt=0)]
Sharpening = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]


def choose(scores: Tensor, choice: Choice, rounded: bool = False) -> Tensor:
    """Map the scores of actions, [B, A], to their weights: not negative, of sum 1; `rounded` to the best action."""
    if rounded:
        return F.one_hot(scores.argmax(1), scores.shape[1]).to(scores.dtype)
    if choice == "softmax":
        return torch.softmax(scores, 1)
    # those at or above an action's score, for each action: as few that no sorting is faster
    above = (scores.unsqueeze(1) >= scores.unsqueeze(2)).to(scores.dtype)
    has_weight = (1 + above.sum(2) * scores > (above * scores.unsqueeze(1)).sum(2)).to(scores.dtype)
    threshold = ((has_weight * scores).sum(1, keepdim=True) - 1) / has_weight.sum(1, keepdim=True)
    return (scores - threshold).relu()


def to_scores(grad: Tensor, weights: Tensor, choice: Choice) -> None:
    """Turn the gradient of the weights that `choose` gave, [B, A], into that of the scores, in place.

    A single weight of 1, as a rounded choice has, makes it zero.
    """
    if choice == "sparsemax":
        weights = (weights > 0).to(weights.dtype)
        grad.sub_((grad * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)).mul_(weights)
    else:
        grad.sub_((grad * weights).sum(1, keepdim=True)).mul_(weights)


class ActingCell(Cell):
    """Base of cells that act on a memory: the new one is the mean of what the actions leave, weighted by `choose`.

    Args:
        choice: `softmax`, or `sparsemax`: the point of all weights of actions that is nearest to the scores (Martins &
            Astudillo 2016). It weighs an action whose score is above the others' by 1 or more with 1, exactly: what is
            written stays as it is, however long.
        rounded: outside of training the action of the highest score is taken alone: what little the others weigh adds
            up over thousands of steps. The scores then have no gradient.
        sharpness: factor of the scores. The larger, the more an action stands alone; from the first step on, a large
            one leaves no gradient to learn from.
        sharpening: two numbers of optimiser steps, in which the factor begins to grow from 1, linearly, and reaches
            `sharpness`, which it has outside of training, too; None: it is `sharpness` from the first step on.

    Raises:
        UserError: `sharpening` ends before it begins.
    """

    def __init__(self, choice: Choice, rounded: bool, sharpness: float, sharpening: Sharpening | None) -> None:
        self.choice, self.rounded, self.sharpness, self.sharpening = choice, rounded, sharpness, sharpening
        if sharpening and sharpening[0] > sharpening[1]:
            raise UserError(
                f"cell.sharpening={list(sharpening)}: ends before it begins; allowed: [FIRST, LAST] in order"
            )

    def sharpened(self, w: Weights, optimizer_step: int | None) -> Weights:
        """Return the weights with those of the scores multiplied by the factor.

        Args:
            optimizer_step: how many a training has made; None outside of training.
        """
        factor = self.sharpness
        if self.sharpening and optimizer_step is not None:
            first, last = self.sharpening
            share = (optimizer_step - first) / (last - first) if last > first else float(optimizer_step >= last)
            factor = 1 + (self.sharpness - 1) * min(1.0, max(0.0, share))
        if factor == 1:
            return w
        return {name: p * factor if name in ("weight_actions", "bias_actions") else p for name, p in w.items()}
