"""Resolve once what a training needs to know beside its configuration: directory, ranks, devices."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from lightning_dl2.common import launcher
from lightning_dl2.config.identity import to_overrides
from lightning_dl2.config.schema import Config
from lightning_dl2.distributed.devices import Devices
from lightning_dl2.distributed.group import Group
from lightning_dl2.distributed.launch import launched, start_ranks
from lightning_dl2.run.directory import Run


@dataclass(frozen=True)
class Session:
    """One training, handed down from its start to its result: no function below resolves any of this again."""

    config: Config
    overrides: list[str]  # as typed, for overrides.txt
    run: Run  # the run directory of `config`
    group: Group  # this process and the others that train; before `with_all_ranks` those that a launcher has started
    devices: Devices  # of this machine; torch is imported when they are first asked for
    is_rank_zero: bool  # whether this process writes files and speaks
    callbacks: tuple[Any, ...] = ()  # objects of a Python script, beside those of `config`
    loggers: tuple[Any, ...] = ()

    @classmethod
    def open(
        cls,
        config: Config,
        overrides: list[str] | None = None,
        group: Group | None = None,
        callbacks: tuple[Any, ...] = (),
        loggers: tuple[Any, ...] = (),
    ) -> "Session":
        """Resolve a session.

        Args:
            overrides: as typed; none: what could be typed for `config`.
            group: of `launched`; None: it is asked for here.
            callbacks: objects of a Python script; likewise `loggers`.

        Raises:
            UserError, ProcessError: as `launched` does.
        """
        group = group or launched()
        devices = Devices(config.trainer)
        words, run = overrides or to_overrides(config), Run.of(config)
        return cls(config, words, run, group, devices, launcher.is_rank_zero(), callbacks, loggers)

    @contextmanager
    def with_all_ranks(self) -> Iterator["Session"]:
        """Yield this session with all processes that `config` asks for; raises as `start_ranks`."""
        work = {"config": self.config.model_dump(), "overrides": self.overrides}
        with start_ranks(self.group, self.devices.per_machine, self.config.trainer.num_nodes, work) as group:
            yield replace(self, group=group)
