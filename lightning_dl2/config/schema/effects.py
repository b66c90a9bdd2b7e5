"""Keys without effect: nobody who sets a key shall believe that it has done something."""

from collections.abc import Callable, Collection
from typing import Any

from lightning_dl2.config.schema import Config
from lightning_dl2.config.schema.effect_rules import RULES, Rule, value_of


def without_effect(config: Config) -> dict[str, Rule]:
    """Find the keys of `config` that have no effect, each with the first rule that says so.

    Keys whose value asks for nothing are not among them.
    """
    found: dict[str, Rule] = {}
    for group in ("data", "task", "optimizer", "trainer", "logger", "callbacks"):
        part = getattr(config, group)
        for rule in RULES:
            if isinstance(part, rule.kind) and not rule.works(config):
                keys = [key for key in rule.names(part) if value_of(part, key) not in rule.off]
                found = {f"{group}.{key}": rule for key in keys} | found
    return found


def refusal(config: Config, typed: dict[str, str]) -> str | None:
    """Return one line that names the keys without effect among those that were typed; None: all have one.

    Args:
        typed: key to its value as it is typed.
    """
    found = {key: rule for key, rule in without_effect(config).items() if key in typed}
    if not found:
        return None
    says = [f"{key}={typed[key]}: {_why(config, rule)}" for key, rule in found.items()]
    fixes = dict.fromkeys(rule.fix for rule in found.values())
    return f"{'; '.join(says)}; fix: {', '.join(fixes)}, or leave {'it' if len(found) == 1 else 'them'} out"


def note(config: Config, defaults: Config, typed: Collection[str], form: Callable[[Any], str]) -> str | None:
    """Return one line that names the values of the files that what was typed has left without effect.

    Args:
        defaults: what the experiment is without what was typed.
        typed: the keys of the words.
        form: writes a value as it is typed.
    """
    before = without_effect(defaults)
    found = {key: rule for key, rule in without_effect(config).items() if rule.off and not rule.quiet}
    found = {key: rule for key, rule in found.items() if key not in before and key not in typed}
    says = [f"{key}={form(value_of(config, key))}: {_why(config, rule)}" for key, rule in found.items()]
    return "; ".join(says) or None


def _why(config: Config, rule: Rule) -> str:
    return f"has no effect with {rule.why.format(**dict(config))}"
