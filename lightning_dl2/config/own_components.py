"""Complete the components of a composition before its references are resolved."""

from collections.abc import Collection, Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightning_dl2.config.component import REFERENCE, complete_arguments, is_component
from lightning_dl2.config.conf_files import package_conf
from lightning_dl2.config.overrides import parse_override

EMPTY = "_own"  # the file of a group whose keys are those of a class of the user's own
# Values of a task of the user's own where neither an experiment nor the command sets the key: no threshold holds for a
# metric that nobody knows, and a module as it would be written for any Trainer is not clipped.
OTHERWISE = {"callbacks.solved.enabled": False, "trainer.gradient_clip_val": None}
CHOSEN = "_chosen_"  # a key of conf/logger/*.yaml, which collects the names of several choices


def complete_components(composed: DictConfig, given: Collection[str]) -> None:
    """Add to each component the defaults of its constructor, so that references and overrides find them.

    Args:
        composed: changed in place; struct mode is off.
        given: the keys that an experiment or the command sets.

    Raises:
        UserError: a class cannot be imported.
    """
    if "logger" in composed:
        _name_loggers(composed)
    for key in list(_components(composed)):
        values: Any = OmegaConf.to_container(OmegaConf.select(composed, key), resolve=False)
        OmegaConf.update(composed, key, complete_arguments(key, values), merge=False, force_add=True)
    if not is_component(composed.get("task")):
        return
    _keep_references_to_built_data(composed)
    for key, value in OTHERWISE.items():
        if key not in given and key.partition(".")[0] in composed:
            OmegaConf.update(composed, key, value)


def _name_loggers(composed: DictConfig) -> None:
    """Name the package's loggers that were chosen: Hydra keeps only the name of the last one.

    A file of the user's own, with loggers by `_target_` alone, gets the other keys of the group.
    """
    logger = composed.logger
    chosen = list(logger.pop(CHOSEN, {}))
    if len(chosen) > 1:
        logger.name = chosen
    elif "name" not in logger:
        defaults = OmegaConf.load(package_conf() / "logger" / "_base.yaml")
        composed.logger = OmegaConf.merge(defaults, {"name": "csv"}, logger)


def order_loggers(override: str) -> str:
    """Put W&B last in logger=[a,b]: Hydra merges the files in this order, and W&B's has defaults of its own."""
    parsed = parse_override(override)
    if parsed.key_or_group != "logger" or not isinstance(names := parsed.value(), list):
        return override
    return f"logger=[{','.join(sorted(map(str, names), key=lambda name: name == 'wandb'))}]"


def _components(composed: DictConfig) -> Iterator[str]:
    for group in ("data", "task"):
        if is_component(composed.get(group)):
            yield group
    for group in ("callbacks", "logger"):
        values: Any = composed.get(group) or {}
        yield from (f"{group}.{name}" for name in values if is_component(values.get(name)))


def _keep_references_to_built_data(composed: DictConfig) -> None:
    """Escape ${data.NAME} in the task where data have no such key: the data module has the value, once it is built."""
    data = composed.get("data")

    def walk(node: Any, path: str) -> None:
        for name, value in list(node.items()):
            if isinstance(value, dict):
                walk(value, f"{path}.{name}")
            elif isinstance(value, str) and (found := REFERENCE.fullmatch(value)) and found[1] not in data:
                OmegaConf.update(composed, f"{path}.{name}", f"\\{value}")

    walk(OmegaConf.to_container(composed.task, resolve=False), "task")
