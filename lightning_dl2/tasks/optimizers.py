"""Build optimisers by name or dotted path, and schedules of the learning rate.

The package's own schedules are functions of the step; those by dotted path are torch's or anybody's classes.
"""

import inspect
import math
from collections.abc import Callable
from io import BytesIO
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from lightning_dl2.common.dotted import find_callable, is_dotted
from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.recurrent.ensemble import members_of
from lightning_dl2.tasks.muon import Muon, hidden_matrices

SCHEDULE: dict[str, Any] = dict(
    name="constant", warmup_steps=0, total_steps=None, final_factor=0.0, decay=0.96, decay_every=5000, patience=5,
    monitor=None, mode="min", interval="step", arguments={},
)  # fmt: skip
DEFAULTS: dict[str, Any] = dict(
    name="Adam", learning_rate=1e-3, weight_decay=0.0, weight_decay_of={}, arguments={}, schedule=SCHEDULE
)
SCHEDULES = ("constant", "linear", "cosine", "exponential", "plateau")


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """Fill `config` up with DEFAULTS.

    Args:
        config: name (a class of torch.optim, or a dotted path), learning_rate, weight_decay, weight_decay_of ({part of
            the net: weight decay}), arguments (others of the class) and schedule; each may be missing.

    Raises:
        ValueError: an unknown key or schedule, or impossible numbers of steps.
    """
    schedule = _merge(SCHEDULE, config.get("schedule", {}))
    if not is_dotted(schedule["name"]):
        check_choice("schedule", schedule["name"], SCHEDULES)
    if schedule["name"] in ("linear", "cosine") and not (schedule["total_steps"] or 0) > schedule["warmup_steps"]:
        raise ValueError(
            f"schedule {schedule['name']} has total_steps={schedule['total_steps']}; it must be more than"
            f" warmup_steps={schedule['warmup_steps']}"
        )
    if schedule["name"] == "plateau" and schedule["warmup_steps"]:
        raise ValueError(f"schedule plateau has no warm-up; warmup_steps is {schedule['warmup_steps']}, it must be 0")
    return _merge(DEFAULTS, {**config, "schedule": schedule})


