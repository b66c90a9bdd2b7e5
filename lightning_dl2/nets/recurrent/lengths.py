"""Read sequences of different lengths in one batch, padded behind their ends, as if each were alone.

Shapes: B batch, T steps of the longest, D features, H units of a direction, N directions.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def flip_within(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each sequence of [T, B, D] within its length, int64 [B]; padding stays behind."""
    places = torch.arange(len(x), device=x.device)[:, None]
    index = torch.where(places < lengths, lengths - 1 - places, places)
    return x.gather(0, index[:, :, None].expand_as(x))


def reversing_within(lengths: Tensor | None, run: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the `run` of `Recurrent._sweep`, so that the second direction begins at each sequence's end.

    The first direction needs nothing: no step sees what comes after it.

    Args:
        lengths: int64 [B]; None: all have T, and `run` is returned.
        run: gets the second direction's steps [T, B, D] reversed as a whole, and returns its outputs so.
    """
    if lengths is None:
        return run
    ends = lengths

    def run_within(layer: int, direction: int, weights: Any, x: Tensor, *state: Tensor) -> tuple[Tensor, Any]:
        if not direction:
            return run(layer, direction, weights, x, *state)
        hs, end = run(layer, direction, weights, flip_within(x.flip(0), ends), *state)
        return flip_within(hs, ends).flip(0), end

    return run_within


def run_packed(core: nn.Module, x: Tensor, state: Any, lengths: Tensor) -> tuple[Tensor, Any]:
    """Run torch.nn's recurrent module of two directions over x [B, T, D]; outputs behind an end are zero."""
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    outputs, state = core(packed, state)
    return pad_packed_sequence(outputs, batch_first=True, total_length=x.shape[1])[0], state


def input_lengths_of(x: Tensor, state: Any, lengths: Tensor | None, input_lengths: Tensor | None) -> Tensor:
    """Return the steps of each sequence of x [B, T, D] before its first answer, [B]: all of them, unless given.

    Raises:
        ValueError: they have another shape, or are not given beside a state, which may stand in the middle of an input.
    """
    if input_lengths is None:
        if state is not None:
            raise ValueError("input_lengths is None; beside a state it must be [B], for a cell that takes input_length")
        input_lengths = torch.full(x.shape[:1], x.shape[1], device=x.device) if lengths is None else lengths
    if input_lengths.shape != x.shape[:1]:
        raise ValueError(f"input_lengths is {list(input_lengths.shape)}; it must be [B={len(x)}]")
    return input_lengths


def lengths_before_marks(targets: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the steps of each sequence before its first target in [B, T] that is not negative: int64 [B].

    A sequence whose first step has a target has no input before its answers: all its steps count, T if `lengths` is
    None.
    """
    first = (targets >= 0).int().argmax(1)
    return torch.where(first > 0, first, targets.shape[1] if lengths is None else lengths)


def last_outputs(outputs: Tensor, lengths: Tensor, num_directions: int) -> Tensor:
    """Return what each direction has read last, [h_fwd(length); h_bwd(0)]: [B, T, H*N] -> [B, H*N]."""
    last = outputs.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, outputs.shape[2])).squeeze(1)
    if num_directions == 1:
        return last
    H = outputs.shape[2] // 2
    return torch.cat([last[:, :H], outputs[:, 0, H:]], dim=1)
