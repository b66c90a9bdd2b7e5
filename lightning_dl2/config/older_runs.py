"""Complete the config.yaml of a run that an older version has written."""

from functools import cache
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.compose import compose, compose_values, validate
from lightning_dl2.config.conf_files import options
from lightning_dl2.config.messages import OPEN
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema import Config

# Newer keys whose value in conf/ differs from the behaviour before the key existed.
BEFORE = {"trainer": {"flush_denormal": False}}
SAME_KEYS = ("optimizer.", "optimizer.schedule.", "logger.")  # groups that have the same keys whatever their name


def upgrade_config(values: dict[str, Any]) -> tuple[Config, dict[str, Any]]:
    """Check the values of a run's config.yaml, which may be of an older version, and add the keys that it lacks.

    A newer key gets the value of its group or that in BEFORE, with which the run behaves as before the key existed. The
    value in today's file of the experiment does not count, because the run did not have it.

    Returns:
        The configuration, and the added keys with their values.

    Raises:
        UserError: names the first wrong key.
    """
    try:
        config: Config = validate(values, recorded=True)
        filled = config.model_dump()  # a schema may give a newer key its value, too
    except UserError:
        filled = add_missing_keys(values)
        config = validate(filled, recorded=True)
    before = flatten(values)
    return config, {key: value for key, value in flatten(filled).items() if key not in before}


def add_missing_keys(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a run's config.yaml with the newer keys that it lacks, without any check."""
    groups = []
    for group in ("data", "task", "optimizer"):
        chosen = values.get(group)
        names = {name.lower(): name for name in options(group)}
        if isinstance(chosen, dict) and (name := names.get(str(chosen.get("name")).lower())):
            groups.append(f"{group}={name}")
    return _fill(_fill(values, BEFORE), _compose_groups(*groups))


@cache  # a report needs it for hundreds of runs
def _compose_groups(*groups: str) -> dict[str, Any]:
    """Return the values of these groups without any experiment."""
    plain, _ = compose_values("train", ("~experiment", *groups), compose)
    return plain


def _fill(values: dict[str, Any], defaults: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Add to `values` the keys that only `defaults` have, except in groups of another kind and in OPEN ones."""
    if values.get("name") != defaults.get("name") and prefix not in SAME_KEYS:
        return values
    filled = values | {key: value for key, value in defaults.items() if key not in values}
    for key, value in values.items():
        inner = f"{prefix}{key}."
        if isinstance(value, dict) and isinstance(defaults.get(key), dict) and inner not in OPEN:
            filled[key] = _fill(value, defaults[key], inner)
    return filled
