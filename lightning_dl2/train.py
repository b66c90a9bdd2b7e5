"""Train: start a run, resume it, or do nothing if it is finished.

    python -m lightning_dl2.train [experiment=palindrome] [key=value ...]
    python -m lightning_dl2.train -m [sweep=grid|random|tpe] [dry=true] key=a,b
    python -m lightning_dl2.train --cfg job [key=value ...]
    python -m lightning_dl2.train --config-dir DIR [experiment=mine] ...
    python -m lightning_dl2.train --help

-m trains many runs. --cfg job prints the configuration and exits. Every value
under conf/ is a key. --config-dir adds a directory of configuration files of
your own, as the variable LIGHTNING_DL2_CONF does; its files come first. The
last line of standard output is the run directory.
"""

import signal
import sys

from lightning_dl2.common.command import command, read_docstring
from lightning_dl2.common.launcher import is_rank_zero
from lightning_dl2.config.compose import compose, describe_ineffective
from lightning_dl2.config.conf_files import take_config_dir
from lightning_dl2.distributed.launch import launched
from lightning_dl2.run.directory import Run
from lightning_dl2.training.outcome import run_and_report
from lightning_dl2.training.session import Session
from lightning_dl2.training.start import train_session


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(_main, argv)


def _main(argv: list[str]) -> int:
    argv = take_config_dir(argv)
    if "--help" in argv or "-h" in argv:
        from lightning_dl2.config.help import print_help

        return print_help(__doc__ or read_docstring(__file__))
    if {"-m", "--multirun"} & set(argv):
        from lightning_dl2.sweeps.sweep import sweep

        return sweep([word for word in argv if word not in ("-m", "--multirun")])
    if "--cfg" in argv:
        from lightning_dl2.config.help import print_job

        return print_job(argv)
    # Blocked until training handles it: it would end the process while torch is imported, and SLURM sends it once.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    group = launched()
    with group.all_or_none():
        config = compose(*argv, begun=Run.has_begun)
    if is_rank_zero() and (note := describe_ineffective(config, argv)):
        print(f"note: {note}", file=sys.stderr)
    return run_and_report(train_session, Session.open(config, argv, group))


if __name__ == "__main__":
    sys.exit(main())
