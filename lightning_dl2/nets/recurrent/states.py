"""Split, join and check the states of recurrent layers.

A state is a tensor [L*N, B, H] of L layers and N directions, or a tuple of one for each name in the cell's `state`.
"""

from collections.abc import Mapping

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
