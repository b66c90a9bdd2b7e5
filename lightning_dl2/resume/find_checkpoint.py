"""Find the checkpoint of a run directory to resume from, and check that it fits the run at hand."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.launcher import is_rank_zero
from lightning_dl2.common.run_files import Checkpoint
from lightning_dl2.resume.checkpoint_file import is_whole, open_whole

OTHERWISE = ", resume=restart, or another root"  # what training allows beside the same data
log = logging.getLogger(__name__)

RESTORED = ("epoch", "state_dict", "callbacks", "loops", "optimizer_states", "lr_schedulers")  # of a checkpoint


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
        newest = max(steps, key=lambda path: steps[path], default=None)
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

        try:
            with open_whole(path) as content:
                checkpoint = torch.load(content, weights_only=True, map_location="cpu")
            Checkpoint.model_validate(checkpoint)
        except OSError as error:
            raise UserError(f"{path}: is damaged; fix: use the same command again, or resume=restart") from error
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
            what = "the content" if changed[0] == "digest" else changed[0]
            raise UserError(
                f"data: {what} is not what it was when {self.path} was begun; fix: use the same data{others}"
            )

    @staticmethod
    def check_fits(path: Path, checkpoint: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
        """Check that training can resume from a checkpoint: it has what Lightning restores, and the net's weights.

        Args:
            path: of the checkpoint.
            shapes: of the net's weights, by name.

        Raises:
            UserError: it has not.
        """
        missing = [key for key in RESTORED if key not in checkpoint]
        theirs = {name: tuple(getattr(value, "shape", ())) for name, value in checkpoint.get("state_dict", {}).items()}
        differing = [name for name in sorted(theirs | shapes) if theirs.get(name) != shapes.get(name)]
        if missing or differing:
            what = f"has no {missing[0]}" if missing else f"is of another net, with another {differing[0]}"
            raise UserError(f"{path}: {what}; fix: use the version that wrote it, or resume=restart")

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
        try:
            with open_whole(path):
                return path
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            if isinstance(error, FileNotFoundError) or not os.path.lexists(path):
                what, allowed = f"there is no file {path}", "best, last or a file's name"
            else:
                what, allowed = f"{path} is damaged", "best, last or a whole file's name"
            raise UserError(f"checkpoint={name}: {what}; allowed: {allowed}") from error
