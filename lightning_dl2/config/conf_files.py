"""Find the files under conf/, and describe an error in one of them in one line.

Hydra ignores many errors in a user's own file, or prints a stack trace for them.
"""

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.common.run_files import check_events
from lightning_dl2.common.system import PACKAGE
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema.component import TARGET

BLANK = "own"  # the experiment that sets nothing
FLAGS = ("--config-dir", "-cd")  # as Hydra calls them
VARIABLE = "LIGHTNING_DL2_CONF"  # directories of configuration files of the user's own, separated as in PATH
CONTENT = "a directory with folders such as experiment/, data/ and task/"
PRESETS = ("experiment", "debug")  # groups whose files set keys of other groups
MISSING = "???"  # Hydra's mark of a value that the user must give
HEADER = "# @package _global_"


def package_conf() -> Path:
    """Return the package's own conf/: beside it in a clone, inside it in an installed wheel."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def use_conf_dir(path: str) -> None:
    """Search a directory of the user's own before the others, in this process and in those that it starts.

    Raises:
        UserError: there is no such directory.
    """
    directories = (path, *filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)))
    if not Path(path).is_dir():
        raise UserError(f"--config-dir={path}: there is no such directory; allowed: {CONTENT}")
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys(map(os.path.abspath, directories)))


def take_config_dir(argv: list[str]) -> list[str]:
    """Use the directory of `--config-dir`, and return the other words of a command.

    Raises:
        UserError: no directory follows, or it does not exist.
    """
    words = list(argv)
    for number, word in enumerate(words):
        flag, equals, path = word.partition("=")
        if flag in FLAGS:
            if not equals and not words[number + 1 :]:
                raise UserError(f"{flag}: names no directory; allowed: {flag} DIR")
            use_conf_dir(path if equals else words[number + 1])
            return take_config_dir(words[:number] + words[number + (1 if equals else 2) :])
    if os.environ.get(VARIABLE):  # jobs start in other directories
        os.environ[VARIABLE] = os.pathsep.join(map(str, conf_dirs()[:-1]))
    return words


def conf_dirs() -> tuple[Path, ...]:
    """Return the directories of configuration files in the order of search: the user's own, and the package's.

    Raises:
        UserError: one of the user's does not exist.
    """
    own = os.environ.get(VARIABLE, "")
    return _conf_dirs(own, os.getcwd() if own else "")


@lru_cache
def _conf_dirs(own: str, here: str) -> tuple[Path, ...]:
    directories = [Path(here, each) for each in own.split(os.pathsep) if each]
    for directory in directories:
        if not directory.is_dir():
            raise UserError(f"{VARIABLE}={own}: there is no directory {directory}; allowed: {CONTENT}")
    return (*directories, package_conf())


def is_group(key: str) -> bool:
    """Tell whether a key is a group of files, such as data."""
    return any((directory / key).is_dir() for directory in conf_dirs())


def find_file(name: str) -> Path | None:
    """Return the first file of this name, such as "experiment/mine"; None: there is none."""
    files = (directory / f"{name}.yaml" for directory in conf_dirs())
    return next((file for file in files if file.is_file()), None)


def groups() -> list[str]:
    """List the groups of all directories, the package's first."""
    found = [path.name for directory in conf_dirs()[::-1] for path in sorted(directory.iterdir()) if path.is_dir()]
    return [name for name in dict.fromkeys(found) if not name.startswith((".", "_"))]


def options(group: str) -> list[str]:
    """List the choices of a group, without the bases of families, whose names begin with _."""
    roots = [directory / group for directory in conf_dirs()]
    files = ((path, root) for root in roots for path in root.rglob("[!_]*.yaml") if path.is_file())
    return sorted({str(path.relative_to(root).with_suffix("")) for path, root in files})


@dataclass
class Composition:
    """Components that the files and overrides of a composition name.

    Attributes:
        components: the keys that have a `_target_`, such as "task" and "callbacks.counter".
        replaced: the groups whose own `_target_` takes the place of the file that conf/train.yaml chooses.
        preset: the keys that the files of PRESETS set.
    """

    components: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    preset: set[str] = field(default_factory=set)


def check_files(name: str, chosen: dict[str, str], given: Collection[str]) -> Composition:
    """Read the composed files, and refuse errors that Hydra ignores or fails at.

    Args:
        name: of the main file, without .yaml.
        chosen: the overridden choice of each group.
        given: the overridden keys.

    Raises:
        UserError: names the file, where possible the line, and the problem.
    """
    walk = _Walk(chosen, set(given))
    walk.visit(name, [], set())
    found = walk.found
    for key in given:
        if key.endswith(f".{TARGET}"):
            found.components.add(key.removesuffix(f".{TARGET}"))
    typed = {key.partition(".")[0] for key in given if key.count(".") == 1 and key.endswith(f".{TARGET}")}
    preset = {key.partition(".")[0] for key in found.preset if key.count(".") == 1 and key.endswith(f".{TARGET}")}
    found.replaced = {group for group in typed | (preset - walk.overridden) if group not in chosen and is_group(group)}
    return found


