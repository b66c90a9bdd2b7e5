"""Start a run, resume it, or return the result of a complete one."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from lightning_dl2.common.command import announced
from lightning_dl2.config.identity import to_overrides
from lightning_dl2.config.overrides import flatten
from lightning_dl2.config.schema import Config
from lightning_dl2.distributed.launch import launched, started
from lightning_dl2.run.directory import Run
from lightning_dl2.training import finished, preflight


def train(config: Config, words: list[str] | None = None) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Trains `config` in its run directory, from where it stands; does not train a run that is complete.

    Args:
        config: of `compose`.
        words: what was typed, for overrides.txt; None: what could be typed for `config`.

    Returns:
        The content of result.json, and the objects `run`, `task`, `datamodule`, `trainer`. Of a run that was complete
        already they are loaded when they are first asked for; the task is then that of `best.ckpt`.

    Raises:
        TypeError: `config` is no configuration.
        UserError: the configuration is impossible on this machine, or the run directory cannot be used.
        Interrupted: a signal or the time limit stopped it; the state is saved.
    """
    if not isinstance(config, Config):
        kind = type(config).__name__
        raise TypeError(f"train: config is of the type {kind}; allowed: a configuration, as of compose('seed=1')")
    run, group = Run.of(config), launched()
    group.agree(flatten(config.model_dump()))
    with group.all_or_none():
        complete = run.finished(config)
        if not complete:
            tells = config.callbacks.progress_bar and group.rank == 0
            with announced("loading torch") if tells else nullcontext():
                preflight.check(config)
        elif group.rank == 0:
            finished.attend(config, run, complete)
    if complete := group.gather(complete)[0]:
        return complete, finished.Objects(run, config)
    words = words or to_overrides(config)
    with started(config, words) as group:
        from lightning_dl2.training.fit import run_rank

        return run_rank(config, run, words, group)
