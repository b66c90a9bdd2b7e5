"""Write the project of a new user: a copy of `project/` in which the word digits is replaced by a name."""

import importlib.util
import keyword
import os
import re
import shutil
import tempfile
from pathlib import Path

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import writing

TEMPLATE, WORD = Path(__file__).parent / "project", "digits"
RESERVED = ("conf", "scripts", "tests")  # folders of a project


def write_project(name: str, parent: Path) -> Path:
    """Write a project into a new directory, all of it or nothing.

    Args:
        name: of the directory, of its Python package and of its experiment.
        parent: directory to write it in.

    Returns:
        The new directory.

    Raises:
        UserError: the name cannot be that of a package, or the directory exists.
        WriteError: the disk does not take it.
    """
    _check(name, parent)
    target = parent / name
    with writing(target):
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".tmp", dir=parent))
        try:
            for file in sorted(path for path in TEMPLATE.rglob("*") if path.is_file()):
                if "__pycache__" not in file.parts:
                    path = temporary / re.sub(rf"\b{WORD}(?=\b|_)", name, str(file.relative_to(TEMPLATE)))
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(_named(file.read_text("utf-8"), name), "utf-8")
            temporary.chmod(0o777 & ~_umask())
            os.rename(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def _named(text: str, name: str) -> str:
    """Replace the word where it is the name of the package or of an experiment, and not English."""
    here = rf"\b{WORD}(?=\.\w|/|_cell|\.yaml|$)|(?<=experiment=){WORD}|(?<=job-name=){WORD}|(?<=^# ){WORD}(?=$)"
    return re.sub(here, name, text, flags=re.MULTILINE)


def _check(name: str, parent: Path) -> None:
    allowed = "allowed: a Python name in lower case, as my_experiment"
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(f"new: {name}: {allowed}")
    if name in RESERVED:
        raise UserError(f"new: {name}: a project has a folder of this name; {allowed}")
    if os.path.lexists(parent / name):
        raise UserError(f"new: {name}: exists here; fix: choose another name, or move it away")
    if importlib.util.find_spec(name) is not None:
        raise UserError(f"new: {name}: an installed module has this name; fix: choose another name")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
