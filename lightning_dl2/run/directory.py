"""The run directory: names, configuration, checkpoints, result, W&B id.

    runs/<experiment>/<variant>-<hash of the choices that differ from the experiment's defaults>/seed=<n>/

The path is a pure function of the configuration, never of the clock, so that the same command finds its run again.
"""

import json
import logging
import math
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import read_regular, remove_temporaries, write_text, writing
from lightning_dl2.common.launcher import is_rank_zero, restart_ids
from lightning_dl2.common.run_files import Damaged, check_own_files, read_config, read_file, read_result
from lightning_dl2.config.identity import changed_choices, config_hash, digest, identity, is_irrelevant_to_result
from lightning_dl2.config.older_runs import upgrade_config
from lightning_dl2.config.overrides import format_override
from lightning_dl2.config.schema import Config
from lightning_dl2.config.schema.logger import WANDB_ID
from lightning_dl2.resume.checkpoint_file import sidecar
from lightning_dl2.resume.find_checkpoint import CheckpointFiles
from lightning_dl2.run import lock

log = logging.getLogger(__name__)

MOVED_ASIDE = re.compile(r"seed=\d+\.old-\d+")  # by resume=restart
TRAINED_BY_ANALYZE = "trained_by_analyze"  # a file in a root: its runs are no results of the user's
GENERAL = ("enabled", "name", "monitor")  # last parts of keys that say nothing by themselves
DIGITS = 8  # characters of a number that a directory's name holds as it is
SEEN_LATEST = 60.0  # seconds; NFS keeps what it knows of a directory that long


def variant(config: Config) -> str:
    """Name the directory: `default-<hash>`, or the choices that differ, as far as a name holds them, with their hash.

    The hash tells runs apart, the words before it are for people.
    """
    return _variant(changed_choices(config))


def _variant(differing: dict[str, Any]) -> str:
    return _named(differing, last_parts, _short)


def _former_variant(differing: dict[str, Any]) -> str:
    """Return the name that older versions gave: only the last part of each key, numbers with all their digits."""
    return _named(differing, lambda key: key.rpartition(".")[2], lambda value: value)


def _named(differing: dict[str, Any], name: Callable[[str], str], value: Callable[[Any], Any]) -> str:
    # Of a path the last part, lest it leaves no room for the others; the hash knows all of it.
    shown = {key: Path(each).name if key == "data.path" and each else each for key, each in differing.items()}
    words = ",".join(f"{name(key)}={format_override(value(each))}" for key, each in shown.items())
    return f"{re.sub(r'[^A-Za-z0-9=.,_-]+', '_', words)[:80] or 'default'}-{digest(differing)}"


def last_parts(key: str) -> str:
    """Return the last part of a key, or the last two where it says nothing by itself."""
    parts = key.split(".")
    return ".".join(parts[-2:] if parts[-1] in GENERAL else parts[-1:])


def _short(value: Any) -> Any:
    """A number with many digits to four of them, as one that was drawn."""
    return float(f"{value:.4g}") if isinstance(value, float) and len(repr(value)) > DIGITS else value


