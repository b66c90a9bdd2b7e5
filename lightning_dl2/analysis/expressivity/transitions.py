"""Find the matrix by which an affine cell multiplies its state, from its steps alone.

A step of such a cell is S' = A(x) S + b(x) for an input x, so that A(x) v is the step from v less the step from zeros.
Whoever wrote the cell need not say what A is.

Shapes: N inputs, D input_size, d numbers of a state that are mixed.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.nets import Recurrent
from lightning_dl2.nets.recurrent.own_cells import name_of

LARGEST = 1024  # numbers of a state whose whole matrix is found
SCALES = 1.0, 10.0, 10.0, 10.0  # of states tried: a rectified state is affine near many of them
TOLERANCE = 1e-8  # of differences in float64, over the largest number


class Transition(NamedTuple):
    """The matrices A(x) of a layer for some inputs.

    Attributes:
        state: name of the state that they multiply.
        matrices: [N, G, d, d], of G groups of numbers, each mixed among themselves; groups with equal matrices for all
            inputs count once. [N, G], if no number is mixed with another: the diagonal.
        is_diagonal: whether they are.
    """

    state: str
    matrices: Tensor
    is_diagonal: bool

    def eigenvalues(self) -> Tensor:
        """Return the eigenvalues, complex, [N, G*d]."""
        if self.is_diagonal:
            return self.matrices.to(torch.complex128)
        return torch.linalg.eigvals(self.matrices).flatten(1)


@torch.no_grad()
def find_transition(recurrent: Recurrent, layer: int, x: Tensor) -> Transition:
    """Find A(x) for each of the inputs x [N, D] of a layer, in float64.

    Args:
        recurrent: in float64.

    Raises:
        UserError: the cell is not affine in one state.
    """
    step = _Step(recurrent, layer, x)
    read = step.find_read()
    if len(read) != 1:
        says = f"a step reads {', '.join(read) or 'no state'}"
        raise UserError(f"cell={name_of(recurrent.cell)}: {says}; allowed: cells that are affine in one state")
    (state,) = read
    for scale in SCALES:
        first, second = scale * step.random(state), scale * step.random(state)
        if not _are_close(step.move(state, first + second), step.move(state, first) + step.move(state, second)):
            raise UserError(f"cell={name_of(recurrent.cell)}: is not affine in {state}; allowed: cells that are")
    return Transition(state, *_find_matrices(step, state))


def _find_matrices(step: "_Step", state: str) -> tuple[Tensor, bool]:
    trial = step.random(state)
    moved, ones = step.move(state, trial), step.move(state, torch.ones_like(trial))
    if _are_close(moved, ones * trial):
        return ones.flatten(1), True
    by_last = _columns(step, state, trial)
    if _are_close(moved, torch.einsum("...ij,...j->...i", by_last, trial)):
        return _drop_equal_groups(by_last.flatten(1, -3) if trial.dim() > 2 else by_last.unsqueeze(1)), False
    if trial[0].numel() > LARGEST:
        says = f"{state} has {trial[0].numel()} numbers that are mixed; allowed: {LARGEST}"
        raise UserError(f"cell={name_of(step.recurrent.cell)}: {says}")
    flat = torch.eye(trial[0].numel(), dtype=trial.dtype)
    columns = [step.move(state, unit.view(trial.shape[1:]).expand_as(trial)).flatten(1) for unit in flat]
    return torch.stack(columns, -1).unsqueeze(1), False


def _columns(step: "_Step", state: str, like: Tensor) -> Tensor:
    """Return the matrices if numbers are mixed along the last dimension alone, [N, ..., d, d]."""
    units = torch.eye(like.shape[-1], dtype=like.dtype)
    return torch.stack([step.move(state, unit.expand_as(like)) for unit in units], -1)


def _drop_equal_groups(matrices: Tensor) -> Tensor:
    """Return [N, G, d, d] without groups that have the matrices of an earlier one."""
    kept: list[int] = []
    for group in range(matrices.shape[1]):
        if not any(_are_close(matrices[:, group], matrices[:, other]) for other in kept):
            kept.append(group)
    return matrices[:, kept]


def _are_close(one: Tensor, other: Tensor) -> bool:
    scale = max(one.abs().max().item(), other.abs().max().item(), 1e-300)
    return (one - other).abs().max().item() <= TOLERANCE * max(scale, 1.0)


class _Step:
    """Take a step of a layer from states of choice."""

    def __init__(self, recurrent: Recurrent, layer: int, x: Tensor) -> None:
        self.recurrent, self.x = recurrent, x
        weights = recurrent.part(layer)
        prepare = getattr(recurrent.cell, "prepare", None)
        self.weights: Any = prepare(weights) if prepare else weights
        self.zeros = {name: x.new_zeros(len(x), *shape) for name, shape in recurrent.state_shapes.items()}
        self.generator = torch.Generator().manual_seed(0)
        self.base = self.take(self.zeros)

    def take(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        values: dict[str, Tensor] = self.recurrent.cell.step(self.weights, self.x, *states.values())
        return values

    def random(self, state: str) -> Tensor:
        like = self.zeros[state]
        return torch.randn(like.shape, generator=self.generator, dtype=like.dtype)

    def move(self, state: str, value: Tensor) -> Tensor:
        """Return A(x) of a value of the state, if the cell is affine in it."""
        return self.take(self.zeros | {state: value})[state] - self.base[state]

    def find_read(self) -> list[str]:
        """Return the states that some state of the next step depends on."""
        changed = {state: self.take(self.zeros | {state: self.random(state)}) for state in self.zeros}
        return [
            state
            for state, after in changed.items()
            if any(not torch.equal(after[name], self.base[name]) for name in self.zeros)
        ]
