"""What can be set, without a run: --help, the choices of each group and every key with its comment, read from conf/;
--cfg job, the configuration that words come to.
"""

import yaml

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.compose import compose
from lightning_dl2.config.conf_files import conf_dir, options

GROUPS = ("experiment", "data", "task", "optimizer", "trainer", "logger", "callbacks", "debug", "sweep", "launcher")
FILES = (  # that have every key
    "train",
    "data/decimal_palindrome",
    "data/python_docs",
    "data/karate_club",
    "data/minigc",
    "task/sequence_classifier",
    "task/text_generator",
    "task/graph_net",
    "optimizer/adam",
    "trainer/cpu",
    "logger/csv",
    "callbacks/default",
    "multirun",
    "sweep/grid",
    "sweep/random",
    "launcher/local",
    "launcher/submitit",
    "launcher/ray",
)


def print_help(doc: str) -> int:
    """Prints a command's docstring and what can be set; returns the exit code."""
    print(doc.strip(), "\n\nGroups, chosen by group=name:\n")
    for group in GROUPS:
        print(f"  {group:<11} {' | '.join(options(group))}")
    print("\nKeys, with their defaults:\n")
    for name in FILES:
        group, _, option = name.partition("/")
        top = {"train": "# top level", "multirun": "# top level, with -m"}
        print(top[name] if not option else f"# {group}, with {group}={option}")
        text = (conf_dir() / f"{name}.yaml").read_text("utf-8").splitlines()
        print("\n".join(line for line in text if line and not line.startswith(("#", "defaults:", "  - "))), "\n")
    return 0


def print_job(words: list[str]) -> int:
    """Prints the configuration of `words` with `--cfg job` among them; returns the exit code.

    Raises:
        UserError: another word follows --cfg, or the configuration is impossible.
    """
    flag = words.index("--cfg")
    if words[flag + 1 : flag + 2] != ["job"]:
        raise UserError(f"{' '.join(words[flag : flag + 2])}: allowed: --cfg job")
    config = compose(*words[:flag], *words[flag + 2 :])
    print(yaml.safe_dump(config.model_dump(), sort_keys=False), end="")
    return 0
