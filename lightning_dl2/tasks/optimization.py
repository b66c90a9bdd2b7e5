"""Optimisers of torch.optim by name, and schedules of the learning rate as functions of the step."""

import inspect
import math
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

DEFAULTS: dict[str, Any] = {
    "name": "Adam",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "arguments": {},
    "schedule": {"name": "constant", "warmup_steps": 0},
}


def optimizer_class(name: str) -> type[Optimizer]:
    """The class of torch.optim called `name`.

    Raises:
        ValueError: there is none; lists those there are.
    """
    known = {
        key: value
        for key, value in vars(torch.optim).items()
        if inspect.isclass(value) and issubclass(value, Optimizer) and value is not Optimizer
    }
    if name not in known:
        raise ValueError(f"{name}: is no optimiser of torch.optim; allowed: {', '.join(sorted(known))}")
    return known[name]


def build_optimizer(parameters: Any, config: dict[str, Any]) -> Optimizer:
    """Builds the optimiser of `config`: name, learning_rate, weight_decay, arguments.

    Raises:
        ValueError: the class does not exist or does not take these arguments.
    """
    cls = optimizer_class(config["name"])
    arguments = {"lr": config["learning_rate"], **config["arguments"]}
    if config["weight_decay"]:
        arguments["weight_decay"] = config["weight_decay"]
    allowed = set(inspect.signature(cls).parameters) - {"params"}
    if unknown := set(arguments) - allowed:
        raise ValueError(
            f"{config['name']} takes no {', '.join(sorted(unknown))}; allowed: {', '.join(sorted(allowed))}"
        )
    return cls(parameters, **arguments)


def factor(step: int, schedule: dict[str, Any]) -> float:
    """What the learning rate is multiplied by at `step`, counted from 0."""
    warmup, name = schedule["warmup_steps"], schedule["name"]
    if step < warmup:
        return (step + 1) / warmup
    if name in ("constant", "plateau"):
        return 1.0
    if name == "exponential":
        return schedule["decay"] ** ((step - warmup) // schedule["decay_every"])
    progress = min(1.0, (step - warmup) / (schedule["total_steps"] - warmup))
    falling = 1 - progress if name == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return schedule["final_factor"] + (1 - schedule["final_factor"]) * falling


def build_schedule(optimizer: Optimizer, schedule: dict[str, Any]) -> LambdaLR | ReduceLROnPlateau:
    """The schedule of `config["schedule"]`. All but `plateau` are functions of the step alone."""
    if schedule["name"] == "plateau":
        return ReduceLROnPlateau(optimizer, factor=schedule["decay"], patience=schedule["patience"])
    return LambdaLR(optimizer, lambda step: factor(step, schedule))
