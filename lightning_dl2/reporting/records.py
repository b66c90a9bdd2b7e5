"""Runs as their directories tell them, and the figures beside them. Reads alone; damaged ones are named.

Whatever is read is taken as it stands, without the schema, so that runs of older versions are told, too.
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

import yaml

from lightning_dl2 import lock
from lightning_dl2.cli import UserError
from lightning_dl2.config import deciding, flatten
from lightning_dl2.files import read_rows
from lightning_dl2.run import Run

STATES = ("completed", "running", "interrupted", "failed")
RUN_FILES = {"config.yaml", "result.json", "metrics.csv"}  # one of them is enough to ask for the others
MOVED_ASIDE = re.compile(r"seed=\d+\.old-\d+")  # by resume=restart
# The C one, where PyYAML has it: ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Damaged(ValueError):
    """A run directory cannot be read. The message says which file, and why."""


@dataclass(frozen=True)
class Record:
    """One run.

    Args:
        path: its directory.
        config: what config.yaml holds.
        result: what result.json holds; empty where there is none yet.
        rows: those of metrics.csv, without what was not logged.
        state: one of STATES.
    """

    path: Path
    config: dict[str, Any]
    result: dict[str, Any]
    rows: list[dict[str, float]]
    state: str

    @property
    def experiment(self) -> str:
        return str(self.config["experiment"])

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def metrics(self) -> dict[str, float]:
        """Of the best checkpoint."""
        return self.result.get("metrics", {})

    @property
    def steps(self) -> int:
        """Optimiser steps, as far as the run has told."""
        return int(self.result.get("steps") or (self.rows[-1]["step"] if self.rows else 0))

    @cached_property
    def choices(self) -> dict[str, Any]:
        """What decides what is learnt."""
        return {key: value for key, value in deciding(self.config).items() if key != "experiment"}

    def monitor(self) -> tuple[str, str]:
        """The metric that chose the best checkpoint, and whether its "min" or its "max" is good."""
        flat = flatten(self.config)
        return tuple(str(flat.get(f"callbacks.checkpoint.{key}")) for key in ("monitor", "mode"))

    def history(self, metric: str) -> dict[int, float]:
        """Step to value; values that are no numbers left out."""
        return {int(row["step"]): row[metric] for row in self.rows if metric in row and math.isfinite(row[metric])}

    def samples(self) -> list[tuple[str, str]]:
        """What a text generator wrote on the way: file name and text, the last one first."""
        files = sorted((self.path / "samples").glob("*.txt"), reverse=True)
        return [(file.stem, file.read_text(errors="replace")) for file in files]

    def pictures(self) -> list[Path]:
        """The figures of the run but for its curves, which the report draws itself."""
        paths = sorted((self.path / "figures").glob("*.png"))
        return [path for path in paths if path.name != "curves.png" and _is_png(path)]


@dataclass
class Found:
    """What is in some trees of directories.

    Args:
        records: the runs, by path.
        pictures: PNGs that belong to no run, such as those of `analyze` and of sweeps, by path.
        skipped: path and why, for all that could not be read.
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
    for directory in directories:
        if not directory.is_dir():
            raise UserError(f"{directory}: there is no such directory; allowed: run directories or trees of them")
        empty = True
        for path, folders, files in os.walk(directory, onerror=lambda error: _unread(found, error)):
            folder = Path(path)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            is_run = bool(RUN_FILES & set(files))
            if is_run:
                folders.clear()  # what is in there is its own, such as W&B's config.yaml
            here = [folder] if is_run else [folder / name for name in sorted(files) if name.endswith(".png")]
            empty = empty and not here
            for each in here:
                if (real := each.resolve()) in seen:
                    continue
                seen.add(real)
                if is_run:
                    _add(found, each)
                    progress(str(each))
                elif _is_png(each):
                    found.pictures.append(each)
                else:
                    found.skipped.append((each, "is no PNG"))
        if empty:
            raise UserError(f"{directory}: holds no run (no config.yaml) and no figure; allowed: trees of them")
    return found


def _is_png(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(8) == b"\x89PNG\r\n\x1a\n"


def _unread(found: Found, error: OSError) -> None:
    found.skipped.append((Path(error.filename), f"cannot be read: {error.strerror}"))


def _add(found: Found, path: Path) -> None:
    if MOVED_ASIDE.fullmatch(path.name):
        found.skipped.append((path, "was moved aside by resume=restart"))
        return
    try:
        found.records.append(read(path))
    except Damaged as error:
        found.skipped.append((path, str(error)))
    except OSError as error:
        found.skipped.append((path, f"{Path(error.filename or path).name} cannot be read: {error.strerror}"))


def read(path: Path) -> Record:
    """The run in a directory.

    Raises:
        Damaged: a file is missing or is not what it should be.
        OSError: a file may not be read.
    """
    run = Run(path)
    held = lock.holder(path) is not None
    config, rows, result = _config(run), _rows(run), run.result()
    if result is None and run.result_file.exists():
        raise Damaged("result.json is damaged")
    result = result or {}
    if result and not (result.get("status") in STATES and _are_numbers(result.get("metrics"))):
        raise Damaged("result.json is not a run's")
    return Record(path, config, result, rows, "running" if held else result.get("status", "interrupted"))


def _config(run: Run) -> dict[str, Any]:
    if not run.config_file.is_file():
        raise Damaged("has no config.yaml")
    try:
        config = yaml.load(run.config_file.read_text(), LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Damaged("config.yaml is damaged") from error
    if not isinstance(config, dict) or "experiment" not in config or not isinstance(config.get("seed"), int):
        raise Damaged("config.yaml is not a run's")
    return config


def _rows(run: Run) -> list[dict[str, float]]:
    try:
        rows = [{key: float(value) for key, value in row.items() if value} for row in read_rows(run.metrics_file)]
    except (csv.Error, ValueError, TypeError) as error:
        raise Damaged("metrics.csv is damaged") from error
    if any("step" not in row or not math.isfinite(row["step"]) for row in rows):
        raise Damaged("metrics.csv is damaged")
    return rows


def _are_numbers(metrics: Any) -> bool:
    return isinstance(metrics, dict) and all(isinstance(value, int | float) for value in metrics.values())
