"""Run a command: wrong input is one line and exit code 2, results go to stdout, all else to stderr."""

import ast
import codecs
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

from lightning_dl2.common.errors import ProcessError, UserError
from lightning_dl2.common.files import DISK_ERRORS, WriteError

if TYPE_CHECKING:
    from rich.console import Console


# What asks a command that trains to save and stop.
SIGNALS: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # sent when the terminal closes; nohup ignores it
    SIGNALS += (signal.SIGHUP,)
SILENCE = 1.0  # seconds before `announced` speaks
REQUEUE = 75  # exit code EX_TEMPFAIL: the training stopped early and the same command resumes it


def read_docstring(file: str) -> str:
    """Read a module's docstring from its source, because `python -OO` drops `__doc__`."""
    return ast.get_docstring(ast.parse(Path(file).read_text("utf-8"))) or ""


def command(function: Callable[[list[str]], int], argv: list[str] | None, doc: str | None = None) -> int:
    """Run a command and turn a UserError into one line on stderr.

    Args:
        function: takes the arguments and returns the exit code.
        argv: the arguments; None: those of the command line.
        doc: printed for --help and -h; None: `function` handles these itself.

    Returns:
        The exit code: 2 for a UserError, 1 for a ProcessError or a full disk, 130 for SIGINT, 141 for a pipe that its
        reader has closed, else that of `function`.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if argv is None:  # this process draws into files only, whatever backend the user's notebooks choose
        os.environ["MPLBACKEND"] = "agg"
    _escape_what_the_locale_lacks()
    with redirect_stderr(LossyStream(sys.stderr)) if sys.stderr else nullcontext():
        return _command(function, arguments, doc)


def _command(function: Callable[[list[str]], int], arguments: list[str], doc: str | None) -> int:
    try:
        if doc and {"--help", "-h"} & set(arguments):
            print(doc.strip())
            code = 0
        else:
            if not {"--help", "-h"} & set(arguments):
                _check_directory()
            code = function(arguments)
        if sys.stdout:
            sys.stdout.flush()
        return code
    except (UserError, ProcessError) as error:
        if not error.is_reported:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:  # no training runs that would have to be saved
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # such as `| head`
        _discard_output(sys.stdout)
        return 128 + signal.SIGPIPE
    except WriteError as error:  # a file, not the output
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(f"error: {error}", file=sys.stderr)
        _discard_output(sys.stdout)
        return 1


def _check_directory() -> None:
    """Raise UserError if the current directory has been deleted: neither torch nor Hydra works there."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError("the current directory does not exist any more; fix: change to one that exists") from error


def _escape_what_the_locale_lacks() -> None:
    """Make stdout and stderr write characters that their encoding lacks as \\u2014, where Python would raise."""
    codecs.register_error("lightning_dl2", _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="lightning_dl2")


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)  # bytes of a file name come out unchanged
    except UnicodeEncodeError:
        return codecs.lookup_error("backslashreplace")(error)


@contextmanager
def announced(text: str) -> Iterator[None]:
    """Print on stderr what the block does, if it takes longer than `SILENCE`.

    An earlier error is the only line: bad input is one line.
    """
    timer = threading.Timer(SILENCE, lambda: print(f"{text} ...\n", end="", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def handling_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle `SIGNALS` by `handler` within the block. Outside of the main thread nothing happens: none arrive there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, former in before.items():
            signal.signal(number, former)


class LossyStream:
    """Wrap standard error so that it never fails: text that a full disk or a closed pipe rejects is dropped.

    Otherwise a message that nobody can read would end a training or change its exit code.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            _discard_output(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            _discard_output(self._stream)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _discard_output(stream: TextIO) -> None:
    """Drop the unwritten text of `stream`, at which Python would fail again when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)


def console(*, stderr: bool = False) -> "Console":
    """Return a console that never wraps lines that go to a file or a pipe."""
    from rich.console import Console

    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=200)
