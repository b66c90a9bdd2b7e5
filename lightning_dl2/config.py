"""From words on the command line to a validated configuration.

The data's way: words -> Hydra composes conf/ -> plain values -> schema.Config, or one line that says what is wrong.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable
from functools import cache
from typing import Any, TypeVar

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf.errors import ConfigKeyError, InterpolationResolutionError, OmegaConfBaseException
from pydantic import ValidationError

from lightning_dl2.cli import UserError, nearest
from lightning_dl2.composition import as_word, compose_files, parse, typed
from lightning_dl2.conf_files import PRESETS, conf_dir, options
from lightning_dl2.schema import Config, Multirun
from lightning_dl2.schema.base import PATTERNS, Strict
from lightning_dl2.schema.effects import note, refusal, without_effect

Model = TypeVar("Model", bound=Strict)

# Groups of keys that the user names.
OPEN = ("optimizer.arguments.", "optimizer.weight_decay_of.", "launcher.parameters.")

# Where pydantic's own words would not help, by its type of error.
ALLOWED = {
    "string_too_short": "a word",
    "model_type": "a group of keys",
    "model_attributes_type": "a group of keys",
    "int_from_float": "an integer",
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "text",
}


# Keys that have come later, and whose value in the group is not how things were before.
BEFORE = {"trainer": {"flush_denormal": False}}


class NoEffect(UserError):
    """Words have no effect.

    Attributes:
        keys: of these words.
    """

    def __init__(self, message: str, keys: tuple[str, ...]) -> None:
        super().__init__(message)
        self.keys = keys


def compose(*overrides: str, begun: Callable[[Config], bool] = lambda config: False) -> Config:
    """Compose conf/ with `overrides` and validate the result.

    Args:
        overrides: words as on the command line, such as "experiment=baum_sweet" or "task.hidden_size=256".
        begun: whether there is a run of a configuration already. Such a run goes on, though a word may have no effect:
            older versions did not refuse it.

    Returns:
        The resolved configuration, a frozen pydantic model of plain values.

    Raises:
        UserError: one line that names the key, its value and what is allowed.
        NoEffect: one line that names the words that have no effect.
    """
    for word in overrides:
        _check_word(word)
        if word.lstrip("+~").partition("=")[0].partition(".")[0] in Multirun.model_fields:
            raise UserError(f"{word}: is a key of sweeps; allowed together with -m")
    config = _validated(overrides)
    idle = _without_use(overrides, config)
    if (says := refusal(config, idle)) and not begun(config):
        raise NoEffect(says, tuple(idle))
    return config


def _validated(overrides: tuple[str, ...]) -> Config:
    plain, choices = _compose("train", overrides, compose)
    if lacking := [group for group in PRESETS if group not in choices]:
        raise UserError(f"conf/train.yaml: its defaults have no {lacking[0]}; fix: add {lacking[0]} to them")
    return validate(plain | {"experiment": choices["experiment"], "debug": choices["debug"] or "none"})


def _without_use(overrides: tuple[str, ...], config: Config) -> dict[str, str]:
    """Return the typed keys without effect, with their values as typed, unless the files say the same."""
    idle = without_effect(config)
    keys = [key for key in _typed_keys(overrides) if key in idle] if idle else []
    if not keys:
        return {}
    values = flatten(config.model_dump())
    plain, _ = _compose("train", tuple(word for word in overrides if _is_choice(word)), compose)
    files = flatten(plain)
    return {key: typed(values[key]) for key in keys if values[key] != files.get(key)}


def _typed_keys(overrides: Iterable[str]) -> list[str]:
    """Return the keys that words set; of a group of keys that one word sets, each."""
    keys: list[str] = []
    for parsed in map(parse, (word for word in overrides if not _is_choice(word))):
        if not parsed.is_delete():
            keys += flatten({parsed.key_or_group: parsed.value()})
    return keys


def _is_choice(word: str) -> bool:
    """Tell whether a word chooses of a group, or takes one away."""
    return (conf_dir() / parse(word).key_or_group).is_dir()


def ineffective(config: Config, overrides: Iterable[str]) -> str | None:
    """One line that names what the words have left without effect; None: there is nothing."""
    words = list(overrides)
    begun_with = refusal(config, _without_use(tuple(words), config))  # of a run that goes on though it has such keys
    defaults = _validated((f"experiment={config.experiment}", f"debug={config.debug}"))
    return "; ".join(filter(None, (begun_with, note(config, defaults, _typed_keys(words), typed)))) or None


def compose_multirun(*overrides: str) -> Multirun:
    """Like `compose`, for the keys that a sweep adds: dry, and those of sweep and launcher."""
    for word in overrides:
        _check_word(word)
    plain, _ = _compose("multirun", overrides, compose_multirun)
    return validate(plain, Multirun)


def _compose(
    name: str, overrides: tuple[str, ...], again: Callable[..., Strict]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plain values of conf/`name`.yaml, and what was chosen of each group; `again` tells which keys there are."""
    try:
        return compose_files(name, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_hydra_message(error, overrides, again)) from error


