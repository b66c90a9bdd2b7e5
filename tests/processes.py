"""Fork commands from a process that has loaded torch: real processes and signals without seconds of import.

A test whose subject is the start of a command starts a new interpreter instead.
"""

import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import chdir
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class ForkedProcess(ForkServerProcess):
    """A process that is forked from the one that has loaded torch."""

    def start(self) -> None:
        with chdir(ROOT):  # the first one starts the other process, which imports the package from its directory
            super().start()


def redirect(out: Path) -> None:
    """Let this process print to `out`/stdout and `out`/stderr."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)


def run_script(script: Path, words: list[str], out: Path) -> None:
    """Run `python script words...` in a forked process, which finds the repository only if the script tells where."""
    redirect(out)
    for name in ("lightning_dl2", "scripts", "tests"):
        sys.modules.pop(name, None)
    elsewhere = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
    sys.path[:], sys.argv[:] = [str(script.parent), *elsewhere], [str(script), *words]
    runpy.run_path(str(script), run_name="__main__")


def fork_interpreters() -> None:
    """Let each `python -m lightning_dl2.X` that this process starts be a fork of it: ranks, and jobs of a sweep."""
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

    subprocess.Popen = subprocess_handler.Popen = ForkedPopen


class ForkedPopen(subprocess.Popen):
    """A process that goes on where its command would have loaded torch."""

    def __init__(self, args: Any, *, env: Any = None, preexec_fn: Callable[[], None] | None = None, **options: Any):
        module = args[args.index("-m") + 1] if "-m" in args else ""
        if not module.startswith("lightning_dl2."):
            super().__init__(args, env=env, preexec_fn=preexec_fn, **options)
            return

        def run() -> None:
            code = 1
            try:
                if preexec_fn:
                    preexec_fn()
                forget_the_parent(os.environ if env is None else env)
                sys.argv = list(args[args.index("-m") + 1 :])
                runpy.run_module(module, run_name="__main__", alter_sys=True)
                code = 0
            except SystemExit as end:
                code = end.code or 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush(), sys.stderr.flush()
                os._exit(code)

        sys.stdout.flush(), sys.stderr.flush()
        super().__init__(args, preexec_fn=run, **options)


def forget_the_parent(env: Mapping[str, str]) -> None:
    """Give this fork the variables, files and signal handlers of a new process."""
    variables = dict(env)
    os.environ.clear()
    os.environ.update(variables)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]:
        if descriptor != null:  # not closed, because an object of the parent may close the number later
            os.dup2(null, descriptor, inheritable=False)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # or the next fork closes it
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    warnings.filterwarnings("ignore", message=".*found in sys.modules")
