"""Name a run directory, lock it, and read and write its configuration, result and W&B id.

    runs/<experiment>/<variant>-<hash of the choices that differ from the experiment's defaults>/seed=<n>/

The path is a pure function of the configuration, never of the clock: the same command finds its run again.
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
from lightning_dl2.config.schema.component import TARGET
from lightning_dl2.config.schema.logger import WANDB_ID
from lightning_dl2.resume.checkpoint_file import sidecar
from lightning_dl2.resume.find_checkpoint import CheckpointFiles
from lightning_dl2.run import code, lock

log = logging.getLogger(__name__)

MOVED_ASIDE = re.compile(r"seed=\d+\.old-\d+")  # by resume=restart
TRAINED_BY_ANALYZE = "trained_by_analyze"  # a file in a root: its runs are no results of the user's
GENERAL = ("enabled", "name", "monitor")  # last parts of keys that say nothing by themselves
DIGITS = 8  # characters of a number; one with more is rounded in a directory's name
SEEN_LATEST = 60.0  # seconds that NFS may cache a directory's content


def variant(config: Config) -> str:
    """Name the directory: `default-<hash>`, or the choices that differ, cut to 80 characters, with their hash.

    The hash tells runs apart, the text before it is for people.
    """
    return _variant(changed_choices(config))


def _variant(differing: dict[str, Any]) -> str:
    return _named(differing, last_parts, _short)


def _former_variant(differing: dict[str, Any]) -> str:
    """Return the name that older versions gave: only the last part of each key, numbers with all their digits."""
    return _named(differing, lambda key: key.rpartition(".")[2], lambda value: value)


def _named(differing: dict[str, Any], name: Callable[[str], str], value: Callable[[Any], Any]) -> str:
    # Only the last part of a path, which would leave no room for the other choices; the hash is of all of it.
    shown = {key: _last_names(key, each) if each else each for key, each in differing.items()}
    text = ",".join(f"{name(key)}={format_override(value(each))}" for key, each in shown.items())
    return f"{re.sub(r'[^A-Za-z0-9=.,_-]+', '_', text)[:80] or 'default'}-{digest(differing)}"


def _last_names(key: str, value: Any) -> Any:
    if key == "data.path":
        return Path(value).name if isinstance(value, str) else ",".join(Path(each).name for each in value)
    return value.rpartition(".")[2] if key.endswith(f".{TARGET}") else value


def last_parts(key: str) -> str:
    """Return the last part of a key, or the last two where it says nothing by itself."""
    parts = key.removesuffix(f".{TARGET}").split(".")
    return ".".join(parts[-2:] if parts[-1] in GENERAL else parts[-1:])


def _short(value: Any) -> Any:
    """Round a number with many digits, such as one that a search has drawn, to four of them."""
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
        self.fruitless_file = self.path / "fruitless_starts"  # a number, see distributed/slurm.py
        self.launch_file = self.path / ".launch"  # ids of the schedulers that may restart the command
        self.code = code.Code(self.path)
        self._has_noted = False  # on stderr, that the run is of an older version

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @classmethod
    def of(cls, config: Config) -> "Run":
        """Return the directory that belongs to `config`; one that an older version has named keeps its name."""
        parent, differing = Path(config.root) / config.experiment, changed_choices(config)
        former = _former_variant(differing)
        name = former if os.path.isdir(parent / former) else _variant(differing)  # isdir: no error for a long name
        return cls(parent / name / f"seed={config.seed}")

    @classmethod
    def has_begun(cls, config: Config) -> bool:
        """Tell whether the directory of `config` holds a run."""
        return cls.of(config).config_file.is_file()

    @classmethod
    def existing(cls, path: Path | str) -> "Run":
        """Return the run that a directory holds.

        Raises:
            UserError: the directory holds none.
        """
        run = cls(path)
        if not os.path.lexists(run.config_file):  # lexists: no error for a long name
            raise UserError(f"run={path}: holds no run (no config.yaml); allowed: a directory that train printed")
        return run

    def config(self) -> Config:
        """Read the resolved configuration of the run; one line names, once, the keys that an older version lacked.

        Raises:
            UserError: config.yaml is damaged, or has a key that this version does not know.
        """
        config, added = self._restored()
        self._note(added)
        return config

    def recorded(self) -> Config:
        """Read the resolved configuration of the run without that line; raises as `config`."""
        return self._restored()[0]

    def _note(self, added: dict[str, Any]) -> None:
        if added and not self._has_noted and is_rank_zero():
            self._has_noted = True
            keys = " ".join(f"{key}={format_override(value)}" for key, value in added.items())
            print(f"note: {self.config_file} is of an older version; added: {keys}", file=sys.stderr)

    def _restored(self) -> tuple[Config, dict[str, Any]]:
        values = read_config(self.config_file)
        if values is None:
            raise Damaged(self.config_file, "is not there", "use resume=restart")
        return upgrade_config(values)

    def result(self) -> dict[str, Any] | None:
        """Read result.json; return None where it is absent or damaged: training writes it anew."""
        try:
            return read_result(self.result_file)
        except Damaged:
            return None

    def finished(self, config: Config) -> dict[str, Any] | None:
        """Return the result of a run that is complete for `config`: solved, or trained for as long; else None."""
        result = self.result()
        if result is None or result.get("status") != "completed" or self._resume(config) != "auto":
            return None
        if result.get("config_hash") != config_hash(config) and not self._is_older(config):
            return None
        trainer = config.trainer
        steps, epochs = result.get("steps") or 0, result.get("epochs") or 0
        enough = 0 < trainer.max_steps <= steps or 0 < trainer.max_epochs <= epochs
        return result if enough or result.get("stopped_by") in ("solved", "early_stopping") else None

    def _is_older(self, config: Config) -> bool:
        """Tell whether an older version has trained the run of `config`: its hash is of fewer keys."""
        try:
            restored, added = self._restored()
        except (OSError, UserError):
            return False
        return bool(added) and config_hash(restored) == config_hash(config)

    def _resume(self, config: Config) -> str:
        """Return `config.resume`; auto where a scheduler has restarted the command that began the run."""
        restarts = {name for name, count in restart_ids().items() if count}
        try:
            began = set((read_regular(self.launch_file) or b"").decode("utf-8", "replace").splitlines())
        except OSError:
            return config.resume
        return "auto" if restarts & began else config.resume

    @contextmanager
    def locked(self, config: Config) -> Iterator[None]:
        """Lock the directory within the block, so that no second process trains in it; rank 0 does so for all.

        Raises:
            UserError: another process has locked it, it cannot be written, it holds another configuration's run (as
                after a change of conf/), or it holds a run and the command has `resume=never`.
        """
        if not is_rank_zero():
            yield
            return
        if os.path.lexists(self.config_file):  # lexists: a name that is too long fails where it is made
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
            if "wandb" in config.logger.names:
                self._known_wandb_id()
            with writing(self.checkpoints):
                self.checkpoints.mkdir(exist_ok=True)
            yield

    def _check_own_files(self) -> None:
        """Check the paths of all files that a run writes; a folder may be a link to another disk.

        Raises:
            UserError: the path of a file is a directory, a link or a pipe, or that of a folder is a file.
        """
        names = ("config.yaml", "result.json", "metrics.csv", "gradient_flow.csv", "train.log", "overrides.txt")
        files = [self.path / name for name in (*names, ".launch", "wandb_id", "fruitless_starts", code.NAME)]
        checkpoints = (self.last, self.previous, self.best)
        check_own_files(*files, *checkpoints, *map(sidecar, checkpoints))
        folders = ("checkpoints", "figures", "samples", "wandb", "tensorboard")
        for folder in (self.path / name for name in folders):
            if os.path.lexists(folder) and not folder.is_dir():
                raise Damaged(folder, "is no directory, where a run has one", "move it away")

    def begin(self, config: Config, overrides: list[str]) -> None:
        """Make the directory that of `config`: from here on nothing may be refused any more."""
        if not is_rank_zero():
            return
        remove_temporaries(self.path)
        write_text(self.config_file, yaml.safe_dump(config.model_dump(), sort_keys=False))
        write_text(self.path / "overrides.txt", "".join(f"{word}\n" for word in overrides))
        self.code.write(config)
        if ids := restart_ids():
            write_text(self.launch_file, "".join(f"{name}\n" for name in ids))
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
        """Wait until this process sees the directory that rank 0 has made: a network file system may show it late.

        Raises:
            UserError: it does not see it, as where each machine has a disk of its own.
        """
        end = time.monotonic() + SEEN_LATEST
        while not self.checkpoints.exists():
            if time.monotonic() > end:
                raise UserError(
                    f"root: {self.path} does not exist here, but rank 0 has made it;"
                    " allowed: a directory that all machines share"
                )
            time.sleep(0.1)

    def _check_same(self, config: Config) -> None:
        before, added = self._restored()
        # Keys that are irrelevant to the result have the values of `config` from here on.
        self._note({key: value for key, value in added.items() if not is_irrelevant_to_result(key)})
        old, new = identity(before), identity(config)
        changed = [key for key in old | new if old.get(key) != new.get(key)]
        if changed:
            key = changed[0]
            was, now = (f"{key}={format_override(values.get(key))}" for values in (old, new))
            raise UserError(f"{now}: {self.path} was begun with {was}; fix: use resume=restart, or another root")

    def _aside(self) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        return aside

    def wandb_id(self) -> str:
        """Return the id of the run in W&B: WANDB_RUN_ID, or one that is drawn once and kept for later processes."""
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
            raise Damaged(file, "is no id of W&B's", "remove it; W&B then has a new run")
        return found

    def write_result(self, config: Config, **values: Any) -> dict[str, Any]:
        """Write result.json atomically and return its content, with None for a metric that is NaN or infinite."""
        named = {"experiment": config.experiment, "variant": self.path.parent.name, "seed": config.seed}
        named["test_split"] = config.test_split
        result = _finite(named | values | {"config_hash": config_hash(config)})
        write_text(self.result_file, json.dumps(result, indent=2, allow_nan=False) + "\n")
        return result


def _finite(values: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, by None."""
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
