"""Compare what a device computes with what the CPU computes.

The reference is always the CPU in float64: of a cell its explicit equations, of a graph net the torch engine. The
device computes the same in float64 and in float32. Outputs and the gradients of all parameters are compared. A
difference is measured as a share of the largest number of its tensor; a tensor whose numbers cancel, such as the
gradient of a bias before a batch norm, counts as a hundredth of the net's largest number. Where the CPU's own float32
is far from its float64, as in nets that amplify rounding errors, the device may be ten times as far.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from scripts.gpu.checklist import Broken, Passed, Setting

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
SLACK = 10.0  # times the error of the CPU in float32
REPEATS = 3
Pass = Callable[[Any, torch.dtype, torch.device], Tensor]  # net, dtype, device -> the output


def difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> tuple[float, str]:
    """Return the largest difference as a share of the largest number of its tensor, and that tensor's name."""
    worst, largest = (0.0, "output"), max(value.abs().max().item() for value in expected.values())
    for name, value in expected.items():
        scale = max(value.abs().max().item(), 1e-2 * largest)
        away = (found[name].detach().cpu().double() - value.detach()).abs().max().item() / scale
        worst = max(worst, (float("inf") if away != away else away, name))
    return worst


def run(net: nn.Module, dtype: torch.dtype, device: torch.device | str, forward: Pass) -> dict[str, Tensor]:
    """Return the output of a copy of `net` on the device, and the gradients of its parameters and of the input."""
    device = torch.device(device)
    moved = copy.deepcopy(net).to(device, dtype)
    output = forward(moved, dtype, device)
    weights = torch.sin(torch.arange(output.numel(), device=device, dtype=torch.float64)).view(output.shape)
    (output * weights.to(output.dtype)).sum().backward()
    gradients = {name: p.grad for name, p in moved.named_parameters() if p.grad is not None}
    return {"output": output.detach()} | gradients


def compare(net: nn.Module, forward: Pass, device: str, reference: Pass | None = None) -> Passed:
    """Compare a net on the device with the reference; tell the largest difference by dtype.

    Raises:
        Broken: a difference is larger than allowed.
    """
    expected = run(net, torch.float64, "cpu", reference or forward)
    said, share = [], 0.0
    for dtype, tolerance in TOLERANCES.items():
        own, _ = difference(run(net, dtype, "cpu", forward), expected)
        allowed = max(tolerance, SLACK * own) if dtype == torch.float32 else tolerance
        away, where = difference(run(net, dtype, device, forward), expected)
        name = str(dtype).removeprefix("torch.")
        said.append(f"{name} {away:.1e}")
        if not away <= allowed:
            raise Broken(f"{where} differs from the CPU's by {away:.1e} in {name}; allowed: {allowed:.0e}")
        share = max(share, away / allowed)
    return Passed(", ".join(said), size=share)


def seeded(build: Callable[[], Any]) -> Any:
    """Build with seed 0."""
    torch.manual_seed(0)
    return build()


@contextmanager
def deterministic() -> Iterator[None]:
    """Use deterministic algorithms within the block, as trainer.deterministic=true does."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def compare_repeats(setting: Setting, build: Callable[[], nn.Module], forward: Pass) -> Passed:
    """Run a net in training mode several times with one seed; outputs and gradients must have equal bits."""
    net = seeded(build).train()
    with deterministic():
        found = []
        for _ in range(REPEATS):
            torch.manual_seed(5)  # seeds all devices
            found.append(run(net, torch.float32, setting.device, forward))
    for name, value in found[0].items():
        if not all(torch.equal(value, each[name]) for each in found):
            raise Broken(f"{name} has other bits each time with one seed")
    return Passed(f"{len(found[0])} tensors have equal bits in {REPEATS} passes")
