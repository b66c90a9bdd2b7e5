"""Find runs, and the figures beside them, in trees of directories, and name the damaged ones.

Configurations are read without the schema, so that runs of older versions are shown, too. A key that an older version
did not have counts as left at its default.
"""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_dl2.builtin.results import former_test_split, present_name
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import open_regular, walk
from lightning_dl2.common.run_files import Damaged, read_config, read_result
from lightning_dl2.common.statistics import find_metric
from lightning_dl2.config.identity import select_identity
from lightning_dl2.config.older_runs import add_missing_keys
from lightning_dl2.config.overrides import flatten
from lightning_dl2.reporting.history import History, read_history
from lightning_dl2.run import lock
from lightning_dl2.run.directory import MOVED_ASIDE, TRAINED_BY_ANALYZE, Run

STATES = ("completed", "running", "interrupted", "failed")
RUN_FILES = {"config.yaml", "result.json", "metrics.csv"}  # a directory with one of them counts as a run directory
RUN_NAME = re.compile(r"seed=\d+")
LARGEST_PICTURE = 20 << 20  # bytes; the page embeds it


@dataclass(frozen=True)
class Record:
    """One run."""

    path: Path
    config: dict[str, Any]  # the content of config.yaml
    result: dict[str, Any]  # the content of result.json; empty where there is none yet
    logged: History  # the metrics of metrics.csv
    state: str  # one of STATES

    @property
    def name(self) -> str:
        return printable(self.path)

    @property
    def experiment(self) -> str:
        return str(self.config["experiment"])

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Return the metrics of the best checkpoint, by their present names."""
        data = self.config.get("data")
        data = data if isinstance(data, dict) else {}
        return {present_name(data, name): value for name, value in self.result.get("metrics", {}).items()}

    @property
    def steps(self) -> int:
        """Return the optimiser steps that the run has recorded."""
        return int(self.result.get("steps") or self.logged.steps)

    @cached_property
    def choices(self) -> dict[str, Any]:
        """Return the values of the configuration that decide the result."""
        found = select_identity(add_missing_keys(self.config))
        return {key: value for key, value in found.items() if key != "experiment"}

    @property
    def test_split(self) -> str:
        """Name the data of test/*; result.json of older versions does not have it."""
        if (recorded := self.result.get("test_split")) is not None:
            return str(recorded)
        return former_test_split(self.choices)

    def monitor(self) -> tuple[str, str]:
        """Return the metric that chose the best checkpoint (empty: none), and "min" or "max" for its best value."""
        flat = flatten(self.config)
        return str(flat.get("callbacks.checkpoint.monitor") or ""), str(flat.get("callbacks.checkpoint.mode"))

    def curve(self, name: str, split: str) -> dict[int, float]:
        """Return the history of the metric with this bare name on a split, whatever it is called in full."""
        metric = find_metric(self.logged.names(), name, split)
        if metric is None and split == "val" and name == self.monitor()[0]:
            metric = name  # its name says no split
        return self.history(metric) if metric else {}

    def history(self, metric: str) -> dict[int, float]:
        """Return step to value; only finite values, and only the extremes in the buckets of a long run."""
        return self.logged.points(metric)

    def samples(self) -> list[tuple[str, str]]:
        """Return the file name and the text of each sample of a text generator, the last one first."""
        files = sorted((self.path / "samples").glob("*.txt"), reverse=True)
        return [(printable(file.stem), file.read_text("utf-8", "replace")) for file in files if file.is_file()]

    def pictures(self) -> list[Path]:
        """Return the figures of the run without its curves, which the report draws itself."""
        paths = sorted((self.path / "figures").glob("*.png"))
        return [path for path in paths if path.name != "curves.png" and not picture_problem(path)]


@dataclass
class Found:
    """The content of some trees of directories."""

    records: list[Record] = field(default_factory=list)  # the runs, by path
    pictures: list[Path] = field(default_factory=list)  # PNGs of no run, such as those of `analyze` and sweeps, by path
    skipped: list[tuple[Path, str]] = field(default_factory=list)  # a directory or file that is not shown, and why


def find(directories: Iterable[Path], progress: Callable[[str], None] = lambda path: None) -> Found:
    """Read all runs and figures below `directories`, each once.

    Args:
        progress: called with the path of each run that has been read.

    Raises:
        UserError: a directory does not exist, or has neither run nor figure.
    """
    found, seen = Found(), set()

    def unread(error: OSError) -> None:
        found.skipped.append((Path(error.filename), f"cannot be read: {error.strerror}"))

    for directory in directories:
        if not directory.is_dir():
            raise UserError(f"{directory}: there is no such directory; allowed: run directories or trees of them")
        empty = True
        for folder, folders, files in walk(directory, unread):
            if folder != directory and _is_of_analyze(folder, files):
                found.skipped.append((folder, "holds runs that analyze trained; name this directory to see them"))
                folders.clear()
                continue
            if RUN_FILES & set(files):
                empty, real = False, folder.resolve()
                is_run = real in seen or _add(found, folder)
                seen.add(real)
                progress(str(folder))
                if is_run or RUN_NAME.match(folder.name):
                    folders.clear()  # files below belong to the run, such as W&B's config.yaml
                    continue
            for picture in (folder / name for name in files if name.endswith(".png")):
                empty = False
                if (real := picture.resolve()) not in seen:
                    seen.add(real)
                    if why := picture_problem(picture):
                        found.skipped.append((picture, why))
                    else:
                        found.pictures.append(picture)
        if empty:
            raise UserError(
                f"{directory}: holds no run (no config.yaml) and no figure; allowed: run directories or trees of them"
            )
    return found


def _is_of_analyze(folder: Path, files: list[str]) -> bool:
    """Return True for the runs that `analyze` trained: by their mark, in older versions by the CSV beside them."""
    older = {"gates": "saturation.csv", "memory": "accuracy.csv"}.get(folder.parent.name)
    return TRAINED_BY_ANALYZE in files or bool(older and folder.name == "runs" and (folder.parent / older).exists())


def picture_problem(path: Path) -> str | None:
    """Say why a file cannot be shown as a PNG; None: it can."""
    try:
        with open_regular(path) as file:
            if file.read(8) != b"\x89PNG\r\n\x1a\n":
                return "is no PNG"
            return f"is larger than {LARGEST_PICTURE:,} bytes" if file.seek(0, os.SEEK_END) > LARGEST_PICTURE else None
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _add(found: Found, path: Path) -> bool:
    """Add the run in `path`; return False where there is none."""
    if MOVED_ASIDE.fullmatch(path.name):
        found.skipped.append((path, "was moved aside by resume=restart"))
        return False
    try:
        found.records.append(read(path))
        return True
    except Damaged as error:
        found.skipped.append((path, f"{error.path.name} {error.why}"))
    return False


def printable(text: object) -> str:
    """Escape characters that UTF-8 cannot hold: file names and error messages may have any bytes."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def read(path: Path) -> Record:
    """Read the run in a directory.

    Raises:
        Damaged: a file is missing, invalid or unreadable.
    """
    run = Run(path)
    try:
        locked = lock.holder(path) is not None
    except OSError as error:  # such as another user's
        raise Damaged(path / ".lock", f"cannot be read: {error.strerror}") from error
    config, logged, result = _config(run), read_history(run.metrics_file), read_result(run.result_file) or {}
    return Record(path, config, result, logged, "running" if locked else result.get("status", "interrupted"))


def _config(run: Run) -> dict[str, Any]:
    config = read_config(run.config_file)
    if config is None:
        raise Damaged(run.config_file, "is not there")
    if not isinstance(config.get("experiment"), str) or type(config.get("seed")) is not int:
        raise Damaged(run.config_file, "is not a run's")
    return config
