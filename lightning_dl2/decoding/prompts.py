"""Read prompts into the state of a model, and select rows of a state.

Shapes: B rows, T steps, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# Steps read at a time: a model holds the logits of all of them, although only the last step's are needed.
READ_STEPS = 4096


def read(model: Callable[..., Any], prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, object]:
    """Read prompts of one token or more; return the logits [B, V] and the state after each one's last token.

    A recurrent net would read padding, too: all rows are read up to the length of the shortest, then the longer ones up
    to the next length, with a call for each length, and more for a long prompt.
    """
    order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
    ordered = [prompts[row] for row in order]
    logits: Any = None
    state, start = None, 0
    lengths = {len(prompt) for prompt in ordered}
    for end in sorted(lengths.union(range(READ_STEPS, max(lengths), READ_STEPS))):
        n = sum(len(prompt) >= end for prompt in ordered)
        tokens = torch.tensor([prompt[start:end] for prompt in ordered[:n]], device=device)
        read_logits, read_state = model(tokens, _each(lambda part, n=n: part[:, :n].contiguous(), state))
        if logits is None:
            logits, state = read_logits[:, -1], read_state
        else:
            logits = torch.cat([read_logits[:, -1], logits[n:]])
            state = _each(lambda new, old, n=n: torch.cat([new, old[:, n:]], 1), read_state, state)
        start = end
    back = torch.tensor(order, device=device).argsort()
    return logits[back], select(state, back)


def select(state: object, rows: Tensor) -> object:
    """Select rows of a state, in this order."""
    return _each(lambda part: part.index_select(1, rows), state)


def _each(function: Callable[..., Any], *states: object) -> object:
    """Apply `function` to the tensor, or each tensor of the tuple, that a state is; None stays None."""
    if states[0] is None:
        return None
    if isinstance(states[0], Tensor):
        return function(*states)
    return tuple(function(*parts) for parts in zip(*states, strict=True))
