"""Train: start a run, go on with it, or do nothing if it is finished.

    python -m lightning_dl2.train [experiment=palindrome] [key=value ...]
    python -m lightning_dl2.train --cfg job [key=value ...]     print the configuration and exit
    python -m lightning_dl2.train --help

Every value under conf/ is a key. The last line of standard output is the run directory.
"""

import sys
from typing import Any

from lightning_dl2.cli import UserError, command
from lightning_dl2.config import Config, as_typed, compose
from lightning_dl2.run import Run, is_rank_zero


def train(config: Config, words: list[str] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Trains `config` in its run directory, from where it stands.

    Args:
        config: of `compose`.
        words: what was typed, for overrides.txt; None: what could be typed for `config`.

    Returns:
        The content of result.json, and the objects: `run`, and after training `task`, `datamodule`, `trainer`.

    Raises:
        UserError: the configuration is impossible on this machine, or the run directory cannot be used.
        Interrupted: a signal or the time limit stopped it; the state is saved.
    """
    run = Run.of(config)
    if finished := run.finished(config):
        return finished, {"run": run}
    from lightning_dl2 import environment
    from lightning_dl2.data import build_data
    from lightning_dl2.fit import fit
    from lightning_dl2.log import logging_to
    from lightning_dl2.tasks import build_task

    environment.check(config)
    # Before the directory: a file that is no text, or a net that cannot be, creates none.
    data = build_data(config.data, config.seed)
    environment.set_num_threads(config.trainer.num_threads)
    environment.seed(config.seed)
    task = build_task(config.task, config.optimizer, data.spec)
    with run.held(config, words or as_typed(config)), logging_to(run.log_file if is_rank_zero() else None):
        return fit(config, run, data, task)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv)


def _main(words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        from lightning_dl2.usage import print_help

        return print_help(__doc__)
    if "--cfg" in words:
        import yaml

        flag = words.index("--cfg")
        if words[flag + 1 : flag + 2] != ["job"]:
            raise UserError(f"{' '.join(words[flag : flag + 2])}: allowed: --cfg job")
        config = compose(*words[:flag], *words[flag + 2 :])
        print(yaml.safe_dump(config.model_dump(), sort_keys=False), end="")
        return 0
    from lightning_dl2.outcome import run_and_report

    return run_and_report(train, compose(*words), words)


if __name__ == "__main__":
    sys.exit(main())
