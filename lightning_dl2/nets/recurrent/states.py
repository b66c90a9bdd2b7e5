"""Split, join and check the states of recurrent layers, and take them through a sequence.

A state is a tensor [L*N, B, H] of L layers and N directions, or a tuple of one for each name in the cell's `state`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

State = Tensor | tuple[Tensor, ...]


def split_layers(state: State | None, sizes: list[int]) -> list[State | None]:
    """Split a state of sum(sizes) layers into states of `sizes` layers; None gives None for each."""
    if state is None:
        return [None] * len(sizes)
    if isinstance(state, Tensor):
        return list(state.split(sizes))
    return list(zip(*(part.split(sizes) for part in state), strict=True))


def join_layers(states: list[State]) -> State:
    """Join states of layers, the inverse of `split_layers`."""
    if isinstance(states[0], Tensor):
        return torch.cat([state for state in states if isinstance(state, Tensor)])
    return tuple(torch.cat(parts) for parts in zip(*states, strict=True))


def check_state(state: State, shapes: Mapping[str, tuple[int, ...]], rows: int, batch: int) -> None:
    """Raise ValueError unless a state has the parts of `shapes`, by name, each below [rows, batch]."""
    wanted = [[rows, batch, *shape] for shape in shapes.values()]
    found = [list(part.shape) for part in ([state] if isinstance(state, Tensor) else state)]
    if found != wanted:
        each = f"each {wanted[0]}" if wanted == wanted[:1] * len(wanted) else f"of {wanted}"
        raise ValueError(f"state is {found}; it must be {' and '.join(shapes)}, {each}")


def sweep_layers(
    run: Callable[..., Any],
    x: Tensor,
    state: Sequence[Tensor],
    sizes: tuple[int, int],
    between: Callable[[Tensor], Tensor],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Take x [T, B, D] through L layers of N directions.

    Args:
        run: run(layer, direction, x, *state of [B, H]) -> hs [T, B, H] and the state after the last step. The second
            direction gets x backwards.
        x: the input of the first layer.
        state: the parts of the state before the first step, each [L*N, B, H].
        sizes: L and N.
        between: changes the input of each layer but the first, as dropout does.

    Returns:
        outputs [T, B, H*N] of the last layer, and the parts of the state after the last step.
    """
    ends: list[tuple[Tensor, ...]] = []
    for layer in range(sizes[0]):
        if layer:
            x = between(x)
        outputs = []
        for direction in range(sizes[1]):
            start = [part[len(ends)] for part in state]
            hs, end = run(layer, direction, x.flip(0) if direction else x, *start)
            outputs.append(hs.flip(0) if direction else hs)
            ends.append(end)
        x = torch.cat(outputs, dim=2) if len(outputs) > 1 else outputs[0]
    return x, tuple(torch.stack(parts) for parts in zip(*ends, strict=True))