def _merge(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    if unknown := values.keys() - defaults.keys():
        raise ValueError(f"unknown {', '.join(sorted(unknown))}; allowed: {', '.join(defaults)}")
    return defaults | values


def optimizer_class(name: str) -> Callable[..., Optimizer]:
    """Return what makes an optimiser: a class of torch.optim, or the class or function at a dotted path.

    Muon, which in torch takes matrices only, is this package's.

    Raises:
        ValueError: torch.optim has no such class, and the message lists its classes; or the dotted path leads to no
            optimiser.
    """
    if is_dotted(name):
        found = find_callable(name)
        if inspect.isclass(found) and not issubclass(found, Optimizer):
            raise ValueError("is no optimiser; allowed: a class that extends torch.optim.Optimizer")
        return found
    known = {
        key: value
        for key, value in vars(torch.optim).items()
        if inspect.isclass(value) and issubclass(value, Optimizer) and value is not Optimizer
    }
    if name not in known:
        listed = f"{', '.join(sorted(known))}, or a dotted path as package.module.Name"
        raise ValueError(f"{name}: is no optimiser of torch.optim; allowed: {listed}")
    return (known | {"Muon": Muon})[name]


def parameter_groups(net: torch.nn.Module, config: dict[str, Any]) -> list[dict[str, Any]]:
    """Group the parameters of `net` by the weight decay of its parts, and by Muon's matrices.

    Args:
        net: its children are the parts; a part of an ensemble is that of all members.
        config: see `complete`; only name and weight_decay_of are read.

    Raises:
        ValueError: the net has no such part, the part has no parameters, or two parts share one.
    """
    decays = config["weight_decay_of"]
    parts: dict[str, list[torch.nn.Parameter]] = {}
    for member in members_of(net):
        for name, part in member.named_children():
            parts.setdefault(name, []).extend(part.parameters())
    parts = {name: parameters for name, parameters in parts.items() if parameters}
    if unknown := decays.keys() - parts.keys():
        raise ValueError(
            f"weight_decay_of: the net has no part {', '.join(sorted(unknown))}; allowed: {', '.join(parts)}"
        )
    part_of: dict[torch.nn.Parameter, str] = {}
    for name in decays:
        if not part_of.keys().isdisjoint(parts[name]):
            raise ValueError(f"weight_decay_of: {', '.join(decays)} share parameters; allowed: one of those that do")
        part_of |= dict.fromkeys(parts[name], name)
    blocks = hidden_matrices(net) if config["name"] == "Muon" else {}
    # Checkpoints rely on the order of the groups. Muon's come first: the first group's rate is logged.
    groups: dict[tuple[str, int], list[torch.nn.Parameter]] = {(name, 0): [] for name in ("", *decays)}
    for parameter in net.parameters():
        groups.setdefault((part_of.get(parameter, ""), blocks.get(parameter, 0)), []).append(parameter)
    return [
        {"params": parameters}
        | ({"weight_decay": decays[name]} if name else {})
        | ({"blocks": number} if number else {})
        for (name, number), parameters in sorted(groups.items(), key=lambda item: -item[0][1])
        if parameters
    ]


def build_optimizer(parameters: Any, config: dict[str, Any]) -> Optimizer:
    """Build the optimiser of `config`, see `complete`.

    Raises:
        ValueError: the class does not exist or does not take these arguments.
    """
    cls, name = optimizer_class(config["name"]), config["name"]
    taken, takes_any = _parameters(cls)
    first = next(iter(taken), "params")
    arguments = {"lr": config["learning_rate"], **config["arguments"]}
    unknown = config["arguments"].keys() & {first, "lr", "weight_decay"}
    if not takes_any:
        if "lr" not in taken:
            raise ValueError(
                f"{name} takes no lr; allowed: a class with that argument, optimizer.learning_rate sets it"
            )
        unknown |= config["arguments"].keys() - taken
    if "weight_decay" in taken:
        arguments["weight_decay"] = config["weight_decay"]  # also 0, which is not AdamW's default
    elif config["weight_decay"] or config["weight_decay_of"]:
        if takes_any:
            arguments["weight_decay"] = config["weight_decay"]
        else:
            unknown |= {"weight_decay"}
    if unknown:
        allowed = ", ".join(sorted({*taken} - {first, "lr", "weight_decay"}))
        raise ValueError(f"{name} takes no {', '.join(sorted(unknown))}; allowed arguments: {allowed}")
    optimizer = cls(parameters, **arguments)
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"{name} makes a {type(optimizer).__name__}; allowed: an object of torch.optim.Optimizer")
    _load_as_saved(optimizer)
    return optimizer


