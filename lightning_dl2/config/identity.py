"""Define the identity of a run: two configurations with the same identity and seed train the same run."""

import json
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from lightning_dl2.config.compose import compose
from lightning_dl2.config.conf_files import BLANK, conf_dirs, find_file
from lightning_dl2.config.messages import OPEN
from lightning_dl2.config.overrides import flatten, format_override
from lightning_dl2.config.schema import Config
from lightning_dl2.config.schema.component import TARGET

# Keys that change neither the learnt function nor the metrics on the way, so that they make no other run. The seed
# makes another run, but has a level of its own in the tree of runs.
NOT_IDENTITY = (
    "root", "resume", "logger", "data.cache_dir", "data.num_workers", "data.linear_baseline",
    "callbacks.progress_bar", "callbacks.curves", "callbacks.samples", "callbacks.gradient_flow",
    "callbacks.checkpoint.every_n_steps",
    "trainer.flush_denormal", "trainer.max_steps", "trainer.max_epochs", "trainer.max_time", "trainer.profiler",
    "trainer.detect_anomaly",
)  # fmt: skip


def identity(config: Config) -> dict[str, Any]:
    """Return the values that determine the learnt function, as a flat dict."""
    return select_identity(config.model_dump())


def select_identity(values: dict[str, Any]) -> dict[str, Any]:
    """Return the same of the unchecked values of a config.yaml, which may be of an older version."""
    return {
        key: value
        for key, value in flatten(values).items()
        if key != "seed" and not is_irrelevant_to_result(key) and value != {}
    }


@cache  # a sweep asks for the same hundred keys ten thousand times
def is_irrelevant_to_result(key: str) -> bool:
    """Tell whether a key, or group of keys, makes no other run."""
    return any(key == name or key.startswith(f"{name}.") for name in NOT_IDENTITY)


def changed_choices(config: Config) -> dict[str, Any]:
    """Return the part of `identity` that differs from the experiment's defaults; a debug preset counts as one key."""
    defaults = _experiment_defaults(config) | {"debug": "none"}
    mine = _fold(identity(config), defaults)
    defaults = _fold(defaults, mine)
    # The keys of a class make no sense for another one, whose dotted path differs.
    replaced = [group for group in ("data", "task") if mine.get(key := f"{group}.{TARGET}") != defaults.get(key)]
    keys = [key for key in sorted(mine | defaults) if key in mine or key.partition(".")[0] not in replaced]
    return {key: mine.get(key) for key in keys if mine.get(key) != defaults.get(key)}


def _fold(values: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Make one value of each mapping in `values` in whose place `other` has a single value, such as a name."""
    for key in sorted(other.keys() - values.keys()):
        inner = {name.removeprefix(f"{key}."): values[name] for name in values if name.startswith(f"{key}.")}
        if inner:
            values = {name: value for name, value in values.items() if not name.startswith(f"{key}.")} | {key: inner}
    return values


def _experiment_defaults(config: Config) -> dict[str, Any]:
    named = config.experiment if find_file(f"experiment/{config.experiment}") else BLANK  # a script's, without a file
    return _defaults(named, config.debug, conf_dirs())


@cache  # Hydra takes a fifth of a second, and conf/ does not change
def _defaults(experiment: str, debug: str, directories: tuple[Path, ...]) -> dict[str, Any]:
    return identity(compose(f"experiment={experiment}", f"debug={debug}"))


def find_differing_keys(chosen: Iterable[dict[str, Any]]) -> list[str]:
    """Return the keys whose values differ between runs, in order; a key that a run lacks counts as null."""
    chosen = list(chosen)
    # Not sets of the values themselves: lists among them cannot be hashed.
    return [
        key
        for key in sorted({key for choices in chosen for key in choices})
        if len({format_override(choices.get(key)) for choices in chosen}) > 1
    ]


def to_overrides(config: Config) -> list[str]:
    """Return the overrides that give `config`, without those of NOT_IDENTITY."""
    typed_choices = {key: format_override(value) for key, value in changed_choices(config).items()}
    defaults = _experiment_defaults(config)
    new = {key for key in typed_choices if key.startswith(OPEN) and key not in defaults}
    return [f"experiment={config.experiment}", f"seed={config.seed}"] + [
        f"{'+' * (key in new)}{key}={value}" for key, value in typed_choices.items()
    ]


def digest(values: dict[str, Any]) -> str:
    """Hash `values` to eight hexadecimal digits."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def config_hash(config: Config) -> str:
    """Hash identity and seed: equal exactly for configurations that train the same run."""
    return digest(identity(config) | {"seed": config.seed})
