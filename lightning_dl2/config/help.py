"""Print the help of `train`: groups and keys for --help, a composed configuration for --cfg job."""

import re
from textwrap import fill

import yaml

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.compose import compose
from lightning_dl2.config.conf_files import PRESETS, find_file, options

GROUPS = ("experiment", "data", "task", "optimizer", "trainer", "logger", "callbacks", "debug", "sweep", "launcher")
BASE = re.compile(r"^defaults:\s*[\[-]?\s*(\w+)", re.MULTILINE)  # the file that a file of the same group builds on


def print_help(doc: str) -> int:
    """Print a command's docstring, the groups and the keys; return the exit code."""
    print(doc.strip(), "\n\nGroups, chosen by group=name:\n")
    for group in GROUPS:
        print(_listed(f"  {group:<11} ", options(group)))
    print("\nKeys, with their defaults (--cfg job prints those of a choice):\n")
    _print_keys("# top level", "train")
    for group in (group for group in GROUPS if group not in PRESETS):
        if group == "sweep":
            _print_keys("# top level, with -m", "multirun")
        for file, choices in _families(group).items():
            _print_keys(_listed(f"# {group}=", choices), f"{group}/{file}")
    return 0


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
    return 0