def validate(values: dict[str, Any], schema: type[Model] = Config) -> Model:
    """Checks plain values (of a composition or of a run's config.yaml) against the schema.

    Raises:
        UserError: names the first wrong key.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise UserError(_pydantic_message(error, values)) from error


def restore(values: dict[str, Any]) -> tuple[Config, dict[str, Any]]:
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
        filled = completed(values)
        before = flatten(values)
        return validate(filled), {key: value for key, value in flatten(filled).items() if key not in before}


def completed(values: dict[str, Any]) -> dict[str, Any]:
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
    plain, _ = _compose("train", ("~experiment", *groups), compose)
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


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _check_word(word: str) -> None:
    """What Hydra's grammar allows, but one run does not; and what it does not allow, in our words."""
    parsed = parse(word)
    key = parsed.key_or_group
    if parsed.is_sweep_override():
        raise UserError(
            f"{word}: a command trains one run; allowed: one value, where it has commas in quotes, as in"
            f" {as_word(*word.split('=', 1))}, or with -m many runs"
        )
    if (conf_dir() / key).is_dir():
        name, names = parsed.value(), options(key)
        if not isinstance(name, str) or word[0] in "+~":
            raise UserError(f"{word}: is a group, chosen by {key}=NAME; allowed: {', '.join(names)}")
        if name not in names:  # Hydra would take /NAME and ../GROUP/NAME, too
            raise UserError(f"{key}={name}: {nearest(name, names)}")


def _hydra_message(error: Exception, overrides: tuple[str, ...], again: Callable[..., Strict]) -> str:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={name}: {nearest(name, options(group))}"
    cause = error.__cause__
    if isinstance(error, ConfigCompositionException) and isinstance(cause, (ConfigKeyError, AttributeError)):
        key = getattr(cause, "full_key", None) or str(error).split("'")[1]
        return _unknown_key(key, overrides, again)
    if found := re.search(r"Either remove \+ prefix: '(.*)'", str(error)):
        return f"+{found[1]}: the key exists; write {found[1]}"
    if isinstance(error, InterpolationResolutionError):
        return f"{error.full_key}: {str(error).splitlines()[0]}"
    told = str(error) if str(error).strip() else str(cause or "")
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__


def _unknown_key(key: str, overrides: tuple[str, ...], again: Callable[..., Strict]) -> str:
    if key.startswith(OPEN):
        typed = next((word for word in overrides if word.partition("=")[0] == key), f"{key}=VALUE")
        return f"{key}: is not set yet; write +{typed}"
    typed = next((word for word in overrides if word.lstrip("+~").partition("=")[0] == key), key)
    groups = [word for word in overrides if (conf_dir() / word.partition("=")[0]).is_dir()]
    return f"{typed}: there is no key {key}; {_nearest_key(key, flatten(again(*groups).model_dump()))}"


def _nearest_key(key: str, known_keys: Collection[str]) -> str:
    """Names the keys that stand where `key` was looked for."""
    parent, _, name = key.rpartition(".")
    prefix = parent and f"{parent}."
    known = {full.removeprefix(prefix).split(".")[0] for full in known_keys if full.startswith(prefix)}
    return nearest(name, sorted(known or {full.partition(".")[0] for full in known_keys}))


def _allowed(error: Any) -> str:
    """What one of pydantic's errors says to be allowed."""
    if error["type"] == "string_pattern_mismatch":
        return PATTERNS[error["ctx"]["pattern"]]
    return ALLOWED.get(error["type"], error["msg"].removeprefix("Input should be "))


def _path(error: Any, values: dict[str, Any]) -> list[str]:
    """Where pydantic found an error, without the name that chose among several groups of keys, such as data's."""
    path = [str(part) for part in error["loc"] if "[" not in str(part)]
    group = values.get(path[0]) if path else None
    if len(path) > 1 and isinstance(group, dict) and path[1] not in group and path[1] in _tags(group):
        del path[1]
    return path


def _tags(group: dict[str, Any]) -> tuple[Any, Any]:
    """What chooses the type of a group: data.name, sweep.method."""
    return group.get("name"), group.get("method")


def _pydantic_message(error: ValidationError, values: dict[str, Any]) -> str:
    first = error.errors()[0]
    # A choice of types adds the type's name to the path of the key: keep what leads to a value.
    key, here = [], values
    for part in _path(first, values):
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
    if first["type"] == "value_error":  # written in schema.py: begins with the key and the value
        return f"{name}.{first['ctx']['error']}".lstrip(".")
    if first["type"] == "missing":
        return f"{name}: is missing"
    if first["type"] == "string_type" and isinstance(here, bool | int | float):
        word = json.dumps(here)
        return f"{name}={word}: is no text without quotes; fix: \"{name}='{word}'\" if that is what is meant"
    same_key = [e for e in error.errors() if _path(e, values)[: len(key)] == key]
    says = " or ".join(dict.fromkeys(map(_allowed, same_key)))
    return f"{name}={json.dumps(here, ensure_ascii=False)}: allowed: {says}"
