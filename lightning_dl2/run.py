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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lightning_dl2 import lock
from lightning_dl2.cli import UserError
from lightning_dl2.config import Config, restore, typed
from lightning_dl2.files import is_whole, remove_temporaries, write_text
from lightning_dl2.identity import choices, config_hash, decides_nothing, digest, identity
from lightning_dl2.processes import is_rank_zero, launchers

log = logging.getLogger(__name__)

MOVED_ASIDE = re.compile(r"seed=\d+\.old-\d+")  # by resume=restart
SEEN_LATEST = 60.0  # seconds; NFS keeps what it knows of a directory that long


def variant(config: Config) -> str:
    """`default-<hash>`, or the choices that differ, as far as a directory's name holds them, with their hash."""
    differing = choices(config)
    # Of a path the last part, lest it leaves no room for the others; the hash knows all of it.
    shown = {key: Path(value).name if key == "data.path" and value else value for key, value in differing.items()}
    words = ",".join(f"{key.rpartition('.')[2]}={typed(value)}" for key, value in shown.items())
    return f"{re.sub(r'[^A-Za-z0-9=.,_-]+', '_', words)[:80] or 'default'}-{digest(differing)}"


class Run:
    """One run directory.

    Args:
        path: the directory; need not exist.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.result_file = self.path / "result.json"
        self.metrics_file = self.path / "metrics.csv"
        self.gradient_flow_file = self.path / "gradient_flow.csv"
        self.log_file = self.path / "train.log"
        self.fruitless_file = self.path / "fruitless_starts"  # of a job of SLURM
        self.launch_file = self.path / ".launch"  # what will start the run's command again by itself
        self.checkpoints = self.path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.previous = self.checkpoints / "previous.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self._noted = False  # that it is of an older version

    @classmethod
    def of(cls, config: Config) -> "Run":
        """The directory that belongs to `config`."""
        return cls(Path(config.root) / config.experiment / variant(config) / f"seed={config.seed}")

    @classmethod
    def existing(cls, path: str) -> "Run":
        """A directory that holds a run.

        Raises:
            UserError: it does not.
        """
        run = cls(path)
        if not os.path.isfile(run.config_file):  # no error where the name is too long
            raise UserError(f"run={path}: holds no run (no config.yaml); allowed: a directory that train printed")
        return run

    def config(self) -> Config:
        """The resolved configuration of the run; one line says, once, what an older version did not have yet.

        Raises:
            UserError: config.yaml is damaged, or of a version whose keys are no more.
        """
        config, added = self._restored()
        self._note(added)
        return config

    def _note(self, added: dict[str, Any]) -> None:
        if added and not self._noted and is_rank_zero():
            self._noted = True
            words = " ".join(f"{key}={typed(value)}" for key, value in added.items())
            print(f"note: {self.config_file} is of an older version; added: {words}", file=sys.stderr)

    def _restored(self) -> tuple[Config, dict[str, Any]]:
        try:
            values = yaml.safe_load(self.config_file.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{self.config_file}: is not YAML: {str(error).splitlines()[0]}") from error
        if not isinstance(values, dict):
            raise UserError(f"{self.config_file}: is empty or damaged")
        return restore(values)

    def result(self) -> dict[str, Any] | None:
        """What result.json holds; None where there is none yet or it cannot be read."""
        try:
            result = json.loads(self.result_file.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return result if isinstance(result, dict) else None

    def finished(self, config: Config) -> dict[str, Any] | None:
        """The result, if nothing is left to do for `config`: solved, or trained as long as it asks for."""
        result = self.result()
        if result is None or result.get("status") != "completed" or self._resume(config) != "auto":
            return None
        if result.get("config_hash") != config_hash(config) and not self._was_once(config):
            return None
        trainer = config.trainer
        enough = 0 < trainer.max_steps <= result["steps"] or 0 < trainer.max_epochs <= result["epochs"]
        return result if enough or result["stopped_by"] in ("solved", "early_stopping") else None

    def _was_once(self, config: Config) -> bool:
        """Whether the run is `config` of an older version, whose hash is of fewer keys."""
        try:
            today, added = self._restored()
        except (OSError, UserError):
            return False
        return bool(added) and config_hash(today) == config_hash(config)

    def _resume(self, config: Config) -> str:
        """`config.resume`; auto where a cluster has started the command again that began the run."""
        again = {name for name, count in launchers().items() if count}
        try:
            return "auto" if again & set(self.launch_file.read_text("utf-8").splitlines()) else config.resume
        except (OSError, UnicodeDecodeError):
            return config.resume

    @contextmanager
    def held(self, config: Config) -> Iterator[None]:
        """Holds the directory within the block, so that no second process trains in it; `begin` writes there.

        Raises:
            UserError: another process holds it, it cannot be written, it holds another configuration's run (as after
                a change of conf/), or `resume=never` meets a run.
        """
        if not is_rank_zero():
            yield
            return
        if os.path.exists(self.config_file):  # no error where the name is too long: making it tells that
            resume = self._resume(config)
            if resume == "never":
                raise UserError(
                    f"resume=never: {self.path} holds a run; allowed: auto, restart, or another root or seed"
                )
            if resume == "auto":
                self._check_same(config)
            else:
                with lock.held(self.path):
                    self.path.rename(self._aside())
        with lock.held(self.path):
            self.checkpoints.mkdir(exist_ok=True)
            yield

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
        if names := launchers():
            write_text(self.launch_file, "".join(f"{name}\n" for name in names))
        else:
            self.launch_file.unlink(missing_ok=True)
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
        self._note({key: value for key, value in added.items() if not decides_nothing(key)})  # there `config` decides
        old, new = identity(before), identity(config)
        changed = [key for key in old | new if old.get(key) != new.get(key)]
        if changed:
            key = changed[0]
            was, now = (f"{key}={typed(values.get(key))}" for values in (old, new))
            raise UserError(f"{now}: {self.path} was begun with {was}; allowed: resume=restart, or another root")

    def _aside(self) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        return aside

    def resume_from(self) -> Path | None:
        """The newest checkpoint that is whole; None: train from the start. One line says what was damaged.

        Where `last.ckpt` is not whole, the steps that the others hold decide, and no clock.

        Raises:
            UserError: a whole one cannot be loaded.
        """
        if is_whole(self.last):
            return self.last
        there = [path for path in (self.last, self.previous, self.best) if path.exists()]
        whole = [path for path in there if is_whole(path)]
        states = {path: self.load(path) for path in whole}
        steps = {path: state["global_step"] for path, state in states.items() if not state.get("within_step")}
        newest = max(steps, key=steps.get, default=None)
        if damaged := [str(path) for path in there if path not in whole]:
            what = f"{' and '.join(damaged)} {'is' if len(damaged) == 1 else 'are'} damaged"
            text = f"warning: {what}; going on from {newest.name if newest else 'the start'}"
            log.warning(text)
            if is_rank_zero():
                print(text, file=sys.stderr)
        return newest

    def load(self, path: Path) -> dict[str, Any]:
        """What a checkpoint of this run holds, on the CPU.

        Raises:
            UserError: it is damaged, or of something else.
        """
        import torch

        if not is_whole(path):
            raise UserError(f"{path}: is damaged; allowed: the same command again, or resume=restart")
        try:
            checkpoint = torch.load(path, weights_only=True, map_location="cpu")
            checkpoint["global_step"], checkpoint["hyper_parameters"]["spec"]
        except Exception as error:  # torch raises whatever its parts do
            why = next(iter(str(error).splitlines()), "")
            raise UserError(
                f"{path}: is no checkpoint of this version: {type(error).__name__}: {why};"
                " allowed: the version that wrote it, or resume=restart"
            ) from error
        return checkpoint

    def check_same_data(self, then: dict[str, Any], now: dict[str, Any], others: str = "") -> None:
        """Compares the `spec` of a checkpoint's data with that of the data at hand.

        Args:
            others: what the command allows beside the same data.

        Raises:
            UserError: they differ, as when a text file has been edited.
        """
        if changed := [key for key in now if then.get(key) != now[key]]:
            raise UserError(
                f"data: {changed[0]} is not what it was when {self.path} was begun; allowed: the same data{others}"
            )

    def check_same_devices(self, checkpoint: dict[str, Any], world_size: int, gpu: bool) -> None:
        """Compares where a checkpoint was written with where it is to be gone on with.

        Args:
            world_size: number of processes.
            gpu: whether they are on GPUs.

        Raises:
            UserError: it would be another run, as where `auto` finds other devices today.
        """
        then = checkpoint.get("world_size", world_size)  # older versions did not write it
        allowed = f"allowed: as {self.path} was begun, resume=restart, or another root"
        if then != world_size:
            raise UserError(f"trainer.devices: {world_size} process(es) here, {then} when the run was begun; {allowed}")
        if checkpoint.get("gpu", gpu) != gpu:
            here, before = ("a GPU", "none") if gpu else ("no GPU", "one")
            raise UserError(f"trainer.accelerator: {here} here, {before} when the run was begun; {allowed}")

    def checkpoint(self, name: str) -> Path:
        """The checkpoint called `best`, `last`, or by its file name.

        Raises:
            UserError: there is none, or it is damaged.
        """
        path = {"best": self.best, "last": self.last, "previous": self.previous}.get(name, Path(name))
        if not os.path.isfile(path):
            raise UserError(f"checkpoint={name}: there is no file {path}; allowed: best, last or a file's name")
        if not is_whole(path):
            raise UserError(f"checkpoint={name}: {path} is damaged; allowed: best, last or a whole file's name")
        return path

    def wandb_id(self) -> str:
        """The id of the run in W&B: given by WANDB_RUN_ID or chosen once, and kept for every later process."""
        file = self.path / "wandb_id"
        given = os.environ.get("WANDB_RUN_ID")
        if given or not file.exists():
            write_text(file, given or secrets.token_hex(4))
        return file.read_text("utf-8").strip()

    def write_result(self, config: Config, **values: Any) -> dict[str, Any]:
        """Writes result.json atomically and returns what it holds; None for a metric that is no number."""
        named = {"experiment": config.experiment, "variant": variant(config), "seed": config.seed}
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
