"""Reading prompts, and the state that a model carries.

Shapes: B rows, T steps, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# So many steps are read at a time, as a model holds the logits of all, of which only the last step's are wanted.
READ_STEPS = 4096


def read(model: Callable[..., Any], prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, object]:
    """Read prompts of one token or more -> the logits [B, V] after each one's last token, and the state there.

    Without padding, which a recurrent net would read too: all rows are read up to the length of the shortest, then
    those that go on up to the next length, so in as many calls as there are lengths; more where a prompt is long.
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
    """The state of these rows, in this order."""
    return _each(lambda part: part.index_select(1, rows), state)


def _each(function: Callable[..., Any], *states: object) -> object:
    """The function of the tensor, or of each in the tuple, that a state is; None remains None."""
    if states[0] is None:
        return None
    if isinstance(states[0], Tensor):
        return function(*states)
    return tuple(function(*parts) for parts in zip(*states, strict=True))
