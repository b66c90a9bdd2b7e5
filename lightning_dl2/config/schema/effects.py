"""Find the keys that have no effect, so that a user never believes that one has."""

from collections.abc import Callable, Collection
from typing import Any

from lightning_dl2.config.schema import Config
from lightning_dl2.config.schema.effect_rules import TRAINING, Rule, value_of


def find_ineffective(config: Config) -> dict[str, Rule]:
    """Map each key of `config` that has no effect to the first rule that says so.

    Keys whose value asks for nothing are left out.
    """
    found: dict[str, Rule] = {}
    rules = (*config.data.effect_rules(), *config.task.effect_rules(), *TRAINING)
    for group in ("data", "task", "optimizer", "trainer", "logger", "callbacks"):
        part = getattr(config, group)
        for rule in rules:
            if isinstance(part, rule.kind) and not rule.works(config):
                keys = [key for key in rule.names(part) if value_of(part, key) not in rule.off]
                found = {f"{group}.{key}": rule for key in keys} | found
    return found


def describe_typed(config: Config, typed: dict[str, str]) -> str | None:
    """Return one line that names the typed keys without effect; None: all have one.

    Args:
        typed: the overridden keys with their values as typed.
    """
    found = {key: rule for key, rule in find_ineffective(config).items() if key in typed}
    if not found:
        return None
    says = [f"{key}={typed[key]}: {_why(config, rule)}" for key, rule in found.items()]
    fixes = dict.fromkeys(rule.fix for rule in found.values())
    return f"{'; '.join(says)}; fix: {', '.join(fixes)}, or leave {'it' if len(found) == 1 else 'them'} out"


def describe_configured(
    config: Config, defaults: Config, typed: Collection[str], form: Callable[[Any], str]
) -> str | None:
    """Return one line that names the values of the files that have no effect because of the overrides.

    Args:
        defaults: the experiment without the overrides.
        typed: the overridden keys.
        form: writes a value as a user types it.
    """
    before = find_ineffective(defaults)
    found = {key: rule for key, rule in find_ineffective(config).items() if rule.off and not rule.quiet}
    found = {key: rule for key, rule in found.items() if key not in before and key not in typed}
    says = [f"{key}={form(value_of(config, key))}: {_why(config, rule)}" for key, rule in found.items()]
    return "; ".join(says) or None


def _why(config: Config, rule: Rule) -> str:
    return f"has no effect with {rule.why.format(**dict(config))}"
