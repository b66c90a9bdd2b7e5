"""What gates do to a state, as numbers.

Shapes: B sequences, T steps in the order in which they are read, H units, C classes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_dl2.nets import Recurrent, RecurrentClassifier
from lightning_dl2.nets.recurrent.cells import AssignmentPeephole, Cell
from lightning_dl2.nets.recurrent.gradient_flow import RecurrentNet

Trace = dict[str, Tensor]

NEAR = 0.1  # of its range: so near to an end of it, a squashing function is saturated


@torch.no_grad()
def read(net: RecurrentNet, tokens: Tensor, layer: int = 0, direction: int = 0) -> Trace:
    """Every quantity of one layer and direction (1: backwards) while the net reads `tokens` [B, T].

    Returns:
        By the names in `nets.cells`, each [T, B, H]; backwards the last token is the first step.

    Raises:
        IndexError: the net has no such layer or direction.
    """
    _, trace = net.explicit(tokens)
    stacked = {name: torch.stack(steps) for name, steps in trace[layer][direction].items()}
    return {name: steps.flip(0) for name, steps in stacked.items()} if direction else stacked


def blocks(net: RecurrentNet) -> list[Recurrent]:
    """The recurrent layers, in stacks; all of the same cell."""
    return [net.recurrent] if isinstance(net, RecurrentClassifier) else list(net.blocks)


def state_name(cell: type[Cell]) -> str:
    """The state that is carried along: c where there is one, else h."""
    return cell.state[-1]


def bounds(cell: type[Cell], name: str) -> tuple[float, float]:
    """Between which numbers a gate, a candidate or h lies."""
    tanh = name in ("n", "h") or (name == "g" and cell is not AssignmentPeephole)
    return (-1.0, 1.0) if tanh else (0.0, 1.0)


def written_and_kept(cell: type[Cell], trace: Trace) -> tuple[Tensor, Tensor]:
    """The two summands of the state at each step, [T, B, H] each.

    i*g and f*c for the LSTM, (1-z)*n and z*h for the GRU.

    Raises:
        ValueError: the plain RNN has no gates.
    """
    if cell.forget_gate is None:
        raise ValueError("the plain RNN has no gates: it writes its whole state anew at each step")
    state, kept_share = trace[state_name(cell)], trace[cell.forget_gate]
    before = torch.cat([torch.zeros_like(state[:1]), state[:-1]])
    written = trace["i"] * trace["g"] if "i" in trace else (1 - kept_share) * trace["n"]
    return written, kept_share * before


def surviving(cell: type[Cell], trace: Trace) -> Tensor:
    """What each step has written, as far as it is in the last state, [T, B, H]: the sum over T is the last state.

    written(s) times the product of the forget gates after s.

    Raises:
        ValueError: the plain RNN has no gates.
    """
    written, _ = written_and_kept(cell, trace)
    gates = trace[str(cell.forget_gate)]
    later = torch.cat([gates[1:], torch.ones_like(gates[:1])])
    return written * later.flip(0).cumprod(0).flip(0)


def saturation(values: Tensor, bounds: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """The shares of `values` [T, B, H] that are near the lower and the upper bound, by unit: [H] each."""
    low, high = bounds
    near = NEAR * (high - low)
    return (values < low + near).double().mean((0, 1)), (values > high - near).double().mean((0, 1))


def separation(states: Tensor, labels: Tensor) -> Tensor:
    """How much of a unit's variance lies between the classes (eta squared), by step: [T, H], from 0 to 1.

    A unit that does not vary has 0.

    Args:
        states: [T, B, H].
        labels: [B].
    """
    means, weights = _class_means(states, labels)
    between = ((means - (means * weights).sum(1, keepdim=True)).square() * weights).sum(1)
    variance = states.double().var(1, correction=0)
    return torch.where(variance > 1e-12, between / variance.clamp_min(1e-12), 0.0)


def label_share(parts: Tensor, labels: Tensor) -> Tensor:
    """The share of each step in what tells the labels apart in the last state, [T]; their sum is 1.

    The variance between labels of the last state is the sum of its covariances with its parts.

    Args:
        parts: of `surviving`, [T, B, H].
        labels: [B].
    """
    means, weights = _class_means(parts, labels)
    means = means - (means * weights).sum(1, keepdim=True)
    covariances = (means * means.sum(0) * weights).sum((1, 2))
    return covariances / covariances.sum()


def probe(states: Tensor, labels: Tensor, held_out: int, penalty: float = 1e-3) -> Tensor:
    """The accuracy of a linear probe (Alain & Bengio 2016) at each step, [T], on the last `held_out` sequences.

    The probe is a ridge regression of the classes on the units, one for each step, fitted to the other sequences.

    Args:
        states: [T, B, H].
        labels: [B].
        penalty: on the squared weights of units that are scaled to variance 1, in units of the sequences' number.

    Raises:
        ValueError: nothing would be left to fit to or to test on.
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
    gram = seen.mT @ seen + penalty * fitted * torch.eye(x.shape[2], dtype=x.dtype)
    weights = torch.linalg.solve(gram, seen.mT @ (y[:fitted] - level))
    answers = (x[:, fitted:] @ weights + level).argmax(-1)
    return (answers == labels[fitted:]).double().mean(1)


def _class_means(states: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The states' means over the sequences of each label that there is, [T, C, H], and its share of them, [C, 1]."""
    classes = F.one_hot(labels).double()
    classes = classes[:, classes.any(0)]
    sizes = classes.sum(0)[:, None]
    return torch.einsum("tbh,bc->tch", states.double(), classes) / sizes, sizes / len(labels)