def describe_yaml_error(error: Exception, file: Path | None = None) -> str:
    """Describe an error of a YAML parser in one line: the file, the line, the problem."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Path(mark.name) if mark and file is None else file
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).partition("\n")[0]
    line = f", line {mark.line + 1}" if mark else ""
    return f"{_shown(place) if place else 'conf/'}{line}: is not YAML: {what}; fix: correct it there"


class _Walk:
    """Walk from file to file along their defaults lists."""

    def __init__(self, chosen: dict[str, str], given: set[str]) -> None:
        self.chosen, self.given = chosen, given
        self.found = Composition()
        self.overridden: set[str] = set()  # the groups from which an experiment chooses

    def visit(self, name: str, path: list[str], above: set[str]) -> None:
        """Check the file `name`, such as "experiment/mine", and those in its defaults.

        Args:
            path: the files on the way here.
            above: the keys that these files set, which override this file's.
        """
        file = find_file(name)
        if file is None:  # a choice that does not exist: Hydra reports it
            return
        content = _read(file)
        _check_content(file, name, content)
        prefix = "" if not path or name.partition("/")[0] in PRESETS else f"{name.partition('/')[0]}."
        values = flatten({key: value for key, value in content.items() if key != "defaults"}, prefix)
        is_preset = name.partition("/")[0] in PRESETS
        self.found.preset |= values.keys() if is_preset else set()
        self.found.components |= {key.removesuffix(f".{TARGET}") for key in values if key.endswith(f".{TARGET}")}
        for key, value in values.items():
            if value == MISSING and not _is_set(key, self.given | above):
                raise UserError(f"{key}={MISSING}: {_shown(file)} asks for a value; fix: type {key}=VALUE")
        if path:  # not for the main file, whose values all others override
            above = above | {key for key, value in values.items() if value != MISSING}
        entries = content.get("defaults") or []
        if not isinstance(entries, list):
            raise UserError(f"{_shown(file)}: defaults={entries}: allowed: a list")
        for entry in entries:
            self._follow(entry, file, name, path, above)

    def _follow(self, entry: Any, file: Path, name: str, path: list[str], above: set[str]) -> None:
        group, option = next(iter(entry.items())) if isinstance(entry, dict) and entry else (None, entry)
        if not isinstance(option, str) or "$" in option or option == "_self_":
            return
        words = group.split() if isinstance(group, str) else []
        parent = name.rpartition("/")[0] if group is None else words[-1].lstrip("/")
        if group is None and option.startswith("/"):  # relative to conf/
            parent, _, option = option[1:].rpartition("/")
        if not path and parent in self.chosen:
            option = self.chosen[parent]
        elif "override" in words:
            self.overridden.add(parent)
            if parent in self.chosen:
                return
        # Files in a subfolder of experiments name their defaults from the top folder of experiments.
        target = "/".join(filter(None, (parent.partition("/")[0] if group is None else parent, option.lstrip("/"))))
        if group is None and find_file(target) is None:
            target = "/".join(filter(None, (parent, option)))
        if target in (*path, name):
            raise UserError(f"{_at(file, option)}: the defaults lead back to {target}; fix: take one of them out")
        if find_file(target) is None:
            if path and "optional" not in words:
                if not is_group(parent):
                    raise UserError(f"{_at(file, parent)}: there is no group {parent}; {nearest(parent, groups())}")
                raise UserError(f"{_at(file, option)}: there is no {target}.yaml; {nearest(option, options(parent))}")
            return
        self.visit(target, [*path, name], above)


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{_shown(file)}, line {line}: is not UTF-8; fix: save it as UTF-8") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a number of thousands of digits
        raise UserError(describe_yaml_error(error, file)) from error
    try:
        check_events(text)
    except ValueError as error:  # Hydra would loop over cyclic aliases
        raise UserError(f"{_shown(file)}: {error}; fix: write the values themselves") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{_shown(file)}: holds {type(content).__name__}; allowed: keys with values")
    return content


def _check_content(file: Path, name: str, content: dict[str, Any]) -> None:
    for key, value in _items(content):
        if not isinstance(key, str):
            raise UserError(f"{_shown(file)}: key {key!r}: allowed: a word")
        if isinstance(value, bytes | set):
            raise UserError(f"{_shown(file)}: {key}={value!r}: allowed: text, numbers, true, false, null and lists")
    if "hydra" in content:
        raise UserError(f"{_at(file, 'hydra')}: Hydra's own keys have no effect here; fix: take hydra out")
    if name.partition("/")[0] in PRESETS and set(content) - {"defaults"} and not _has_header(file):
        raise UserError(
            f"{_shown(file)}: its keys have no effect, because its first line is not the header; fix: begin it with"
            f' "{HEADER}"'
        )


def _has_header(file: Path) -> bool:
    """Tell whether the first line names a package: Hydra ignores one that follows another comment."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return re.fullmatch(r"#\s*@package\s+\S+", next(filter(None, lines), "")) is not None


def _items(values: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every key with its value, at any depth."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield key, value
            yield from _items(value)
    elif isinstance(values, list):
        for value in values:
            yield from _items(value)


def _is_set(key: str, keys: set[str]) -> bool:
    """Tell whether `keys` hold this key, or a group of keys that contains it."""
    return any(f"{key}.".startswith(f"{other}.") for other in keys)


def _shown(file: Path) -> str:
    """Write a path as conf/experiment/text.yaml for a file of the package, and as the user would type it for others."""
    if file.is_relative_to(package_conf()):
        return f"conf/{file.relative_to(package_conf())}"
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _at(file: Path, word: str) -> str:
    """Write the file, and the number of the first line that contains a word."""
    lines = file.read_text(encoding="utf-8").splitlines()
    number = next((number for number, line in enumerate(lines, 1) if re.search(rf"\b{re.escape(word)}\b", line)), None)
    return f"{_shown(file)}, line {number}" if number else _shown(file)
