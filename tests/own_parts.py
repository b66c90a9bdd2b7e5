"""Optimisers, schedules and callbacks as a user of the package writes them, named by their dotted paths."""

from collections import deque
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LinearLR, LRScheduler, SequentialLR, StepLR


class Lion(Optimizer):
    """The sign of an interpolated momentum (Chen et al., 2023, algorithm 2)."""

    def __init__(self, params: Any, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is not None:
                    momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                    parameter -= group["lr"] * torch.lerp(parameter.grad, momentum, first).sign()
                    momentum.lerp_(parameter.grad, 1 - second)
        return loss


class Remembering(torch.optim.SGD):
    """An optimiser whose state no checkpoint may hold."""

    def step(self, closure: Any = None) -> Any:
        self.state[self.param_groups[0]["params"][0]]["last"] = deque([1.0])
        return super().step(closure)


class NoRate(Optimizer):
    def __init__(self, params: Any) -> None:
        super().__init__(params, {})


def ramp(optimizer: Optimizer, warmup: int, size: int = 5) -> LRScheduler:
    """Return a linear warm-up, then steps down."""
    parts: list[Any] = [LinearLR(optimizer, 0.1, total_iters=warmup), StepLR(optimizer, size)]
    return SequentialLR(optimizer, parts, milestones=[warmup])


class Follow(LambdaLR):
    """Scale the rate by a metric, as a class outside torch's ReduceLROnPlateau."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.metric = 1.0
        super().__init__(optimizer, lambda step: self.metric)

    def step(self, metrics: Any = 1.0, **_: Any) -> None:
        self.metric = float(metrics)
        super().step()
