"""Log to Weights & Biases: one run there for each run directory, and no failure of W&B stops the training.

W&B's own process stores the metrics on the disk and sends them. Where W&B cannot be reached at the start, the run is
logged offline. Where it fails later, the rest is not sent. One line on stderr reports either.
"""

import logging
import math
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from lightning_dl2.common.run_files import read_metrics
from lightning_dl2.common.statistics import by_quality, split_of
from lightning_dl2.config.schema import Config
from lightning_dl2.loggers.gradient_flow_csv import with_gradient_flow
from lightning_dl2.loggers.wandb_artifacts import ARTIFACTS
from lightning_dl2.loggers.wandb_login import LOCAL
from lightning_dl2.resume.preemption import Interrupted

if TYPE_CHECKING:
    import wandb

    from lightning_dl2.run.directory import Run

log = logging.getLogger(__name__)

STEP = "trainer/global_step"  # the axis of every chart: W&B's own counter counts rows
TEARDOWN = 5.0  # seconds until W&B's own process is killed after a failure


class Wandb(Logger):
    """Log to the W&B run of a run directory. Training opens it at its start, `finish` closes it.

    Args:
        run: its directory, which holds the id and all files of W&B.
        rows: the rows that a resumed run has logged before, as in metrics.csv, in the order of steps.
    """

    def __init__(self, config: Config, run: "Run", rows: Iterable[dict[str, str]] = ()) -> None:
        super().__init__()
        self.config, self.run, self.rows = config, run, tuple(rows)
        self._experiment: wandb.Run | None = None
        self._failed = self._is_offline = False
        self._best: float | None = None

    @property
    def name(self) -> str:
        return "wandb"

    @property
    def version(self) -> str:
        return ""

    @property
    @rank_zero_experiment
    def experiment(self) -> "wandb.Run":
        """Return W&B's own object, opened at the first use."""
        if self._experiment is None:
            self._experiment = self._open()
        return self._experiment

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Log nothing: W&B gets the configuration at the start."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._try(lambda: self.experiment.log({**metrics, STEP: step}))
        self._try(lambda: self._show_best(self.experiment, metrics, step))

    @rank_zero_only
    def finish(self, result: dict[str, Any], error: BaseException | None = None) -> None:
        """Send the result and the artifacts of `logger.artifacts`, and close the run within `logger.finish_timeout`.

        Args:
            result: the content of result.json.
            error: the error that ended the training; None: it is completed.
        """
        if (experiment := self._experiment) is None:
            return
        summary = {key: value for key, value in result.items() if key != "metrics"} | result.get("metrics", {})
        self._try(lambda: experiment.summary.update(summary))
        if error is None:
            for kind in self.config.logger.artifacts:
                self._try(partial(ARTIFACTS[kind], experiment, self.run), f"logger.artifacts={kind}")
        elif isinstance(error, Interrupted):
            self._try(experiment.mark_preempting)  # a sweep agent of W&B restarts such a run
        self._try(lambda: self._close(experiment, _exit_code(error)))
        if self._failed:
            _end_process()  # else W&B would retry, and complain, when Python exits
        elif self._is_offline and not isinstance(error, Interrupted):
            print(f"note: W&B: logged offline; {self._sync_hint()}", file=sys.stderr)
        self._experiment = None

    def _open(self) -> "wandb.Run":
        from wandb.sdk import wandb_setup

        logging.getLogger("wandb").propagate = False  # W&B writes a log of its own
        self._drop_superseded()
        asked = wandb_setup.singleton().settings.mode
        for mode in dict.fromkeys((asked, "offline", "disabled")):
            try:
                found = self._init(mode)
            except Exception as error:
                instead = "logging nothing" if mode in LOCAL else f"logging offline; {self._sync_hint()}"
                _warn(f"cannot start: {_first_line(error)}; {instead}")
                _end_process()  # the process still holds the run's id
                continue
            self._is_offline = mode == asked and mode in ("offline", "dryrun")  # else a warning has said so
            found.define_metric(STEP)
            found.define_metric("*", step_metric=STEP, step_sync=True)
            self._catch_up(found)
            log.info("W&B: run %s, %s", found.id, mode if mode in LOCAL else found.url)
            return found
        raise AssertionError("wandb.init(mode='disabled') cannot fail")

    def _drop_superseded(self) -> None:
        """Remove the offline logs of a killed process: they are cut short, and `wandb sync` would stop at them."""
        for directory in self.run.path.glob("wandb/offline-run-*"):
            if not any(directory.glob("*.synced")):
                shutil.rmtree(directory)

    def _catch_up(self, experiment: "wandb.Run") -> None:
        """Log earlier steps that W&B lacks: offline all of them, online those that a killed process did not send."""
        known = experiment.summary.get(STEP, -1)
        for row in self.rows:
            values = {key: float(value) for key, value in row.items() if value and key != "step"}
            if int(row["step"]) >= known:  # the last known step may have had more than one row
                experiment.log({**values, STEP: int(row["step"])})
            self._show_best(experiment, values, int(row["step"]))

    def _show_best(self, experiment: "wandb.Run", metrics: dict[str, float], step: int | None) -> None:
        """Put the best validation so far, that of `best.ckpt`, into the run's summary."""
        rule = self.config.callbacks.checkpoint
        value = math.nan if rule.monitor is None else metrics.get(rule.monitor, math.nan)
        if math.isfinite(value) and by_quality(value, rule.mode) < by_quality(self._best, rule.mode):
            self._best = value
            found = {
                f"best/{name}": value
                for name, value in metrics.items()
                if split_of(name) == "val" or name == rule.monitor
            }
            experiment.summary.update(found | {"best_step": step})

    def _init(self, mode: Any) -> "wandb.Run":
        import wandb
        from wandb.sdk import wandb_setup

        settings = wandb.Settings(
            init_timeout=max(self.config.logger.init_timeout, 1.0),  # W&B waits forever where this is a tiny number
            finish_timeout=self.config.logger.finish_timeout,
            finish_timeout_raises=True,
            silent=True,  # this module reports W&B's troubles
            console="off",  # train.log has the output
        )
        wandb_setup.singleton().settings  # noqa: B018 - reading the settings decides again what W&B prints
        wandb.termsetup(settings, None)
        logger, path = self.config.logger, f"{self.config.experiment}/{self.run.path.parent.name}"
        own: dict[str, Any] = {"project": logger.project, "entity": logger.entity, "id": self.run.wandb_id()}
        if "WANDB_SWEEP_ID" in os.environ:
            own = {}  # `wandb agent` has created the run
        return wandb.init(
            **own,
            group=logger.group or path,
            name=logger.run_name or os.environ.get("WANDB_NAME") or f"{path}/seed={self.config.seed}",
            notes=logger.notes,
            job_type=logger.job_type,
            tags=logger.tags,
            config=self.config.model_dump(),
            dir=self.run.path,
            resume="allow",
            reinit="create_new",  # leave another run of this process alone
            mode=mode,
            settings=settings,
        )

    def _close(self, experiment: "wandb.Run", exit_code: int) -> None:
        try:
            experiment.finish(exit_code)
        except TimeoutError:
            seconds = self.config.logger.finish_timeout
            _warn(f"could not send everything within {seconds:g} s; {self._sync_hint(online=True)}")

    def _try(self, action: Callable[[], object], what: str = "") -> None:
        """Run `action` and report an error of W&B; after an error without `what`, skip all later actions."""
        if self._failed:
            return
        try:
            action()
        except Exception as error:
            self._failed = not what
            _warn(f"{what or 'stopped logging'}: {_first_line(error)}")

    def _sync_hint(self, online: bool = False) -> str:
        options = "--include-online " if online else ""
        return f"to send it later: wandb sync {options}{self.run.path / 'wandb'}"


def _end_process() -> None:
    """End W&B's own process, which would wait minutes for a server that does not answer."""
    import wandb
    from wandb.sdk import wandb_setup

    with suppress(Exception, SystemExit):  # W&B raises them where its process was killed
        connection = wandb_setup.singleton()._connection
        process = connection._proc._process if connection and connection._proc else None
        killing = threading.Timer(TEARDOWN, process.kill if process else lambda: None)
        killing.start()
        try:
            wandb.teardown()
        finally:
            killing.cancel()


def send_finished(config: Config, run: "Run", result: dict[str, Any]) -> None:
    """Log a completed run from its files: configuration, metrics, gradient flow and result.

    A sweep agent of W&B gets it as its own run, even for a second time: its sweep waits for a value.

    Args:
        result: the content of its result.json.
    """
    logger = Wandb(config, run, with_gradient_flow(read_metrics(run.metrics_file), run, result["steps"]))
    logger._try(lambda: logger.experiment)
    logger.finish(result)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    return error.exit_code if isinstance(error, Interrupted) else 1


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _warn(text: str) -> None:
    log.warning("W&B: %s", text)
    print(f"warning: W&B: {text}", file=sys.stderr)
