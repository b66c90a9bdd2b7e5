"""Record the user's own code that a run was trained with, and tell where it has changed.

code.json maps each module of the user's packages to the SHA-256 digests of its file: the first is that of the run's
beginning, a further one that of a resume with other code. Installed packages are left out: their versions tell.
"""

import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.common.files import file_digest, write_text
from lightning_dl2.common.run_files import Damaged, read_file
from lightning_dl2.common.system import PACKAGE
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema import Config

NAME = "code.json"


def own_modules(config: Config) -> dict[str, Path]:
    """Map the loaded modules of the packages that `config` names by dotted paths to their files."""
    values = [value for value in flatten(config.model_dump()).values() if isinstance(value, str) and is_dotted(value)]
    packages = {value.partition(".")[0] for value in values if value.rpartition(".")[0] in sys.modules}
    libraries = tuple(f"{path}{os.sep}" for path in (*sysconfig.get_paths().values(), str(PACKAGE)))
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in packages and file and file.endswith(".py") and not file.startswith(libraries):
            found[name] = Path(file)
    return found


class Code:
    """The code of a run.

    Args:
        directory: of the run.
    """

    def __init__(self, directory: Path) -> None:
        self.file = directory / NAME

    def changed(self, config: Config) -> list[str]:
        """Return the modules that differ from those that the run was trained with last."""
        before = self._read()
        return [name for name, digest in _digests(config).items() if name in before and before[name][-1] != digest]

    def note(self, config: Config, then: str) -> str | None:
        """Return one line that names the changed modules; None: there are none.

        Args:
            then: the consequence.
        """
        changed = self.changed(config)
        files = ", ".join(str(own_modules(config)[name]) for name in changed)
        return f"{files}: has changed since the run was begun; {then}" if changed else None

    def write(self, config: Config) -> None:
        """Add the digests of today's code; raises WriteError where the disk is full."""
        kept, now = self._read(), _digests(config)
        for name, digest in now.items():
            former = kept.get(name, [])
            kept[name] = former if former[-1:] == [digest] else [*former, digest]
        if kept:
            write_text(self.file, json.dumps(kept, indent=2, sort_keys=True) + "\n")

    def _read(self) -> dict[str, list[str]]:
        try:
            values: Any = json.loads(read_file(self.file) or b"{}")
            return {name: list(digests) for name, digests in values.items() if digests}
        except (AttributeError, TypeError, ValueError, Damaged):  # it is only for a note
            return {}


def _digests(config: Config) -> dict[str, str]:
    found = {}
    for name, file in own_modules(config).items():
        try:
            found[name] = file_digest(file)
        except OSError:  # deleted since it was imported
            continue
    return found
