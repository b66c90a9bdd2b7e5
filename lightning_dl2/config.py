"""From words on the command line to a validated configuration. The one file that knows Hydra.

The data's way: words -> Hydra composes conf/ -> plain values -> schema.Config, or one line that says what is wrong.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from pydantic import ValidationError

from lightning_dl2.cli import UserError, nearest
from lightning_dl2.schema import Config

# What changes neither the learnt function nor the metrics on the way, and so does not make another run.
NOT_IDENTITY = (
    "seed",  # a level of its own in the tree
    "root",
    "resume",
    "logger",
    "callbacks.progress_bar",
    "callbacks.curves",
    "callbacks.checkpoint.every_n_steps",
    "trainer.max_steps",
    "trainer.max_epochs",
    "trainer.max_time",
    "trainer.profiler",
)


def conf_dir() -> Path:
    """conf/ beside the package in a clone, inside it in an installed wheel."""
    package = Path(__file__).parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def compose(*overrides: str) -> Config:
    """Composes conf/ with `overrides` and validates the result.

    Args:
        overrides: words as on the command line, such as "experiment=baum_sweet" or "task.hidden_size=256".

    Returns:
        The resolved configuration, a frozen pydantic model of plain values.

    Raises:
        UserError: one line that names the key, its value and what is allowed.
    """
    for word in overrides:
        if "=" not in word and not word.startswith("~"):
            raise UserError(f"{word}: is not of the form key=value")
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir().resolve()), version_base="1.3"):
            composed = hydra_compose("train", overrides=list(overrides), return_hydra_config=True)
            choices = composed.hydra.runtime.choices
            values = {key: composed[key] for key in composed if key != "hydra"}
            plain = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_hydra_message(error, overrides)) from error
    plain |= {"experiment": choices["experiment"], "debug": choices["debug"] or "none"}
    return validate(plain)


def validate(values: dict[str, Any]) -> Config:
    """Checks plain values (of a composition or of a run's config.yaml) against the schema.

    Raises:
        UserError: names the first wrong key.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise UserError(_pydantic_message(error, values)) from error


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def identity(config: Config) -> dict[str, Any]:
    """The choices that decide what is learnt, as a flat dict."""

    def decides(key: str) -> bool:
        return not any(key == name or key.startswith(f"{name}.") for name in NOT_IDENTITY)

    return {key: value for key, value in flatten(config.model_dump()).items() if decides(key)}


def choices(config: Config) -> dict[str, Any]:
    """The part of `identity` that differs from the experiment's defaults."""
    defaults = identity(compose(f"experiment={config.experiment}"))
    mine = identity(config)
    return {key: mine.get(key) for key in sorted(mine | defaults) if mine.get(key) != defaults.get(key)}


def digest(values: dict[str, Any]) -> str:
    """Eight hexadecimal digits that stand for `values`."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def config_hash(config: Config) -> str:
    """Equal for two configurations exactly when they train the same run, seed included."""
    return digest(identity(config) | {"seed": config.seed})


def _hydra_message(error: Exception, overrides: tuple[str, ...]) -> str:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        for word in overrides:  # experiment=course/x splits at its last slash: the group is what was typed
            key, _, value = word.partition("=")
            if f"{group}/{name}" == f"{key}/{value}":
                group, name = key, value
        return f"{group}={name}: {nearest(name, _options(group))}"
    cause = error.__cause__
    if isinstance(error, ConfigCompositionException) and isinstance(cause, (ConfigKeyError, AttributeError)):
        key = getattr(cause, "full_key", None) or str(error).split("'")[1]
        return _unknown_key(key, overrides)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__


def _options(group: str) -> list[str]:
    root = conf_dir() / group
    return sorted(str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml"))


def _unknown_key(key: str, overrides: tuple[str, ...]) -> str:
    typed = next((word for word in overrides if word.lstrip("+~").partition("=")[0] == key), key)
    return f"{typed}: there is no key {key}; {_nearest_key(key)}"


def _nearest_key(key: str) -> str:
    """Names the keys that stand where `key` was looked for."""
    parent, _, name = key.rpartition(".")
    known = [full[len(parent) + bool(parent) :].split(".")[0] for full in _known_keys() if full.startswith(parent)]
    return nearest(name, sorted(set(filter(None, known))) or sorted(Config.model_fields))


def _known_keys() -> list[str]:
    return list(flatten(compose().model_dump()))


def _pydantic_message(error: ValidationError, values: dict[str, Any]) -> str:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if "[" not in str(part)]
    # A choice of types adds the type's name to the path of the key: keep what leads to a value.
    key, here = [], values
    for part in path:
        if not isinstance(here, dict) or (part not in here and first["type"] != "missing"):
            break
        key.append(part)
        here = here.get(part)
    name = ".".join(key)
    if first["type"] == "extra_forbidden":
        return f"{name}={here}: there is no key {name}; {_nearest_key(name)}"
    if first["type"] == "value_error":  # written in schema.py: begins with the key and the value
        return f"{name}.{first['ctx']['error']}"
    same_key = [e for e in error.errors() if [str(p) for p in e["loc"]][: len(key)] == key]
    says = " or ".join(dict.fromkeys(e["msg"].removeprefix("Input should be ") for e in same_key))
    return f"{name}={json.dumps(here)}: allowed: {says}"
