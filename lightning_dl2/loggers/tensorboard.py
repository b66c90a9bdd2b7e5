"""Log to TensorBoard, each step once, however often a run is resumed."""

import logging
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from lightning_dl2.common.files import WriteError, writing

log = logging.getLogger(__name__)


class TensorBoard(TensorBoardLogger):
    """Log to event files in which a run that was killed and resumed has each step once.

    A resumed run logs the steps after its checkpoint again, and TensorBoard purges the old ones. It also repeats
    the values that followed the checkpoint at its own step, such as a validation: those are skipped.

    Args:
        path: the run directory; the event files are in its folder `tensorboard`.
        last_step: the step at which the run resumes; 0 for a new run.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        self._folder, self._last_step = path / "tensorboard", last_step
        purge_step = last_step + 1 if last_step else 0
        super().__init__(path, name=None, version=self._folder.name, purge_step=purge_step)

    @cached_property
    def _known(self) -> set[str]:
        """Find the scalars that earlier processes logged at `last_step`."""
        if not self._last_step or not self._folder.is_dir():
            return set()
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(self._folder), size_guidance={"scalars": 0}).Reload()
        names = events.Tags()["scalars"]
        return {name for name in names if any(event.step == self._last_step for event in events.Scalars(name))}

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Log them once, at the start of the run."""
        if not self._last_step:
            with writing(self._folder):
                super().log_hyperparams(*args, **kwargs)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if step == self._last_step:
            metrics = {name: value for name, value in metrics.items() if name not in self._known}
        with writing(self._folder):
            super().log_metrics(metrics, step)
            self.experiment.flush()  # as metrics.csv does: a killed process loses no row

    @rank_zero_only
    def save(self) -> None:
        with writing(self._folder):
            super().save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        try:
            with writing(self._folder):
                super().finalize(status)
        except WriteError as error:
            if status != "failed":
                raise
            log.error("%s", error)
