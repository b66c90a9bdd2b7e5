"""Choose the directory of a run's figures: it names the run, and no other run's figures replace them."""

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

PARTS = (
    "checkpoint",
    "layer",
    "direction",
    "item",
    "target",
    "data.path",
)  # keys that choose the part of a run in the figures
SOURCES = "runs.txt"  # names the runs of the figures in a directory


def run_name(config: Config) -> str:
    """Return EXPERIMENT/VARIANT/seed=N of a run's configuration, wherever its directory is now."""
    return str(Run.of(config).path.relative_to(config.root))


def figure_directory(out: Path, runs: list[Run], arguments: Arguments) -> Path:
    """Return the directory for the figures of one run or of several runs together.

    Args:
        out: directory of the analysis.
        arguments: of the command; those in PARTS that differ from their defaults are a part of the name.

    Raises:
        UserError: the configuration of a run cannot be read.
    """
    names = [run_name(run.recorded()) for run in runs]
    name = names[0] if len(names) == 1 else f"{len(names)}_runs-{_digest(runs)}"
    shown = [f"{key}={value}" for key, value in arguments.changed(*PARTS).items()]
    # A checkpoint may be the path of a file, whose slashes may not stand in a name.
    return out / ",".join([name, *(re.sub(r"[^A-Za-z0-9=._-]+", "_", word)[-80:] for word in shown)])


@contextmanager
def writing_figures(path: Path, runs: list[Run]) -> Iterator[None]:
    """Let the block write the figures of `runs` into `path`.

    Raises:
        UserError: the directory holds figures of other runs or cannot be written.
    """
    mine = _list_paths(runs)
    source = path / SOURCES
    if source.exists() and (theirs := source.read_text("utf-8", "surrogateescape")) != mine:
        raise UserError(
            f"out={path}: holds the figures of {', '.join(theirs.splitlines())}; fix: give another out or remove it"
        )
    with out_directory(path):
        yield
        write_text(source, mine)


def _list_paths(runs: list[Run]) -> str:
    return "".join(f"{run.path.resolve()}\n" for run in runs)


def _digest(runs: list[Run]) -> str:
    return sha256(_list_paths(runs).encode("utf-8", "surrogateescape")).hexdigest()[:8]
