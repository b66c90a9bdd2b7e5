"""Find the checkpoint of a run directory to resume from, and check that the run can resume from it."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.launcher import is_rank_zero
from lightning_dl2.common.run_files import Checkpoint, Damaged
from lightning_dl2.resume import checkpoint_file

PARTS = "parts"  # key of a spec that only messages read: what the data consist of
OTHERWISE = ", resume=restart, or another root"  # ways out of training beside the same data
DESCRIBING = ("columns",)  # keys of a spec for other data; the digest is that of the content
log = logging.getLogger(__name__)

RESTORED = ("epoch", "state_dict", "callbacks", "loops", "optimizer_states", "lr_schedulers")  # of a checkpoint


def data_spec(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the `spec` of the data that a checkpoint was trained on; older versions kept it with the task alone."""
    kept = checkpoint.get("data_spec")
    return checkpoint.get("hyper_parameters", {}).get("spec", {}) if kept is None else kept


def describe_change(then: dict[str, Any], now: dict[str, Any], changed: list[str]) -> str:
    """Name what has changed of the content of data, as far as both specs know it.

    Args:
        then: the spec of the run, in which PARTS maps what the data consist of to digests or numbers.
        now: that of the data at hand.
        changed: the keys of the spec that differ.
    """
    before, after = then.get(PARTS), now.get(PARTS)
    if not after:
        return ""
    if not before:
        names = [key for key in changed if key != "digest" and not isinstance(now[key], float | list)]
        told = f"{', '.join(names)} changed; " if names else ""
        return f" ({told}an older version may have read the same files otherwise)"
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    told = ", ".join(
        f"{name} {before.get(name, 'none')} -> {after.get(name, 'none')}"
        if isinstance(before.get(name, after.get(name)), int)
        else name
        for name in names
    )
    return f" (changed: {told})"


class ResumePoint:
    """A checkpoint to resume from, loaded once and given away once.

    Attributes:
        checkpoint: the content; empty once it is taken.
        step: the number of optimiser steps, and likewise the epoch, that it was written at.
        numerics: of the process that wrote it; None where an older version did.
    """

    def __init__(self, path: Path, checkpoint: dict[str, Any]) -> None:
        self.path, self.checkpoint = path, checkpoint
        self.step: int = checkpoint["global_step"]
        self.epoch: int = checkpoint.get("epoch", 0)
        self.numerics: dict[str, Any] | None = checkpoint.get("numerics")

    def take(self) -> dict[str, Any]:
        """Give the content away: this object no longer holds its memory."""
        checkpoint, self.checkpoint = self.checkpoint, {}
        return checkpoint


