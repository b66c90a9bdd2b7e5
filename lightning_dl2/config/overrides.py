"""Read and write overrides `key=value` by the grammar of Hydra."""

import json
import re
import shlex
from functools import lru_cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema import Config

SHOWN = 80  # characters of an override in an error


def format_override(value: Any) -> str:
    """Write a plain value as a user types it on the command line."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{format_override(each)}" for key, each in value.items()) + "}"
    if not isinstance(value, str):
        return json.dumps(value, separators=(",", ":"))
    if re.fullmatch(r"[\w./-]+", value, re.ASCII) and not _reads_as_other_type(value):
        return value
    # Hydra reads a backslash literally, except before a quote and before ${, where two backslashes mean one.
    return "'" + re.sub(r"(\\*)('|\$\{|\Z)", lambda at: at[1] * 2 + (f"\\{at[2]}" if at[2] else ""), value) + "'"


def _reads_as_other_type(value: str) -> bool:
    """Tell whether Hydra would read a text as a number, a truth value or null."""
    try:
        float(value)
    except ValueError:
        return value.lower() in ("true", "false", "null")
    return True


def quote_override(key: str, value: str) -> str:
    """Write key=value with quotes around the value for Hydra, and quotes around all of it for the shell."""
    word = f"{key}={format_override(value) if format_override(value) != value else repr(value)}"
    return shlex.quote(word) if set(word) & set('"$`!') or "\\\\" in word else f'"{word}"'


@lru_cache(4096)  # Hydra's parser takes milliseconds
def parse_override(override: str) -> Override:
    """Parse an override by Hydra's grammar.

    Raises:
        UserError: it is not of the form key=value, or the key is one of Hydra's own.
    """
    key, equals, value = override.partition("=")
    if not re.fullmatch(r"\+{0,2}~?[A-Za-z_][\w./@-]*", key) or (not equals and key[0] != "~"):
        raise UserError(f"{override}: is not of the form key=value")
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException as error:
        raise UserError(
            f"{override}: cannot be read; allowed: the value in quotes, as in {quote_override(key, value)}"
        ) from error
    except ValueError as error:  # a number with thousands of digits
        raise UserError(f"{override[:SHOWN]}...: cannot be read: {error}") from error
    if parsed.key_or_group.partition(".")[0] == "hydra":
        raise UserError(f"{override}: Hydra's own keys have no effect here; allowed: {', '.join(Config.model_fields)}")
    return parsed


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts: {"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
