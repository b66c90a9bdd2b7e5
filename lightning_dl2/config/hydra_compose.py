"""Compose the files under conf/ with overrides. Only this module calls Hydra.

Hydra needs a tenth of a second for a composition. Most overrides only give an existing key another value. They are
applied here, to a cached composition of the other overrides, so that a sweep composes once and not once for each job.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf, open_dict
from yaml import YAMLError

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.conf_files import BLANK, Composition, check_files, conf_dirs, describe_yaml_error, is_group
from lightning_dl2.config.overrides import parse_override
from lightning_dl2.config.own_components import EMPTY, complete_components, order_loggers
from lightning_dl2.config.schema.component import TARGET

REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")  # ${task.hidden_size}: the whole path of a key
WHEN = re.compile(r"\$\{when:[\w,]*\}")  # after its references are removed


def when(value: Any, equals: Any, then: Any, otherwise: Any) -> Any:
    """Resolve ${when:VALUE,EQUALS,THEN,OTHERWISE} in conf/: `then` if `value` is `equals`, `otherwise` if not."""
    return then if value == equals else otherwise


class FurtherDirectories(SearchPathPlugin):
    """Tell Hydra all directories of configuration files; it is started with the first of them."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for directory in conf_dirs()[1:]:
            search_path.append("lightning_dl2", str(directory))


Plugins.instance().register(FurtherDirectories)
OmegaConf.register_new_resolver("when", when, replace=True)


@dataclass(frozen=True)
class Base:
    """A cached composition."""

    raw: DictConfig  # the composed values with unresolved ${references}
    values: dict[str, Any]  # the same values, resolved
    choices: dict[str, Any]  # the choice of each group
    # The keys that references read; None: the text of a reference does not show its keys.
    references: frozenset[str] | None


def compose_files(name: str, overrides: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compose conf/`name`.yaml with overrides.

    Returns:
        The plain values, and the choice of each group.

    Raises:
        HydraException, OmegaConfBaseException: the overrides do not fit the files.
    """
    setting = {each: parsed for each in overrides if _sets_a_plain_value(parsed := parse_override(each))}
    others = tuple(each for each in overrides if each not in setting)
    base: Base | None
    # Hydra chooses from groups first, wherever the choices stand, so their order does not matter.
    keyed = [parsed for parsed in map(parse_override, others) if not _chooses(parsed)]
    if not setting or _overlap(setting.values(), keyed):
        base = _composed(name, overrides, conf_dirs())
        return base.values, base.choices
    try:
        base = _composed(name, others, conf_dirs())
    except Exception:  # noqa: BLE001  all overrides together raise it again, or make it vanish
        base = None
    keys = [each.key_or_group for each in setting.values()]
    if base is None or not all(_is_leaf(base.values, key) for key in keys):
        base = _composed(name, overrides, conf_dirs())
        return base.values, base.choices
    changes = [(setting[each].key_or_group, setting[each].value()) for each in overrides if each in setting]
    if base.references is None or any(_related(key, read) for key in keys for read in base.references):
        return _resolved(base.raw, changes), base.choices
    values = base.values
    for key, value in changes:
        values = _with(values, key.split("."), value)
    return values, base.choices


def _sets_a_plain_value(parsed: Override) -> bool:
    """Tell whether an override only gives one key another value, which needs no file."""
    if parsed.is_delete() or parsed.is_add() or parsed.is_force_add() or parsed.is_sweep_override():
        return False
    key = parsed.key_or_group
    is_key = re.fullmatch(r"\w+(\.\w+)*", key) and not is_group(key) and not key.endswith(f".{TARGET}")
    return bool(is_key) and parsed.package is None and _is_plain(parsed.value())


def _chooses(parsed: Override) -> bool:
    """Tell whether an override chooses one file of a group."""
    return is_group(parsed.key_or_group) and isinstance(parsed.value(), str) and not parsed.is_delete()


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        return "$" not in value and value != "???"
    return value is None or isinstance(value, bool | int | float)


def _overlap(plain: Any, others: list[Override]) -> bool:
    """Tell whether the order matters: two overrides set one key, or a key and its group of keys."""
    return any(_related(one.key_or_group, other.key_or_group) for one in plain for other in others)


def _related(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _is_leaf(values: dict[str, Any], key: str) -> bool:
    """Tell whether `key` exists and has a value, and is no group of keys."""
    here: Any = values
    for part in key.split("."):
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return not isinstance(here, dict)


def _with(values: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Return a copy in which the key at `path` has another value; the copy shares all else."""
    first, *rest = path
    return values | {first: _with(values[first], rest, value) if rest else copy.copy(value)}


def _resolved(raw: DictConfig, changes: list[tuple[str, Any]]) -> dict[str, Any]:
    changed = copy.deepcopy(raw)
    for key, value in changes:
        OmegaConf.update(changed, key, value, merge=True)
    return _plain(changed, resolve=True)


@lru_cache(64)
def _composed(name: str, overrides: tuple[str, ...], directories: tuple[Path, ...]) -> Base:
    chosen: dict[str, str] = {}
    given: list[str] = []
    for parsed in map(parse_override, overrides):
        key = parsed.key_or_group
        if not is_group(key):
            given.append(key)
        elif isinstance(value := parsed.value(), str):
            chosen[key] = value
    found = check_files(name, chosen, given)
    if "task" in found.components and "experiment" not in chosen and is_group("experiment"):
        chosen["experiment"] = BLANK  # the preset that conf/train.yaml chooses is for other data and another task
        found, overrides = check_files(name, chosen, given), (f"experiment={BLANK}", *overrides)
    words = [f"{group}={EMPTY}" for group in sorted(found.replaced)]
    words += [_as_typed_for_hydra(override, found) for override in overrides]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(directories[0].resolve()), version_base="1.3"):
            composed = hydra_compose(name, overrides=words, return_hydra_config=True)
    except YAMLError as error:
        raise UserError(describe_yaml_error(error)) from error
    choices = dict(composed.hydra.runtime.choices)
    with open_dict(composed):
        del composed["hydra"]
        complete_components(composed, found.preset | set(given))
    return Base(composed, _plain(composed, resolve=True), choices, _references(_plain(composed, resolve=False)))


def _as_typed_for_hydra(override: str, found: Composition) -> str:
    """Let Hydra add a key of a component that no file sets: the constructor decides whether the key exists."""
    parsed = parse_override(override)
    key = parsed.key_or_group
    if key == "logger":
        return order_loggers(override)
    if override[0] in "+~" or not any(key.startswith(f"{component}.") for component in found.components):
        return override
    return f"++{override}"


def _plain(composed: DictConfig, *, resolve: bool) -> dict[str, Any]:
    return cast("dict[str, Any]", OmegaConf.to_container(composed, resolve=resolve))


def _references(values: dict[str, Any]) -> frozenset[str] | None:
    found: set[str] = set()
    for text in _texts(values):
        found.update(REFERENCE.findall(text))
        if "$" in WHEN.sub("", REFERENCE.sub("", text)):
            return None
    return frozenset(found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
