"""Decide where the figures of a run go: a directory that names the run, which no other run's figures replace."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from lightning_dl2.common.arguments import Arguments
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import write_text
from lightning_dl2.common.paths import out_directory
from lightning_dl2.config.schema import Config
from lightning_dl2.run.directory import Run

PARTS = ("checkpoint", "layer", "direction")  # keys that choose what of a run is shown
SOURCES = "runs.txt"  # in the directory: the runs that its figures are of


def run_name(config: Config) -> str:
    """Return EXPERIMENT/VARIANT/seed=N of a run's configuration, wherever the run stands."""
    return str(Run.of(config).path.relative_to(config.root))


def place(out: Path, runs: list[Run], arguments: Arguments) -> Path:
    """Return the directory for the figures of one run, or of several in one figure.

    Args:
        out: of the analysis.
        arguments: of the command; those in PARTS that are not the default's are a part of the name.

    Raises:
        UserError: the configuration of a run cannot be read.
    """
    names = [run_name(run.config(tell=False)) for run in runs]  # the analysis tells, with a Run of its own
    name = names[0] if len(names) == 1 else f"{len(names)}_runs-{_digest(runs)}"
    shown = [f"{key}={value}" for key, value in arguments.changed(*PARTS).items()]
    # A checkpoint may be a file's path, which is no part of a name.
    return out / ",".join([name, *(re.sub(r"[^A-Za-z0-9=._-]+", "_", word)[-80:] for word in shown)])


@contextmanager
def occupied(path: Path, runs: list[Run]) -> Iterator[None]:
    """Let the block write into `path` the figures of `runs`.

    Raises:
        UserError: there are figures of other runs, or the directory cannot be written.
    """
    mine = _told(runs)
    source = path / SOURCES
    if source.exists() and (theirs := source.read_text("utf-8", "surrogateescape")) != mine:
        raise UserError(
            f"out={path}: holds the figures of {', '.join(theirs.splitlines())}; fix: give another out, or remove it"
        )
    with out_directory(path):
        yield
        write_text(source, mine)


def _told(runs: list[Run]) -> str:
    return "".join(f"{run.path.resolve()}\n" for run in runs)


def _digest(runs: list[Run]) -> str:
    return sha256(_told(runs).encode("utf-8", "surrogateescape")).hexdigest()[:8]
