"""Train: start a run, go on with it, or do nothing if it is finished.

    python -m lightning_dl2.train [experiment=palindrome] [key=value ...]
    python -m lightning_dl2.train -m [sweep=grid|random|tpe] [dry=true] key=a,b ...     train many runs
    python -m lightning_dl2.train --cfg job [key=value ...]     print the configuration and exit
    python -m lightning_dl2.train --help

Every value under conf/ is a key. The last line of standard output is the run directory.
"""

import signal
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from lightning_dl2 import environment, finished
from lightning_dl2.cli import announced, command, doc_of
from lightning_dl2.config import Config, compose, flatten, ineffective
from lightning_dl2.identity import as_typed
from lightning_dl2.outcome import run_and_report
from lightning_dl2.processes import is_rank_zero, launched, started
from lightning_dl2.run import Run


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
    with group.agreeing():
        complete = run.finished(config)
        if not complete:
            tells = config.callbacks.progress_bar and group.rank == 0
            with announced("loading torch") if tells else nullcontext():
                environment.check(config)
        elif group.rank == 0:
            finished.attend(config, run, complete)
    if complete := group.gather(complete)[0]:
        return complete, finished.Objects(run, config)
    words = words or as_typed(config)
    with started(config, words) as group:
        from lightning_dl2.fit import take_part

        return take_part(config, run, words, group)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv)


def _main(words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        from lightning_dl2.usage import print_help

        return print_help(__doc__ or doc_of(__file__))
    if {"-m", "--multirun"} & set(words):
        from lightning_dl2.sweeps import sweep

        return sweep([word for word in words if word not in ("-m", "--multirun")])
    if "--cfg" in words:
        from lightning_dl2.usage import print_job

        return print_job(words)
    # Kept until training listens: it would end the process while torch is imported, and SLURM sends it but once.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    with launched().agreeing():
        config = compose(*words, begun=lambda config: Run.of(config).config_file.is_file())
    if is_rank_zero() and (says := ineffective(config, words)):
        print(f"note: {says}", file=sys.stderr)
    return run_and_report(train, config, words)


if __name__ == "__main__":
    sys.exit(main())
