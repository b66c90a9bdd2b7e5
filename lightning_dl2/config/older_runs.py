"""Complete the config.yaml of a run that an older version has written."""

from functools import cache
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.compose import compose, compose_values, validate
from lightning_dl2.config.conf_files import options
from lightning_dl2.config.messages import OPEN
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema import Config

# Keys that have come later, and whose value in the group is not how things were before.
BEFORE = {"trainer": {"flush_denormal": False}}


def upgrade_config(values: dict[str, Any]) -> tuple[Config, dict[str, Any]]:
    """Checks a run's config.yaml, which may be of an older version.

    A key that has come since gets the value of its group or that in BEFORE, which leaves things as they were before
    there was the key; what the run's experiment sets today is not what the run did.

    Returns:
        The configuration, and these keys with their values.

    Raises:
        UserError: names the first wrong key.
    """
    try:
        return validate(values), {}
    except UserError:
        filled = add_missing_keys(values)
        before = flatten(values)
        return validate(filled), {key: value for key, value in flatten(filled).items() if key not in before}


def add_missing_keys(values: dict[str, Any]) -> dict[str, Any]:
    """A run's config.yaml with the keys that have come since; nothing is checked."""
    groups = []
    for group in ("data", "task", "optimizer"):
        chosen = values.get(group)
        names = {name.lower(): name for name in options(group)}
        if isinstance(chosen, dict) and (name := names.get(str(chosen.get("name")).lower())):
            groups.append(f"{group}={name}")
    return _filled(_filled(values, BEFORE), _neutral(*groups))


@cache  # a report asks for hundreds of runs
def _neutral(*groups: str) -> dict[str, Any]:
    """What these groups say, without any experiment."""
    plain, _ = compose_values("train", ("~experiment", *groups), compose)
    return plain


def _filled(values: dict[str, Any], defaults: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`values`, with what only `defaults` have; nothing in a group of another kind, or whose keys the user names."""
    if values.get("name") != defaults.get("name"):
        return values
    filled = values | {key: value for key, value in defaults.items() if key not in values}
    for key, value in values.items():
        inner = f"{prefix}{key}."
        if isinstance(value, dict) and isinstance(defaults.get(key), dict) and inner not in OPEN:
            filled[key] = _filled(value, defaults[key], inner)
    return filled
