"""Build optimisers of torch.optim by name, and schedules of the learning rate as functions of the step."""

import inspect
import math
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.recurrent.ensemble import members_of
from lightning_dl2.tasks.muon import Muon, hidden_matrices

SCHEDULE = dict(
    name="constant", warmup_steps=0, total_steps=None, final_factor=0.0, decay=0.96, decay_every=5000, patience=5
)
DEFAULTS: dict[str, Any] = dict(
    name="Adam", learning_rate=1e-3, weight_decay=0.0, weight_decay_of={}, arguments={}, schedule=SCHEDULE
)
SCHEDULES = ("constant", "linear", "cosine", "exponential", "plateau")


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """Fill `config` up with DEFAULTS.

    Args:
        config: name (a class of torch.optim), learning_rate, weight_decay, weight_decay_of ({part of the net: weight
            decay}), arguments (others of the class) and schedule; each may be missing.

    Raises:
        ValueError: an unknown key or schedule, or impossible numbers of steps.
    """
    schedule = _merge(SCHEDULE, config.get("schedule", {}))
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


def optimizer_class(name: str) -> type[Optimizer]:
    """Return the class of torch.optim called `name`; for Muon, which takes matrices only there, this package's.

    Raises:
        ValueError: torch.optim has no such class; the message lists its classes.
    """
    known = {
        key: value
        for key, value in vars(torch.optim).items()
        if inspect.isclass(value) and issubclass(value, Optimizer) and value is not Optimizer
    }
    if name not in known:
        raise ValueError(f"{name}: is no optimiser of torch.optim; allowed: {', '.join(sorted(known))}")
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
    cls = optimizer_class(config["name"])
    taken = inspect.signature(cls).parameters.keys()
    allowed = taken - {"params", "lr", "weight_decay"}
    unknown = config["arguments"].keys() - allowed
    arguments = {"lr": config["learning_rate"], **config["arguments"]}
    if "weight_decay" in taken:
        arguments["weight_decay"] = config["weight_decay"]  # also 0, which is not AdamW's default
    elif config["weight_decay"] or config["weight_decay_of"]:
        unknown = {*unknown, "weight_decay"}
    if unknown:
        raise ValueError(
            f"{config['name']} takes no {', '.join(sorted(unknown))}; allowed arguments: {', '.join(sorted(allowed))}"
        )
    optimizer = cls(parameters, **arguments)
    _load_as_saved(optimizer)
    return optimizer


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
                if isinstance(value, torch.Tensor) and value.dtype != state[name].dtype:
                    state[name] = value.to(state[name].device, copy=True)
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


def build_schedule(optimizer: Optimizer, schedule: dict[str, Any]) -> LambdaLR | ReduceLROnPlateau:
    """Build the schedule of `config["schedule"]`. All but `plateau` are functions of the step alone."""
    if schedule["name"] == "plateau":
        return ReduceLROnPlateau(optimizer, factor=schedule["decay"], patience=schedule["patience"])
    return LambdaLR(optimizer, lambda step: factor(step, schedule))
