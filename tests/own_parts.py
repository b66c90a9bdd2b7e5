"""Optimisers, schedules, callbacks and loggers as a user of the package writes them, named by their dotted paths."""

from collections import deque
from typing import Any

import torch
from pytorch_lightning import Callback
from pytorch_lightning.loggers import Logger
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


class Counter(Callback):
    """Count the training batches of a run, over all its processes."""

    def __init__(self, name: str, start: int = 0) -> None:
        self.name, self.count = name, start

    def on_train_batch_end(self, *_: Any) -> None:
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count = state_dict["count"]


class Refusing(Callback):
    def __init__(self) -> None:
        raise ValueError("needs more")


class Lines(Logger):
    """Write a line for each row."""

    name = "lines"
    version = ""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Log nothing."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{step} {' '.join(metrics)}\n")
