"""Measure how much of the last loss reaches each earlier state: |dL/dh(t)|, |dL/dc(t)|, ...

The fused kernels hide these gradients: the net runs by its explicit path, with the same weights.
Shapes: B sequences, T tokens, L layers (of an ensemble, those of all members), N directions, H hidden_size.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_dl2.nets.recurrent.classifier import RecurrentReader
from lightning_dl2.nets.recurrent.ensemble import Ensemble
from lightning_dl2.nets.recurrent.language_model import LanguageModel
from lightning_dl2.nets.recurrent.lengths import lengths_before_marks

RecurrentNet = RecurrentReader | LanguageModel | Ensemble
Flow = dict[str, Tensor]

BATCH = 128  # sequences over which L is the mean, as in the course's figures


def gradient_flow(
    net: RecurrentNet,
    tokens: Tensor,
    labels: Tensor,
    lengths: Tensor | None = None,
    input_lengths: Tensor | None = None,
) -> Flow:
    """Return the norm of the gradient of L in each state, as the mean over the sequences.

    L is the cross entropy after the last token, averaged over a batch of BATCH sequences, of which B are here. For a
    language model or a transducer, too: their other predictions would add gradients on the way. Of a regressor L is the
    squared error. Dropout is off; the net's gradients and mode stay as they are.

    Args:
        tokens: [B, T], int64, or real vectors [B, T, F].
        labels: [B], the token, class or number after the last token.
        lengths: [B], of padded sequences; None: all have T.
        input_lengths: as of `Recurrent.forward`, of a transducer.

    Returns:
        [L, N, T] by the place t of the token, for each name in the cell's `state`: {"h": ..., "c": ...} for an LSTM.
        With `lengths`, each direction's places are those of the longest sequence, and shorter ones end where it ends.
    """
    training = net.training
    net.eval()
    try:
        with torch.enable_grad():
            more = {"lengths": lengths, "input_lengths": input_lengths}
            logits, trace = net.explicit(tokens, **{name: part for name, part in more.items() if part is not None})
            last = _at_ends(logits, lengths) if logits.dim() == 3 else logits
            loss_of = F.cross_entropy if last.dim() == 2 else F.mse_loss
            loss = loss_of(last, labels.to(last.dtype) if last.dim() == 1 else labels, reduction="sum") / BATCH
            states = {
                name: [state for layer in trace for steps in layer for state in steps[name]]
                for name in _state_names(net)
            }
            # zeros for an h that no gate reads
            found = torch.autograd.grad(loss, [*chain(*states.values())], materialize_grads=True)
    finally:
        net.train(training)
    gradients = {name: torch.stack([next(parts) for _ in of]) for parts in [iter(found)] for name, of in states.items()}
    L, N = len(trace), len(trace[0])
    norms = {name: values.flatten(2).norm(dim=2) for name, values in gradients.items()}  # [L*N*T, B]
    if lengths is None:
        return {name: values.mean(1).view(L, N, -1) for name, values in norms.items()}
    by_direction = {name: values.view(L, N, -1, len(lengths)).unbind(1) for name, values in norms.items()}
    return {
        name: torch.stack([_mean_from_end(each, lengths, number) for number, each in enumerate(values)], 1)
        for name, values in by_direction.items()
    }


def _at_ends(logits: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the logits after the last token of each sequence, [B, T, C] -> [B, C]."""
    if lengths is None:
        return logits[:, -1]
    return logits[torch.arange(len(lengths), device=logits.device), lengths - 1]


def _state_names(net: RecurrentNet) -> tuple[str, ...]:
    first = net.recurrent if isinstance(net, RecurrentReader) else net.blocks[0]
    names: tuple[str, ...] = first.cell.state
    return names


def _mean_from_end(norms: Tensor, lengths: Tensor, direction: int) -> Tensor:
    """Average [..., T, B] over the sequences, moved so that the steps before the loss are those of the longest.

    The first direction has its last step at place length - 1, which becomes T - 1; the second at T - length, which
    becomes 0.
    """
    T = norms.shape[-2]
    places, missing = torch.arange(T, device=norms.device)[:, None], T - lengths
    index = places + missing if direction else places - missing
    has = (index >= 0) & (index < T)
    moved = norms.gather(-2, index.clamp(0, T - 1).expand_as(norms))
    return (moved * has).sum(-1) / has.sum(-1)


def steps_back(flow: Tensor) -> Tensor:
    """Reorder [..., N, T] from places to steps before the loss: 0 is next to the loss, for each direction."""
    forward, *backward = flow.unbind(-2)  # the second direction has read its last token at place 0
    return torch.stack([forward.flip(-1), *backward], -2)


def fixed_batch(batches: Iterable[Any], rows: int) -> tuple[Any, ...]:
    """Return the first sequences of evaluation batches that begin from a zero state, `rows` at most.

    Returns:
        tokens [B, T], and the token or class after the last of them, [B]; of sequences of different lengths also the
        lengths [B]. Those are the longest, which the last batch has. A sequence with targets at marked positions is
        read up to the last of them; there the lengths, or None, are followed by the steps before the first mark, [B].
    """
    longest: Any = None
    for batch in batches:
        if hasattr(batch, "lengths"):
            longest = batch
            continue
        tokens, labels, *kind = batch
        if not kind:
            return tokens[:rows], labels[:rows]
        _, cold = kind
        if cold:  # in the last batch some rows may be empty
            full = labels[:, -1] >= 0
            return tokens[full][:rows], labels[full, -1][:rows]
    if longest is not None:
        tokens, labels, lengths = longest.tokens[-rows:], longest.labels[-rows:], longest.lengths
        if labels.dim() == 2:
            return _up_to_last_mark(tokens, labels)
        return (tokens, labels) if lengths is None else (tokens, labels, lengths[-rows:])
    raise AssertionError("each split of a text has a window from a zero state")


def _up_to_last_mark(tokens: Tensor, targets: Tensor) -> tuple[Any, ...]:
    """Cut sequences behind the last target that is not negative.

    Returns:
        tokens, that target [B], lengths [B] or None, and the steps before the first such target, [B].
    """
    places = torch.arange(1, targets.shape[1] + 1, device=targets.device)
    lengths = (places * (targets >= 0)).amax(1)
    labels = targets.gather(1, lengths[:, None] - 1).squeeze(1)
    longest = int(lengths.max())
    inputs = lengths_before_marks(targets, lengths)
    return tokens[:, :longest], labels, None if (lengths == longest).all() else lengths, inputs


def band(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the geometric mean, the minimum and the maximum over seeds of positive values [seeds, ...]."""
    return values.log().mean(0).exp(), values.amin(0), values.amax(0)
