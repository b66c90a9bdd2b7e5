"""Print the help of `train`: groups and keys for --help, a composed configuration for --cfg job."""

import json
import re
from collections.abc import Iterator
from textwrap import fill

import yaml

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.component import argument_names, complete_arguments, describe_arguments, find_target
from lightning_dl2.config.compose import compose
from lightning_dl2.config.conf_files import PRESETS, conf_dirs, find_file, groups, options
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema import Config
from lightning_dl2.config.schema.component import TARGET

# In this order; a user's own groups follow.
GROUPS = ("experiment", "data", "task", "optimizer", "trainer", "logger", "callbacks", "debug", "sweep", "launcher")
BASE = re.compile(r"^defaults:\s*[\[-]?\s*(\w+)", re.MULTILINE)  # the file that a file of the same group builds on


def print_help(doc: str) -> int:
    """Print a command's docstring, the groups and the keys; return the exit code."""
    print(doc.strip(), "\n\nGroups, chosen by group=name:\n")
    own = [group for group in groups() if group not in GROUPS and options(group)]
    for group in (*GROUPS, *own):
        print(_listed(f"  {group:<11} ", options(group)))
    print("\nKeys, with their defaults (--cfg job prints those of a choice):\n")
    _print_keys("# top level", "train")
    for group in (group for group in GROUPS if group not in PRESETS):
        if group == "sweep":
            _print_keys("# top level, with -m", "multirun")
        for file, choices in _families(group).items():
            _print_keys(_listed(f"# {group}=", choices), f"{group}/{file}")
    for name, key, path in _own_components():
        _print_component(name, key, path)
    return 0


def _own_components() -> Iterator[tuple[str, str, str]]:
    """Yield the components that a user's files name: the file, the key and the dotted path."""
    for directory in conf_dirs()[:-1]:
        for file in sorted(directory.rglob("*.yaml")):
            name = str(file.relative_to(directory).with_suffix(""))
            group = name.partition("/")[0]
            try:
                content = yaml.safe_load(file.read_text("utf-8"))
            except (OSError, ValueError, yaml.YAMLError):  # composing it says what is wrong
                continue
            values = flatten(content if isinstance(content, dict) else {})
            for key in [key for key in values if key == TARGET or key.endswith(f".{TARGET}")]:
                here = key.removesuffix(TARGET).removesuffix(".")
                full = here if group in PRESETS else ".".join(filter(None, (group, here)))
                yield name, full, str(values[key])


def _print_component(name: str, key: str, path: str) -> None:
    """Print the keys of a component with their defaults and the texts of its docstring."""
    print(f"# {name}.yaml: {key} is {path}")
    try:
        values, target = complete_arguments(key, {TARGET: path}), find_target(key, {TARGET: path})
    except UserError as error:
        print(f"# {error}\n")
        return
    texts = describe_arguments(target)
    for argument in argument_names(target):
        default = f": {json.dumps(values[argument])}" if argument in values else ": ???"
        print(f"{argument}{default}" + (f" # {texts[argument]}" if argument in texts else ""))
    print()


def print_components(config: Config) -> None:
    """Print, as comments, what the docstrings say of the keys of own components."""
    for group in ("data", "task"):
        values = config.model_dump()[group]
        if TARGET in values:
            texts = describe_arguments(find_target(group, values))
            for name in [name for name in values if name in texts]:
                print(f"# {group}.{name}: {texts[name]}")


def _listed(title: str, choices: list[str]) -> str:
    lines = fill("\xa0| ".join(choices), 80, initial_indent=title, subsequent_indent=title[0].ljust(len(title)))
    return lines.replace("\xa0", " ")


def _print_keys(title: str, name: str) -> None:
    lines = (line for line in _read(name).splitlines() if not line.startswith(("#", "defaults:", "  - ")))
    print(title, *filter(None, lines), "", sep="\n")


def _families(group: str) -> dict[str, list[str]]:
    """Map each file that introduces keys of `group` to the choices that have them."""
    families: dict[str, list[str]] = {}
    for choice in options(group):
        files = [choice]
        while (base := BASE.search(_read(f"{group}/{files[-1]}"))) and base[1] not in files:
            files.append(base[1])
        for file in [file for file in files if file.startswith("_")] or files[-1:]:
            families.setdefault(file, []).append(choice)
    return families


def _read(name: str) -> str:
    file = find_file(name)
    return file.read_text("utf-8", errors="replace") if file else ""


def print_job(argv: list[str]) -> int:
    """Print the configuration of a command line that contains `--cfg job`; return the exit code.

    Raises:
        UserError: --cfg is not followed by job, or the configuration is impossible.
    """
    flag = argv.index("--cfg")
    if argv[flag + 1 : flag + 2] != ["job"]:
        raise UserError(f"{' '.join(argv[flag : flag + 2])}: allowed: --cfg job")
    config = compose(*argv[:flag], *argv[flag + 2 :])
    print(yaml.safe_dump(config.model_dump(), sort_keys=False), end="")
    print_components(config)
    return 0
