"""Measure the gates of a net: saturation, writing and keeping, and the label in the state.

Shapes: B sequences, T steps in reading order, H units, C classes.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_dl2.nets import Recurrent, RecurrentReader
from lightning_dl2.nets.recurrent.cells import AssignmentPeephole
from lightning_dl2.nets.recurrent.gradient_flow import RecurrentNet
from lightning_dl2.nets.recurrent.own_cells import is_own

Trace = dict[str, Tensor]

PENALTY = 1e-3  # of the probe's squared weights, of units scaled to variance 1, times the number of fitted sequences
NEAR = 0.1  # share of its range: within that distance of an end, a gate counts as saturated


@torch.no_grad()
def read(net: RecurrentNet, tokens: Tensor, layer: int = 0, direction: int = 0) -> Trace:
    """Return every quantity of one layer and direction (1: backwards) while the net reads `tokens` [B, T].

    Returns:
        Tensors [T, B, H] by the names in `nets.recurrent.cells`; backwards the last token is the first step. A matrix
        of a user's cell has its entries as units. A quantity that is the same for all sequences is left out.

    Raises:
        IndexError: the net has no such layer or direction.
    """
    _, trace = net.explicit(tokens)
    by_sequence = {
        name: steps for name, steps in trace[layer][direction].items() if _is_by_sequence(steps[0], len(tokens))
    }
    stacked = {name: torch.stack(steps).reshape(len(steps), len(tokens), -1) for name, steps in by_sequence.items()}
    return {name: steps.flip(0) for name, steps in stacked.items()} if direction else stacked


def _is_by_sequence(value: Any, size: int) -> bool:
    return isinstance(value, Tensor) and value.shape[:1] == (size,)


def blocks(net: RecurrentNet) -> list[Recurrent]:
    """Return the stacks of recurrent layers, all with the same cell."""
    return [net.recurrent] if isinstance(net, RecurrentReader) else list(net.blocks)


def state_name(cell: Any) -> str:
    """Return the name of the carried state: c if the cell has one, else h; the last one of a user's cell."""
    name: str = cell.state[-1]
    return name


def bounds(cell: Any, name: str, values: Tensor) -> tuple[float, float]:
    """Return the lower and upper bound of a gate, a candidate or h.

    Those of a user's cell are 0 and 1, or -1 and 1, where its `values` lie between them; else the values' own.
    """
    if is_own(cell):
        low, high = values.min().item(), values.max().item()
        fitting = ((a, b) for a, b in ((0.0, 1.0), (-1.0, 1.0)) if a <= low and high <= b)
        return next(fitting, (low, high))
    tanh = name in ("n", "h") or (name == "g" and cell is not AssignmentPeephole)
    return (-1.0, 1.0) if tanh else (0.0, 1.0)


def keeps_its_state(cell: Any, trace: Trace) -> bool:
    """Tell whether the cell has a forget gate, which has a value for each unit of the carried state."""
    return cell.forget_gate is not None and trace[cell.forget_gate].shape == trace[state_name(cell)].shape


def written_and_kept(cell: Any, trace: Trace) -> tuple[Tensor, Tensor]:
    """Return the summands of the state, [T, B, H] each: i*g and f*c in the LSTM, (1-z)*n and z*h in the GRU.

    In any cell, the second is the forget gate times the state before, and the first is the rest.

    Raises:
        ValueError: the cell has no forget gate, as the plain RNN.
    """
    if not keeps_its_state(cell, trace):
        raise ValueError("the cell has no gate that keeps its state: it writes the whole state anew at each step")
    state = trace[state_name(cell)]
    before = torch.cat([torch.zeros_like(state[:1]), state[:-1]])
    kept = trace[cell.forget_gate] * before
    return state - kept, kept


def surviving(cell: Any, trace: Trace) -> Tensor:
    """Return the part of the last state that each step has written, [T, B, H]; the sum over T is the last state.

    The part of step s is written(s) times the product of the forget gates after s.

    Raises:
        ValueError: the cell has no forget gate, as the plain RNN.
    """
    written, _ = written_and_kept(cell, trace)
    gates = trace[str(cell.forget_gate)]
    later = torch.cat([gates[1:], torch.ones_like(gates[:1])])
    return written * later.flip(0).cumprod(0).flip(0)


def saturation(values: Tensor, bounds: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Return the shares of `values` [T, B, H] near the lower and the upper bound by unit, [H] each."""
    low, high = bounds
    near = NEAR * (high - low)
    return (values < low + near).double().mean((0, 1)), (values > high - near).double().mean((0, 1))


def separation(states: Tensor, labels: Tensor) -> Tensor:
    """Return the share of the variance of `states` [T, B, H] between the classes `labels` [B] (eta squared), [T, H].

    The share is from 0 to 1, and 0 for a constant unit.
    """
    means, weights = _class_means(states, labels)
    between = ((means - (means * weights).sum(1, keepdim=True)).square() * weights).sum(1)
    variance = states.double().var(1, correction=0)
    return torch.where(variance > 1e-12, between / variance.clamp_min(1e-12), 0.0)


def label_share(parts: Tensor, labels: Tensor) -> Tensor:
    """Return the share of each step in the last state's variance between `labels` [B], [T]; the shares sum to 1.

    That variance is the sum of the last state's covariances with its `parts`, [T, B, H], the result of `surviving`.
    """
    means, weights = _class_means(parts, labels)
    means = means - (means * weights).sum(1, keepdim=True)
    covariances = (means * means.sum(0) * weights).sum((1, 2))
    return covariances / covariances.sum()


def probe(states: Tensor, labels: Tensor, held_out: int) -> Tensor:
    """Return the accuracy of a linear probe (Alain & Bengio 2016) at each step, [T], on the last `held_out` sequences.

    Each step has its own probe, a ridge regression of the classes on the units, fitted to the other sequences.

    Args:
        states: [T, B, H].
        labels: [B].

    Raises:
        ValueError: `held_out` leaves no sequence to fit or to test.
    """
    fitted = len(labels) - held_out
    if fitted < 1 or held_out < 1:
        raise ValueError(f"held_out={held_out}: allowed: 1 to {len(labels) - 1}, of {len(labels)} sequences")
    x = states.double()
    mean, std = x[:, :fitted].mean(1, keepdim=True), x[:, :fitted].std(1, correction=0, keepdim=True)
    x = (x - mean) / std.clamp_min(1e-12)
    y = F.one_hot(labels).double()
    level = y[:fitted].mean(0)
    seen = x[:, :fitted]
    gram = seen.mT @ seen + PENALTY * fitted * torch.eye(x.shape[2], dtype=x.dtype)
    weights = torch.linalg.solve(gram, seen.mT @ (y[:fitted] - level))
    answers = (x[:, fitted:] @ weights + level).argmax(-1)
    return (answers == labels[fitted:]).double().mean(1)


def _class_means(states: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean state of each label that occurs, [T, C, H], and the label's share of the sequences, [C, 1]."""
    classes = F.one_hot(labels).double()
    classes = classes[:, classes.any(0)]
    sizes = classes.sum(0)[:, None]
    return torch.einsum("tbh,bc->tch", states.double(), classes) / sizes, sizes / len(labels)
