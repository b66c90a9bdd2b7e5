"""Turn the overrides of a command line into a validated configuration.

Data flow: overrides -> Hydra composes conf/ -> plain values -> schema.Config, or one line that says what is wrong.
"""

from collections.abc import Callable, Iterable
from itertools import filterfalse
from typing import Any, TypeVar

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.config.conf_files import PRESETS, is_group, options
from lightning_dl2.config.find_component import find_components
from lightning_dl2.config.hydra_compose import compose_files
from lightning_dl2.config.messages import describe_hydra_error, describe_schema_error
from lightning_dl2.config.overrides import flatten, format_override, parse_override, quote_override
from lightning_dl2.config.schema import Config, Multirun
from lightning_dl2.config.schema.base import Strict
from lightning_dl2.config.schema.effects import describe_configured, describe_typed, find_ineffective

Model = TypeVar("Model", bound=Strict)


class NoEffect(UserError):
    """Overrides that have no effect, with their `keys`."""

    def __init__(self, message: str, keys: tuple[str, ...]) -> None:
        super().__init__(message)
        self.keys = keys


def compose(*overrides: str, begun: Callable[[Config], bool] = lambda config: False) -> Config:
    """Compose conf/ with `overrides` and validate the result.

    Args:
        overrides: such as "experiment=baum_sweet" or "task.hidden_size=256".
        begun: tells whether a run of a configuration exists. Such a run resumes even with an override without effect,
            which older versions did not refuse.

    Returns:
        The resolved configuration, a frozen pydantic model of plain values.

    Raises:
        UserError: one line that names the key, its value and what is allowed.
        NoEffect: one line that names the overrides that have no effect.
    """
    for override in overrides:
        _check_override(override)
        if override.lstrip("+~").partition("=")[0].partition(".")[0] in Multirun.model_fields:
            raise UserError(f"{override}: is a key of sweeps; fix: add -m")
    config = _compose_run(overrides)
    idle = _find_idle_overrides(overrides, config)
    if (says := describe_typed(config, idle)) and not begun(config):
        raise NoEffect(says, tuple(idle))
    return config


def _compose_run(overrides: tuple[str, ...]) -> Config:
    plain, choices = compose_values("train", overrides, compose)
    if lacking := [group for group in PRESETS if group not in choices]:
        raise UserError(f"conf/train.yaml: its defaults have no {lacking[0]}; fix: add {lacking[0]} to them")
    return validate(plain | {"experiment": choices["experiment"], "debug": choices["debug"] or "none"})


def _find_idle_overrides(overrides: tuple[str, ...], config: Config) -> dict[str, str]:
    """Map the overridden keys without effect to their values as typed, unless the files have the same value."""
    idle = find_ineffective(config)
    keys = [key for key in _typed_keys(overrides) if key in idle] if idle else []
    if not keys:
        return {}
    values = flatten(config.model_dump())
    plain, _ = compose_values("train", tuple(filter(_is_group_choice, overrides)), compose)
    files = flatten(plain)
    return {key: format_override(values[key]) for key in keys if values[key] != files.get(key)}


def _typed_keys(overrides: Iterable[str]) -> list[str]:
    """Return the keys that overrides set, one by one where an override sets a whole group of keys."""
    keys: list[str] = []
    for parsed in map(parse_override, filterfalse(_is_group_choice, overrides)):
        if not parsed.is_delete():
            keys += flatten({parsed.key_or_group: parsed.value()})
    return keys


def _is_group_choice(override: str) -> bool:
    """Tell whether an override chooses from a group of files, or removes the group."""
    return is_group(parse_override(override).key_or_group)


def describe_ineffective(config: Config, overrides: Iterable[str]) -> str | None:
    """Return one line that names the values that have no effect because of the overrides; None: there are none."""
    overrides = tuple(overrides)
    of_older_run = describe_typed(config, _find_idle_overrides(overrides, config))
    defaults = _compose_run((f"experiment={config.experiment}", f"debug={config.debug}"))
    of_files = describe_configured(config, defaults, _typed_keys(overrides), format_override)
    return "; ".join(filter(None, (of_older_run, of_files))) or None


def compose_multirun(*overrides: str) -> Multirun:
    """Compose, like `compose`, the keys that a sweep adds: dry, and those of sweep and launcher."""
    for override in overrides:
        _check_override(override)
    plain, _ = compose_values("multirun", overrides, compose_multirun)
    return validate(plain, Multirun)


def compose_values(
    name: str, overrides: tuple[str, ...], again: Callable[..., Strict]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the plain values of conf/`name`.yaml, and the choice of each group.

    Args:
        again: composes the choices alone, for the list of known keys in an error.

    Raises:
        UserError: the overrides do not fit the files.
    """
    try:
        return compose_files(name, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(describe_hydra_error(error, overrides, again)) from error


def validate(
    values: dict[str, Any],
    schema: type[Model] = Config,  # type: ignore[assignment]  # a default
    *,
    recorded: bool = False,
) -> Model:
    """Check plain values, of a composition or of a run's config.yaml, against the schema.

    Args:
        recorded: whether the values are those of a run. Its own components are checked when they are built, because
            their code need not be here.

    Raises:
        UserError: names the first wrong key.
    """
    if issubclass(schema, Config):
        values = values | find_components(values, recorded=recorded)
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise UserError(describe_schema_error(error, values)) from error


def _check_override(override: str) -> None:
    """Raise UserError for an override that Hydra's grammar or a single run does not allow."""
    parsed = parse_override(override)
    key = parsed.key_or_group
    if parsed.is_sweep_override():
        raise UserError(
            f"{override}: a command trains one run; allowed: one value, in quotes if it has commas, as in"
            f" {quote_override(*override.split('=', 1))}, or several runs with -m"
        )
    if is_group(key):
        name, names = parsed.value(), options(key)
        if key == "logger" and isinstance(name, list) and name and override[0] not in "+~":
            for each in name:
                if each not in names:
                    raise UserError(f"{override}: {each}: {nearest(str(each), names)}")
            return
        if not isinstance(name, str) or override[0] in "+~":
            raise UserError(f"{override}: is a group, chosen by {key}=NAME; allowed: {', '.join(names)}")
        if name not in names:  # Hydra would accept /NAME and ../GROUP/NAME, too
            raise UserError(f"{key}={name}: {nearest(name, names)}")