class CheckpointFiles:
    """`last.ckpt`, `previous.ckpt` and `best.ckpt` of a run.

    Args:
        path: the run directory; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.previous = self.checkpoints / "previous.ckpt"
        self.best = self.checkpoints / "best.ckpt"

    def find_resume_point(self) -> ResumePoint | None:
        """Load the newest checkpoint that is whole; None: train from the start. One line says what was damaged.

        Where `last.ckpt` is not whole, the steps that the others hold decide, and no clock.

        Raises:
            UserError: a whole one cannot be loaded.
        """
        with suppress(Damaged):
            return ResumePoint(self.last, self.load(self.last))
        damaged = [str(self.last)] if self.last.exists() else []
        newest = None
        for path in (self.previous, self.best):
            try:
                checkpoint = self.load(path)
            except Damaged:
                damaged += [str(path)] if path.exists() else []
                continue
            # A checkpoint with within_step was written between two batches of one optimiser step, as best.ckpt may be
            # with trainer.accumulate_grad_batches > 1. It lacks the gradients so far: no exact resume is possible.
            if not checkpoint.get("within_step") and (newest is None or checkpoint["global_step"] > newest.step):
                newest = ResumePoint(path, checkpoint)
        if damaged:
            what = f"{' and '.join(damaged)} {'is' if len(damaged) == 1 else 'are'} damaged"
            text = f"warning: {what}; {f'resuming from {newest.path.name}' if newest else 'starting anew'}"
            log.warning(text)
            if is_rank_zero():
                print(text, file=sys.stderr)
        return newest

    @staticmethod
    def load(path: Path) -> dict[str, Any]:
        """Verify a checkpoint of this run and load it onto the CPU.

        Raises:
            Damaged: it is damaged, or does not exist.
            UserError: it is whole, but of something else.
        """
        try:
            checkpoint = checkpoint_file.read(path)
            Checkpoint.model_validate(checkpoint)
        except OSError as error:
            raise Damaged(path, "is damaged", "use the same command again, or resume=restart") from error
        except Exception as error:  # torch raises whatever its parts do
            why = next(iter(str(error).splitlines()), "")
            raise UserError(
                f"{path}: is no checkpoint of this version: {type(error).__name__}: {why};"
                " fix: use the version that wrote it, or resume=restart"
            ) from error
        return checkpoint

    def check_same_data(self, then: dict[str, Any], now: dict[str, Any], others: str = "") -> None:
        """Compare the `spec` of a checkpoint's data with that of the data at hand.

        Args:
            others: ways out of the command beside the same data, such as OTHERWISE.

        Raises:
            UserError: the two differ, as when a text file has been edited.
        """
        if changed := [key for key in now if key not in (PARTS, *DESCRIBING) and then.get(key) != now[key]]:
            what = "the content" if "digest" in changed else changed[0]
            known = describe_change(then, now, changed) if "digest" in changed else ""
            raise UserError(
                f"data: {what} is not what it was when {self.path} was begun{known}; fix: use the same data{others}"
            )

    @staticmethod
    def check_fits(start: ResumePoint, shapes: dict[str, tuple[int, ...]]) -> None:
        """Check that training can resume from a checkpoint: it has all that Lightning restores, and the net's weights.

        Args:
            shapes: of the net's weights, by name.

        Raises:
            UserError: the checkpoint lacks some of it.
        """
        checkpoint = start.checkpoint
        missing = [key for key in RESTORED if key not in checkpoint]
        saved = {name: tuple(getattr(value, "shape", ())) for name, value in checkpoint.get("state_dict", {}).items()}
        differing = [name for name in sorted(saved | shapes) if saved.get(name) != shapes.get(name)]
        if missing or differing:
            what = f"has no {missing[0]}" if missing else f"is of another net, with another {differing[0]}"
            raise UserError(f"{start.path}: {what}; fix: use the version that wrote it, or resume=restart")

    def check_same_devices(self, checkpoint: dict[str, Any], world_size: int, gpu: bool) -> None:
        """Compare the devices that wrote a checkpoint with those that are to resume from it.

        Args:
            world_size: number of ranks here.
            gpu: whether they compute on GPUs.

        Raises:
            UserError: the devices differ, as where `auto` finds other ones today; the result would, too.
        """
        then = checkpoint.get("world_size", world_size)  # older versions did not write it
        fix = f"fix: use the devices that {self.path} was begun with, resume=restart, or another root"
        if then != world_size:
            raise UserError(f"trainer.devices: {world_size} process(es) here, {then} when the run was begun; {fix}")
        if checkpoint.get("gpu", gpu) != gpu:
            here, before = ("a GPU", "none") if gpu else ("no GPU", "one")
            raise UserError(f"trainer.accelerator: {here} here, {before} when the run was begun; {fix}")

    @contextmanager
    def open_checkpoint(self, name: str) -> Iterator[BufferedReader]:
        """Open the checkpoint called `best`, `last`, or by its file name; the block reads what was verified.

        Raises:
            UserError: the file does not exist, or is damaged.
        """
        path = {"best": self.best, "last": self.last, "previous": self.previous}.get(name, Path(name))
        with ExitStack() as stack:
            try:
                content = stack.enter_context(checkpoint_file.open_whole(path))
            except (OSError, ValueError) as error:  # ValueError: a NUL in the name
                if isinstance(error, FileNotFoundError) or not os.path.lexists(path):
                    what, allowed = f"there is no file {path}", "best, last or a file's name"
                else:
                    what, allowed = f"{path} is damaged", "best, last or a whole file's name"
                raise UserError(f"checkpoint={name}: {what}; allowed: {allowed}") from error
            yield content
