"""Train: start a run, go on with it, or do nothing if it is finished.

    python -m lightning_dl2.train [experiment=palindrome] [key=value ...]
    python -m lightning_dl2.train -m [sweep=grid|random|tpe] [dry=true] key=a,b
    python -m lightning_dl2.train --cfg job [key=value ...]
    python -m lightning_dl2.train --help

-m trains many runs. --cfg job prints the configuration and exits. Every value
under conf/ is a key. The last line of standard output is the run directory.
"""

import signal
import sys

from lightning_dl2.common.command import command, doc_of
from lightning_dl2.common.launcher import is_rank_zero
from lightning_dl2.config.compose import compose, describe_ineffective
from lightning_dl2.distributed.launch import launched
from lightning_dl2.run.directory import Run
from lightning_dl2.training.outcome import run_and_report
from lightning_dl2.training.session import Session
from lightning_dl2.training.start import train_session


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return command(_main, argv)


def _main(words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        from lightning_dl2.config.help import print_help

        return print_help(__doc__ or doc_of(__file__))
    if {"-m", "--multirun"} & set(words):
        from lightning_dl2.sweeps.sweep import sweep

        return sweep([word for word in words if word not in ("-m", "--multirun")])
    if "--cfg" in words:
        from lightning_dl2.config.help import print_job

        return print_job(words)
    # Kept until training listens: it would end the process while torch is imported, and SLURM sends it but once.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    group = launched()
    with group.all_or_none():
        config = compose(*words, begun=lambda config: Run.of(config).config_file.is_file())
    if is_rank_zero() and (says := describe_ineffective(config, words)):
        print(f"note: {says}", file=sys.stderr)
    return run_and_report(train_session, Session.open(config, words, group))


if __name__ == "__main__":
    sys.exit(main())
