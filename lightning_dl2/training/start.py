"""Start a run, resume it, or return the result of a complete one."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from lightning_dl2.common.command import announced
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema import Config
from lightning_dl2.training import finished, preflight
from lightning_dl2.training.session import Session


def train(config: Config, overrides: list[str] | None = None) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Train `config` in its run directory, from where the run stands; a complete run is not trained.

    Args:
        config: of `compose`.
        overrides: as typed, for overrides.txt; None: what could be typed for `config`.

    Returns:
        The content of result.json, and the objects `run`, `task`, `datamodule`, `trainer`. Those of a run that was
        complete already are loaded when they are first asked for; the task is then that of `best.ckpt`.

    Raises:
        TypeError: `config` is no configuration.
        UserError: the configuration is impossible on this machine, or the run directory cannot be used.
        Interrupted: a signal or the time limit stopped the training; its state is saved.
    """
    if not isinstance(config, Config):
        kind = type(config).__name__
        raise TypeError(f"train: config is of the type {kind}; allowed: a configuration, as of compose('seed=1')")
    return train_session(Session.open(config, overrides))


def train_session(
    session: Session, build: Callable[[], tuple[Any, Any]] | None = None
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Train as `train` does, with what is resolved already.

    Args:
        build: returns the data module and the task of this rank; None: the configuration names them.
    """
    config, run, group = session.config, session.run, session.group
    group.agree(flatten(config.model_dump()))
    with group.all_or_none():
        complete = run.finished(config)
        if not complete:
            announces = config.callbacks.progress_bar and group.rank == 0
            with announced("loading torch") if announces else nullcontext():
                preflight.check(config, session.devices)
        elif group.rank == 0:
            finished.attend(config, run, complete)
    if complete := group.gather(complete)[0]:
        return complete, finished.Objects(run, config, build)
    with session.with_all_ranks() as session:
        from lightning_dl2.training.fit import run_rank

        return run_rank(session, build)
