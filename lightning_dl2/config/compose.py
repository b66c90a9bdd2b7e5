"""From words on the command line to a validated configuration.

The data's way: words -> Hydra composes conf/ -> plain values -> schema.Config, or one line that says what is wrong.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.config.conf_files import PRESETS, conf_dir, options
from lightning_dl2.config.hydra_compose import compose_files
from lightning_dl2.config.messages import describe_hydra_error, describe_schema_error
from lightning_dl2.config.overrides import flatten, format_override, parse_override, quote_override
from lightning_dl2.config.schema import Config, Multirun
from lightning_dl2.config.schema.base import Strict
from lightning_dl2.config.schema.effects import note, refusal, without_effect

Model = TypeVar("Model", bound=Strict)


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
    plain, choices = compose_values("train", overrides, compose)
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
    plain, _ = compose_values("train", tuple(word for word in overrides if _is_choice(word)), compose)
    files = flatten(plain)
    return {key: format_override(values[key]) for key in keys if values[key] != files.get(key)}


def _typed_keys(overrides: Iterable[str]) -> list[str]:
    """Return the keys that words set; of a group of keys that one word sets, each."""
    keys: list[str] = []
    for parsed in map(parse_override, (word for word in overrides if not _is_choice(word))):
        if not parsed.is_delete():
            keys += flatten({parsed.key_or_group: parsed.value()})
    return keys


def _is_choice(word: str) -> bool:
    """Tell whether a word chooses of a group, or takes one away."""
    return (conf_dir() / parse_override(word).key_or_group).is_dir()


def describe_ineffective(config: Config, overrides: Iterable[str]) -> str | None:
    """One line that names what the words have left without effect; None: there is nothing."""
    words = list(overrides)
    begun_with = refusal(config, _without_use(tuple(words), config))  # of a run that goes on though it has such keys
    defaults = _validated((f"experiment={config.experiment}", f"debug={config.debug}"))
    return "; ".join(filter(None, (begun_with, note(config, defaults, _typed_keys(words), format_override)))) or None


def compose_multirun(*overrides: str) -> Multirun:
    """Like `compose`, for the keys that a sweep adds: dry, and those of sweep and launcher."""
    for word in overrides:
        _check_word(word)
    plain, _ = compose_values("multirun", overrides, compose_multirun)
    return validate(plain, Multirun)


def compose_values(
    name: str, overrides: tuple[str, ...], again: Callable[..., Strict]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plain values of conf/`name`.yaml, and what was chosen of each group; `again` tells which keys there are."""
    try:
        return compose_files(name, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(describe_hydra_error(error, overrides, again)) from error


def validate(values: dict[str, Any], schema: type[Model] = Config) -> Model:  # type: ignore[assignment]  # a default
    """Checks plain values (of a composition or of a run's config.yaml) against the schema.

    Raises:
        UserError: names the first wrong key.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise UserError(describe_schema_error(error, values)) from error


def _check_word(word: str) -> None:
    """What Hydra's grammar allows, but one run does not; and what it does not allow, in our words."""
    parsed = parse_override(word)
    key = parsed.key_or_group
    if parsed.is_sweep_override():
        raise UserError(
            f"{word}: a command trains one run; allowed: one value, where it has commas in quotes, as in"
            f" {quote_override(*word.split('=', 1))}, or with -m many runs"
        )
    if (conf_dir() / key).is_dir():
        name, names = parsed.value(), options(key)
        if not isinstance(name, str) or word[0] in "+~":
            raise UserError(f"{word}: is a group, chosen by {key}=NAME; allowed: {', '.join(names)}")
        if name not in names:  # Hydra would take /NAME and ../GROUP/NAME, too
            raise UserError(f"{key}={name}: {nearest(name, names)}")
