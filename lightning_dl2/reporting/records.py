"""Runs as their directories tell them, and the figures beside them. Reads alone; damaged ones are named.

Whatever is read is taken as it stands, without the schema, so that runs of older versions are told, too; what an older
version had no key for is as if it had been left as it is.
"""

import csv
import math
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import open_regular, walk
from lightning_dl2.common.run_files import Damaged, read_config, read_result
from lightning_dl2.config.identity import select_identity
from lightning_dl2.config.older_runs import add_missing_keys
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema import test_split
from lightning_dl2.config.schema.data import GRAPH_SETS
from lightning_dl2.reporting.history import History, read_history
from lightning_dl2.run import lock
from lightning_dl2.run.directory import MOVED_ASIDE, TRAINED_BY_ANALYZE, Run

STATES = ("completed", "running", "interrupted", "failed")
RUN_FILES = {"config.yaml", "result.json", "metrics.csv"}  # one of them is enough to ask for the others
RUN_NAME = re.compile(r"seed=\d+")
LARGEST_PICTURE = 20 << 20  # bytes; it becomes a part of the page


@dataclass(frozen=True)
class Record:
    """One run.

    Args:
        path: its directory.
        config: what config.yaml holds.
        result: what result.json holds; empty where there is none yet.
        logged: what metrics.csv holds.
        state: one of STATES.
    """

    path: Path
    config: dict[str, Any]
    result: dict[str, Any]
    logged: History
    state: str

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
        """Of the best checkpoint, by the names of today."""
        return {self._name_today(name): value for name, value in self.result.get("metrics", {}).items()}

    def _name_today(self, metric: str) -> str:
        """Older versions had one name for bits a character and bits a byte, and one for two linear models of graphs."""
        data = self.config.get("data")
        data = data if isinstance(data, dict) else {}
        if data.get("tokens") == "bytes":
            metric = metric.replace("/bpc", "/bits_per_byte")
        if data.get("name") in GRAPH_SETS and data.get("name") != "pattern":
            metric = metric.replace("/no_graph_baseline", "/counts_baseline")
        return metric

    @property
    def steps(self) -> int:
        """Optimiser steps, as far as the run has told."""
        return int(self.result.get("steps") or self.logged.steps)

    @cached_property
    def choices(self) -> dict[str, Any]:
        """What decides what is learnt."""
        return {
            key: value for key, value in select_identity(add_missing_keys(self.config)).items() if key != "experiment"
        }

    @property
    def test_split(self) -> str:
        """Name what test/* is measured on; result.json of older versions does not say."""
        if (told := self.result.get("test_split")) is not None:
            return str(told)
        name, fraction, length = (
            self.choices.get(f"data.{key}") for key in ("name", "test_fraction", "sequence_length")
        )
        return test_split(str(name), fraction, length if isinstance(length, int) else math.inf)

    def monitor(self) -> tuple[str, str]:
        """The metric that chose the best checkpoint, and whether its "min" or its "max" is good."""
        flat = flatten(self.config)
        return str(flat.get("callbacks.checkpoint.monitor")), str(flat.get("callbacks.checkpoint.mode"))

    def history(self, metric: str) -> dict[int, float]:
        """Return step to value; what is no number is left out, and of a long run what is no extreme."""
        return self.logged.points(metric)

    def last(self, metric: str) -> float | None:
        """Return the value logged last, a number or not."""
        return self.logged.last.get(metric)

    def samples(self) -> list[tuple[str, str]]:
        """What a text generator wrote on the way: file name and text, the last one first."""
        files = sorted((self.path / "samples").glob("*.txt"), reverse=True)
        return [(printable(file.stem), file.read_text("utf-8", "replace")) for file in files if file.is_file()]

    def pictures(self) -> list[Path]:
        """The figures of the run but for its curves, which the report draws itself."""
        paths = sorted((self.path / "figures").glob("*.png"))
        return [path for path in paths if path.name != "curves.png" and not no_picture(path)]


@dataclass
class Found:
    """What is in some trees of directories.

    Args:
        records: the runs, by path.
        pictures: PNGs that belong to no run, such as those of `analyze` and of sweeps, by path.
        skipped: path and why, for all that could not be read or is none of the user's.
    """

    records: list[Record] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def find(directories: Iterable[Path], progress: Callable[[str], None] = lambda what: None) -> Found:
    """Reads all runs and figures below `directories`, each once.

    Args:
        progress: is told each run that has been read.

    Raises:
        UserError: no such directory, or neither run nor figure in it.
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
                found.skipped.append((folder, "holds runs that analyze has trained; to see them, give this directory"))
                folders.clear()
                continue
            if RUN_FILES & set(files):
                empty, real = False, folder.resolve()
                is_run = real in seen or _add(found, folder)
                seen.add(real)
                progress(str(folder))
                if is_run or RUN_NAME.match(folder.name):
                    folders.clear()  # what is in there is its own, such as W&B's config.yaml
                    continue
            for picture in (folder / name for name in files if name.endswith(".png")):
                empty = False
                if (real := picture.resolve()) not in seen:
                    seen.add(real)
                    if why := no_picture(picture):
                        found.skipped.append((picture, why))
                    else:
                        found.pictures.append(picture)
        if empty:
            raise UserError(f"{directory}: holds no run (no config.yaml) and no figure; allowed: trees of them")
    return found


def _is_of_analyze(folder: Path, files: list[str]) -> bool:
    """Tell the runs that an analysis has trained for its figures: by their mark, older ones by its numbers beside."""
    older = {"gates": "saturation.csv", "memory": "accuracy.csv"}.get(folder.parent.name)
    return TRAINED_BY_ANALYZE in files or bool(older and folder.name == "runs" and (folder.parent / older).exists())


def no_picture(path: Path) -> str | None:
    """Why a file cannot be shown as a PNG; None: it can."""
    try:
        with open_regular(path) as file:
            if file.read(8) != b"\x89PNG\r\n\x1a\n":
                return "is no PNG"
            return f"is larger than {LARGEST_PICTURE:,} bytes" if file.seek(0, os.SEEK_END) > LARGEST_PICTURE else None
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _add(found: Found, path: Path) -> bool:
    """Whether there is a run in `path`, which then is added."""
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
    """As UTF-8 can hold it: file names and what errors say may be of any bytes."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def read(path: Path) -> Record:
    """The run in a directory.

    Raises:
        Damaged: a file is missing, is not what it should be, or may not be read.
    """
    run = Run(path)
    try:
        held = lock.holder(path) is not None
    except OSError as error:  # another user's, say
        raise Damaged(path / ".lock", f"cannot be read: {error.strerror}") from error
    config, logged, result = _config(run), _logged(run), read_result(run.result_file) or {}
    return Record(path, config, result, logged, "running" if held else result.get("status", "interrupted"))


def _config(run: Run) -> dict[str, Any]:
    config = read_config(run.config_file)
    if config is None:
        raise Damaged(run.config_file, "is not there")
    if not isinstance(config.get("experiment"), str) or type(config.get("seed")) is not int:
        raise Damaged(run.config_file, "is not a run's")
    return config


def _logged(run: Run) -> History:
    try:
        return read_history(run.metrics_file)
    except OSError as error:
        raise Damaged(run.metrics_file, f"cannot be read: {error.strerror}") from error
    except (csv.Error, ValueError) as error:
        raise Damaged(run.metrics_file, "is damaged") from error