class Run(CheckpointFiles):
    """One run directory.

    Args:
        path: the directory; need not exist.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(Path(path))
        self.config_file = self.path / "config.yaml"
        self.result_file = self.path / "result.json"
        self.metrics_file = self.path / "metrics.csv"
        self.gradient_flow_file = self.path / "gradient_flow.csv"
        self.log_file = self.path / "train.log"
        self.fruitless_file = self.path / "fruitless_starts"  # of a job of SLURM
        self.launch_file = self.path / ".launch"  # what will start the run's command again by itself
        self._noted = False  # that it is of an older version

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @classmethod
    def of(cls, config: Config) -> "Run":
        """Return the directory that belongs to `config`; one that an older version has named keeps its name."""
        place, differing = Path(config.root) / config.experiment, changed_choices(config)
        former = _former_variant(differing)
        name = former if os.path.isdir(place / former) else _variant(differing)  # no error where it is too long
        return cls(place / name / f"seed={config.seed}")

    @classmethod
    def existing(cls, path: Path | str) -> "Run":
        """A directory that holds a run.

        Raises:
            UserError: it does not.
        """
        run = cls(path)
        if not os.path.lexists(run.config_file):  # no error where the name is too long
            raise UserError(f"run={path}: holds no run (no config.yaml); allowed: a directory that train printed")
        return run

    def config(self, *, tell: bool = True) -> Config:
        """The resolved configuration of the run; one line says, once, what an older version did not have yet.

        Args:
            tell: whether to say that line.

        Raises:
            UserError: config.yaml is damaged, or of a version whose keys are no more.
        """
        config, added = self._restored()
        self._note(added if tell else {})
        return config

    def recorded(self) -> Config:
        """Return the resolved configuration of the run without a word about an older version; raises as `config`."""
        return self._restored()[0]

    def _note(self, added: dict[str, Any]) -> None:
        if added and not self._noted and is_rank_zero():
            self._noted = True
            words = " ".join(f"{key}={format_override(value)}" for key, value in added.items())
            print(f"note: {self.config_file} is of an older version; added: {words}", file=sys.stderr)

    def _restored(self) -> tuple[Config, dict[str, Any]]:
        values = read_config(self.config_file)
        if values is None:
            raise Damaged(self.config_file, "is not there", "resume=restart")
        return upgrade_config(values)

    def result(self) -> dict[str, Any] | None:
        """Return what result.json holds; None where there is none yet or it is damaged: training writes it anew."""
        try:
            return read_result(self.result_file)
        except Damaged:
            return None

    def finished(self, config: Config) -> dict[str, Any] | None:
        """The result, if nothing is left to do for `config`: solved, or trained as long as it asks for."""
        result = self.result()
        if result is None or result.get("status") != "completed" or self._resume(config) != "auto":
            return None
        if result.get("config_hash") != config_hash(config) and not self._was_once(config):
            return None
        trainer = config.trainer
        steps, epochs = result.get("steps") or 0, result.get("epochs") or 0
        enough = 0 < trainer.max_steps <= steps or 0 < trainer.max_epochs <= epochs
        return result if enough or result.get("stopped_by") in ("solved", "early_stopping") else None

    def _was_once(self, config: Config) -> bool:
        """Whether the run is `config` of an older version, whose hash is of fewer keys."""
        try:
            today, added = self._restored()
        except (OSError, UserError):
            return False
        return bool(added) and config_hash(today) == config_hash(config)

    def _resume(self, config: Config) -> str:
        """`config.resume`; auto where a cluster has started the command again that began the run."""
        again = {name for name, count in restart_ids().items() if count}
        try:
            told = set((read_regular(self.launch_file) or b"").decode("utf-8", "replace").splitlines())
        except OSError:
            return config.resume
        return "auto" if again & told else config.resume

    @contextmanager
    def locked(self, config: Config) -> Iterator[None]:
        """Holds the directory within the block, so that no second process trains in it; `begin` writes there.

        Raises:
            UserError: another process holds it, it cannot be written, it holds another configuration's run (as after
                a change of conf/), or `resume=never` meets a run.
        """
        if not is_rank_zero():
            yield
            return
        if os.path.lexists(self.config_file):  # no error where the name is too long: making it tells that
            resume = self._resume(config)
            if resume == "never":
                raise UserError(
                    f"resume=never: {self.path} holds a run; allowed: auto, restart, or another root or seed"
                )
            if resume == "auto":
                self._check_same(config)
            else:
                with lock.locked(self.path):
                    self.path.rename(self._aside())
        with lock.locked(self.path):
            self._check_own_files()
            if config.logger.name == "wandb":
                self._known_wandb_id()
            with writing(self.checkpoints):
                self.checkpoints.mkdir(exist_ok=True)
            yield

    def _check_own_files(self) -> None:
        """Check that what is to be written has its place; a folder may be elsewhere, behind a link.

        Raises:
            UserError: a directory, a link or a pipe is in the place of a file, or a file in the place of a folder.
        """
        here = ("config.yaml", "result.json", "metrics.csv", "gradient_flow.csv", "train.log", "overrides.txt")
        files = [self.path / name for name in (*here, ".launch", "wandb_id", "fruitless_starts")]
        kept = (self.last, self.previous, self.best)
        check_own_files(*files, *kept, *map(sidecar, kept))
        folders = ("checkpoints", "figures", "samples", "wandb", "tensorboard")
        for folder in (self.path / name for name in folders):
            if os.path.lexists(folder) and not folder.is_dir():
                raise Damaged(folder, "is no directory, where a run has one", "move it away")

    def begin(self, config: Config, words: list[str]) -> None:
        """The run is that of `config` from here on: nothing may be refused any more.

        Args:
            words: what was typed.
        """
        if not is_rank_zero():
            return
        remove_temporaries(self.path)
        write_text(self.config_file, yaml.safe_dump(config.model_dump(), sort_keys=False))
        write_text(self.path / "overrides.txt", "".join(f"{word}\n" for word in words))
        if names := restart_ids():
            write_text(self.launch_file, "".join(f"{name}\n" for name in names))
        else:
            self.launch_file.unlink(missing_ok=True)
        try:
            read_result(self.result_file)
        except Damaged as error:
            text = f"{error}; going on, and writing it anew"
            print(f"warning: {text}", file=sys.stderr)
            log.warning(text)
        self.result_file.unlink(missing_ok=True)

    def check_seen(self) -> None:
        """Waits until this process sees what rank 0 has prepared; a network's disk may show it late.

        Raises:
            UserError: it does not, as where each machine has a disk of its own.
        """
        end = time.monotonic() + SEEN_LATEST
        while not self.checkpoints.exists():
            if time.monotonic() > end:
                raise UserError(
                    f"root: {self.path} is not there, but rank 0 has made it;"
                    " allowed: a directory that all machines share"
                )
            time.sleep(0.1)

    def _check_same(self, config: Config) -> None:
        before, added = self._restored()
        # Of keys that are irrelevant to the result, `config` decides.
        self._note({key: value for key, value in added.items() if not is_irrelevant_to_result(key)})
        old, new = identity(before), identity(config)
        changed = [key for key in old | new if old.get(key) != new.get(key)]
        if changed:
            key = changed[0]
            was, now = (f"{key}={format_override(values.get(key))}" for values in (old, new))
            raise UserError(f"{now}: {self.path} was begun with {was}; allowed: resume=restart, or another root")

    def _aside(self) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        return aside

    def wandb_id(self) -> str:
        """The id of the run in W&B: given by WANDB_RUN_ID or chosen once, and kept for every later process."""
        file = self.path / "wandb_id"
        if given := os.environ.get("WANDB_RUN_ID"):
            write_text(file, given)
        if (known := self._known_wandb_id()) is None:
            write_text(file, known := secrets.token_hex(4))
        return known

    def _known_wandb_id(self) -> str | None:
        file = self.path / "wandb_id"
        if (content := read_file(file)) is None:
            return None
        found = content.decode("utf-8", "replace").strip()
        if not WANDB_ID.fullmatch(found):
            raise Damaged(file, "is no id of W&B's", "remove it; the run begins anew there")
        return found

    def write_result(self, config: Config, **values: Any) -> dict[str, Any]:
        """Writes result.json atomically and returns what it holds; None for a metric that is no number."""
        named = {"experiment": config.experiment, "variant": self.path.parent.name, "seed": config.seed}
        named["test_split"] = config.test_split
        result = _finite(named | values | {"config_hash": config_hash(config)})
        write_text(self.result_file, json.dumps(result, indent=2, allow_nan=False) + "\n")
        return result


def _finite(values: Any) -> Any:
    """JSON has neither NaN nor infinity: null in their place."""
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
