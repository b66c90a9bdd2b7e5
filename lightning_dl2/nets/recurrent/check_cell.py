"""Check a user's recurrent cell in a test of her own.

Shapes: B batch, T steps, D input_size, H hidden_size.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.nets.recurrent.layers import Recurrent
from lightning_dl2.nets.recurrent.own_cells import name_of

B, T = 3, 7


def check_cell(
    cell: str | type | Mapping[str, Any],
    *,
    input_size: int = 3,
    hidden_size: int = 4,
    bias: bool = True,
    tolerance: float = 1e-10,
) -> None:
    """Check in float64 that a cell is one that can be trained, resumed and generated with.

    Its `sequence`, where it has one, agrees with its `step` in outputs, states and all gradients, from zeros and from a
    state on the way. A sequence depends on no other of its batch. A text that is cut, with its state carried over the
    cut, gives what the whole gives. Every weight has a gradient, which training in several processes needs. Equal
    weights give equal results, so that a checkpoint misses nothing. Sequences have different lengths of the input, if
    the step takes an `input_length`. The global random numbers stay as they are.

    Args:
        cell: a dotted path, a class, or a dict of `_target_` and arguments of the constructor.
        bias: as of `Recurrent`.
        tolerance: largest difference.

    Raises:
        ValueError: one line says which of this does not hold, and by how much.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net, other = (Recurrent(cell, input_size, hidden_size, bias=bias).double().eval() for _ in range(2))
        check = _Check(name_of(net.cell), tolerance)
        x = torch.randn(B, T, input_size, dtype=torch.float64)
        given = {"input_lengths": torch.arange(1, B + 1)} if net.takes_input_length else {}
        forward, explicit = partial(net, **given), partial(net.explicit, **given)
        with torch.no_grad():
            whole, end = forward(x)
            head, middle = forward(x[:, :3])
        if getattr(net.cell, "sequence", None):
            for place, state in (("from zeros", None), ("from a state on the way", middle)):
                outputs = [_run(path, net, x, state) for path in (forward, explicit)]
                for what, fast, slow in zip(("outputs", "states", "gradients"), *outputs, strict=True):
                    check.same(f"sequence and step {place}: the {what}", fast, slow)
        with torch.no_grad():
            check.same(
                "a sequence that is cut, and its state carried over",
                [torch.cat([head, forward(x[:, 3:], middle)[0]], 1)],
                [whole],
            )
            check.same("the state after a cut", _parts(forward(x[:, 3:], middle)[1]), _parts(end))
            alone = [{name: lengths[row : row + 1] for name, lengths in given.items()} for row in range(B)]
            rows = [net(x[row : row + 1], **its)[0] for row, its in enumerate(alone)]
            check.same("a sequence alone, and in a batch", [torch.cat(rows)], [whole])
            other.load_state_dict(net.state_dict())
            check.same("another instance with equal weights", [other(x, **given)[0]], [whole])
        net.train()  # a cell may do without a weight's gradient where it does not train
        unused = [name for name, parameter in net.named_parameters() if _gradient(forward, x, parameter) is None]
        if unused:
            name = unused[0].removeprefix("core.")
            raise ValueError(f"cell={check.name}: {name} has no gradient; fix: use it in step, or leave it out")


class _Check:
    """Compare tensors of a cell, which is named in the errors."""

    def __init__(self, name: str, tolerance: float) -> None:
        self.name, self.tolerance = name, tolerance

    def same(self, what: str, found: list[Tensor], wanted: list[Tensor]) -> None:
        """Raise ValueError unless all tensors are finite, in float64, and equal up to the tolerance."""
        for one, two in zip(found, wanted, strict=True):
            if one.dtype != torch.float64 or two.dtype != torch.float64:
                raise ValueError(f"cell={self.name}: {what} in {one.dtype}; fix: compute in the dtype of the weights")
            if not one.isfinite().all() or not two.isfinite().all():
                raise ValueError(f"cell={self.name}: {what}: are not finite; fix: correct the equations")
            difference = (one - two).abs().max().item() if one.numel() else 0.0
            if difference > self.tolerance:
                raise ValueError(f"cell={self.name}: {what} differ by {difference:.1g}; allowed: {self.tolerance:.1g}")


def _parts(state: Any) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else [*state]


def _run(path: Any, net: nn.Module, x: Tensor, state: Any) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return outputs, last states, and the gradients of a sum of them all in x, the first state and the weights."""
    x = x.clone().requires_grad_()
    begin = [] if state is None else [part.clone().requires_grad_() for part in _parts(state)]
    start = None if not begin else begin[0] if isinstance(state, Tensor) else tuple(begin)
    y, end, *_ = path(x, start)
    ends = _parts(end)
    loss = sum(((number + 1) * part.sin()).sum() for number, part in enumerate([y, *ends]))
    leaves = [x, *begin, *net.parameters()]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return [y.detach()], [part.detach() for part in ends], [*gradients]


def _gradient(forward: Any, x: Tensor, parameter: Tensor) -> Tensor | None:
    return torch.autograd.grad(forward(x)[0].sum(), [parameter], allow_unused=True)[0]
