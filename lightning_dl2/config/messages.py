"""Describe the errors of Hydra and pydantic about a configuration in one line."""

import json
import re
from collections.abc import Callable, Collection
from typing import Any

from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf.errors import ConfigKeyError, InterpolationResolutionError
from pydantic import ValidationError

from lightning_dl2.common.errors import nearest
from lightning_dl2.config.conf_files import is_group, options
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema.base import OWN, PATTERNS, Strict

# Groups of keys whose names the user chooses.
OPEN = (
    "optimizer.arguments.",
    "optimizer.schedule.arguments.",
    "optimizer.weight_decay_of.",
    "trainer.arguments.",
    "launcher.parameters.",
)
# Texts in the place of pydantic's own, by its type of error.
ALLOWED = {
    "string_too_short": "a word",
    "model_type": "a group of keys",
    "model_attributes_type": "a group of keys",
    "int_from_float": "an integer",
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "too_short": "a list with something in it",
}


def describe_hydra_error(error: Exception, overrides: tuple[str, ...], again: Callable[..., Strict]) -> str:
    """Describe an error of Hydra; `again` composes the choices alone, for the list of known keys."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={name}: {nearest(name, options(group))}"
    cause = error.__cause__
    if isinstance(error, ConfigCompositionException) and isinstance(cause, (ConfigKeyError, AttributeError)):
        key = getattr(cause, "full_key", None) or str(error).split("'")[1]
        return _unknown_key(key, overrides, again)
    if found := re.search(r"Either remove \+ prefix: '(.*)'", str(error)):
        return f"+{found[1]}: the key exists; fix: write {found[1]}"
    if isinstance(error, InterpolationResolutionError):
        return f"{error.full_key}: {str(error).splitlines()[0]}"
    told = str(error) if str(error).strip() else str(cause or "")
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__


def _unknown_key(key: str, overrides: tuple[str, ...], again: Callable[..., Strict]) -> str:
    if key.startswith(OPEN):
        typed = next((each for each in overrides if each.partition("=")[0] == key), f"{key}=VALUE")
        return f"{key}: is not set yet; fix: write +{typed}"
    typed = next((each for each in overrides if each.lstrip("+~").partition("=")[0] == key), key)
    groups = [each for each in overrides if is_group(each.partition("=")[0])]
    return f"{typed}: there is no key {key}; {_nearest_key(key, flatten(again(*groups).model_dump()))}"


def _nearest_key(key: str, known_keys: Collection[str]) -> str:
    """Name the keys that exist beside `key`, the nearest first."""
    parent, _, name = key.rpartition(".")
    prefix = parent and f"{parent}."
    known = {full.removeprefix(prefix).split(".")[0] for full in known_keys if full.startswith(prefix)}
    return nearest(name, sorted(known or {full.partition(".")[0] for full in known_keys}))


def describe_allowed(error: Any) -> str:
    """Return the allowed values that one of pydantic's errors names."""
    if error["type"] == "string_pattern_mismatch":
        return PATTERNS[error["ctx"]["pattern"]]
    return ALLOWED.get(error["type"], error["msg"].removeprefix("Input should be "))


def _path(error: Any, values: dict[str, Any], above: tuple[str, ...]) -> list[str]:
    """Return the path of the key of an error, without the tag that selects one of several schemas, such as sweep's."""
    path = [*above, *(str(part) for part in error["loc"] if "[" not in str(part))]
    group = values.get(path[0]) if path else None
    tags = (group.get("name"), group.get("method")) if isinstance(group, dict) else ()
    if len(path) > 1 and isinstance(group, dict) and path[1] not in group and path[1] in tags:
        del path[1]
    return path


def describe_schema_error(error: ValidationError, values: dict[str, Any], above: tuple[str, ...] = ()) -> str:
    """Describe the first error of pydantic: the key, its value and the allowed values.

    Args:
        values: of the whole configuration.
        above: the path of the group that was checked; empty: all of `values` were.
    """
    first = error.errors()[0]
    # A union of types adds the type's name to the path of the key, so only parts that lead to a value are kept.
    key: list[str] = []
    here: Any = values
    for part in _path(first, values, above):
        if not isinstance(here, dict) or (part not in here and first["type"] != "missing"):
            break
        key.append(part)
        here = here.get(part)
    name = ".".join(key)
    if first["type"] == "union_tag_invalid":
        told = first["ctx"]
        name = f"{name}.{told['discriminator']}".replace("'", "")
        return f"{name}={json.dumps(told['tag'], ensure_ascii=False)}: allowed: {told['expected_tags']}"
    if first["type"] == "union_tag_not_found":
        return f"{name}.name: is missing"
    if first["type"] == "extra_forbidden":
        known = [known for known in flatten(values) if known != name and not known.startswith(f"{name}.")]
        return f"{name}={json.dumps(here, ensure_ascii=False)}: there is no key {name}; {_nearest_key(name, known)}"
    if first["type"] == "value_error":  # from a validator of the schema: begins with the key and its value
        return f"{name}.{first['ctx']['error']}".lstrip(".")
    if first["type"] == OWN:
        return f"{name}={json.dumps(here, ensure_ascii=False)}: {first['msg']}"
    if first["type"] == "missing":
        return f"{name}: is missing"
    if first["type"] == "string_type" and isinstance(here, bool | int | float):
        word = json.dumps(here)
        return f"{name}={word}: is not text without quotes; fix: \"{name}='{word}'\" if that is what is meant"
    same_key = [e for e in error.errors() if _path(e, values, above)[: len(key)] == key]
    says = " or ".join(dict.fromkeys(map(describe_allowed, same_key)))
    return f"{name}={json.dumps(here, ensure_ascii=False)}: allowed: {says}"