def _parameters(function: Callable[..., Any]) -> tuple[list[str], bool]:
    """Return the names of the arguments that a class or function takes, in order, and whether it takes any other."""
    found = inspect.signature(function).parameters.values()
    named = [each.name for each in found if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
    return named, any(each.kind == each.VAR_KEYWORD for each in found)


def _load_as_saved(optimizer: Optimizer) -> None:
    """Make `load_state_dict` keep the dtype of each saved tensor.

    torch converts it to the parameter's: with precision=64 NAdam's running product and ASGD's rates, which begin in
    float32, would continue in float64 after a resume.
    """
    loaded: dict[str, Any] = {}
    optimizer.register_load_state_dict_pre_hook(lambda _, state: loaded.update(state))

    def restore(optimizer: Optimizer) -> None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for index, saved in loaded.pop("state", {}).items():
            state = optimizer.state[parameters[index]]
            for name, value in saved.items():
                here = state.get(name)
                if isinstance(value, torch.Tensor) and isinstance(here, torch.Tensor) and value.dtype != here.dtype:
                    state[name] = value.to(here.device, copy=True)
        loaded.clear()

    optimizer.register_load_state_dict_post_hook(restore)


def factor(step: int, schedule: dict[str, Any]) -> float:
    """Return the factor of the learning rate at `step`, counted from 0."""
    warmup, name = schedule["warmup_steps"], schedule["name"]
    if step < warmup:
        return (step + 1) / warmup
    if name == "constant":
        return 1.0
    if name == "exponential":
        return schedule["decay"] ** ((step - warmup) // schedule["decay_every"])
    progress = min(1.0, (step - warmup) / (schedule["total_steps"] - warmup))
    falling = 1 - progress if name == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return schedule["final_factor"] + (1 - schedule["final_factor"]) * falling


def build_schedule(optimizer: Optimizer, schedule: dict[str, Any]) -> LRScheduler:
    """Build the schedule of `config["schedule"]`.

    The package's own are functions of the step alone, but for `plateau`. A dotted path leads to a class or function
    that takes the optimiser and `schedule["arguments"]`.

    Raises:
        ValueError: the dotted path leads to no schedule, or it does not take these arguments.
    """
    if schedule["name"] == "plateau":
        factor_and_patience = {"factor": schedule["decay"], "patience": schedule["patience"]}
        return ReduceLROnPlateau(optimizer, mode=schedule["mode"], **factor_and_patience)
    if not is_dotted(schedule["name"]):
        return LambdaLR(optimizer, lambda step: factor(step, schedule))
    cls = find_callable(schedule["name"])
    if inspect.isclass(cls) and not issubclass(cls, LRScheduler):
        raise ValueError("is no schedule; allowed: a class that extends torch.optim.lr_scheduler.LRScheduler")
    taken, takes_any = _parameters(cls)
    allowed = [name for name in taken[1:] if name != "last_epoch"]  # the first one is the optimiser
    if unknown := schedule["arguments"].keys() - set(allowed):
        if not takes_any:
            raise ValueError(f"takes no {', '.join(sorted(unknown))}; allowed arguments: {', '.join(allowed)}")
    scheduler = cls(optimizer, **schedule["arguments"])
    if not isinstance(scheduler, LRScheduler):
        kind = type(scheduler).__name__
        raise ValueError(f"makes a {kind}; allowed: an object of torch.optim.lr_scheduler.LRScheduler")
    return scheduler


def takes_metric(scheduler: Any) -> bool:
    """Tell whether a schedule's step needs the value of a metric, as that of ReduceLROnPlateau does."""
    taken = inspect.signature(scheduler.step).parameters.values()
    return any(each.default is each.empty and each.kind == each.POSITIONAL_OR_KEYWORD for each in taken)


def check_schedule(optimizer: Optimizer, schedule: dict[str, Any], max_steps: int) -> None:
    """Build a schedule, step it, and load its state from bytes, as a resumed run does.

    Args:
        max_steps: optimiser steps of the training; -1: unknown.

    Raises:
        ValueError: it cannot be built, has too few steps, or its state cannot be in a checkpoint.
    """
    scheduler: Any = build_schedule(optimizer, schedule)
    if isinstance(scheduler, OneCycleLR) and schedule["interval"] == "step" and scheduler.total_steps < max_steps:
        raise ValueError(f"total_steps={scheduler.total_steps}: allowed: trainer.max_steps={max_steps} or more")
    metric = takes_metric(scheduler)
    if schedule["monitor"] is not None and not metric:
        raise ValueError(f"takes no metric, but monitor={schedule['monitor']}; fix: monitor=null")
    optimizer.step(lambda: 0.0)  # else torch warns
    scheduler.step(*([1.0] if metric else []))
    check_state(scheduler)


def check_state(part: Any) -> None:
    """Check that the state of an optimiser or a schedule can be in a checkpoint, which holds plain values and tensors.

    Raises:
        ValueError: it has an object of another class.
    """
    content = BytesIO()
    try:
        torch.save(part.state_dict(), content)
        content.seek(0)
        part.load_state_dict(torch.load(content, weights_only=True))
    except Exception as error:  # torch raises whatever the part of the user's own does
        why = next((line for line in str(error).splitlines() if "GLOBAL" in line), str(error).partition("\n")[0])
        raise ValueError(f"its state cannot be loaded from a checkpoint, so that no run resumes: {why}") from error
