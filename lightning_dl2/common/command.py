"""What every command shares: one line and exit code 2 for wrong input, results on stdout, the rest on stderr."""

import ast
import codecs
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from io import TextIOWrapper
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, TextIO

from lightning_dl2.common.errors import ProcessError, UserError
from lightning_dl2.common.files import DISK_ERRORS, WriteError

if TYPE_CHECKING:
    from rich.console import Console


# What asks a command that trains to save and stop.
SIGNALS: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # a terminal that is closed; ignored behind nohup
    SIGNALS += (signal.SIGHUP,)
SILENCE = 1.0  # seconds in which a command need not say what it does
REQUEUE = 75  # EX_TEMPFAIL, an exit code: stopped, and whoever started this may start it again


def doc_of(file: str) -> str:
    """Read a module's docstring from its source: with `python -OO` there is no other."""
    return ast.get_docstring(ast.parse(Path(file).read_text("utf-8"))) or ""


def command(function: Callable[[list[str]], int], argv: list[str] | None, doc: str | None = None) -> int:
    """Runs a command and turns a UserError into one line on stderr.

    Args:
        function: takes the words of the command.
        argv: these words; None: those that were typed.
        doc: printed instead where they ask for --help or -h; None: that is for `function`, too.

    Returns:
        The exit code: 2 for a UserError, 1 for a ProcessError, a disk or an output that is full, 130 for SIGINT, 141
        where the output is a pipe that nobody reads any more, else what `function` returned.
    """
    words = sys.argv[1:] if argv is None else argv
    if argv is None:  # a process of its own, which draws into files alone, whatever the user's notebooks draw on
        os.environ["MPLBACKEND"] = "agg"
    _escape_what_the_locale_lacks()
    with redirect_stderr(Losable(sys.stderr)) if sys.stderr else nullcontext():
        return _command(function, words, doc)


def _command(function: Callable[[list[str]], int], words: list[str], doc: str | None) -> int:
    try:
        if doc and {"--help", "-h"} & set(words):
            print(doc.strip())
            code = 0
        else:
            if not {"--help", "-h"} & set(words):
                _check_directory()
            code = function(words)
        if sys.stdout:
            sys.stdout.flush()
        return code
    except (UserError, ProcessError) as error:
        if not error.is_reported:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:  # with nothing begun that would have to be saved
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read the output has seen enough
        _to_nowhere(sys.stdout)
        return 128 + signal.SIGPIPE
    except WriteError as error:  # a file, not the output
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(f"error: {error}", file=sys.stderr)
        _to_nowhere(sys.stdout)
        return 1


def _check_directory() -> None:
    """Raise UserError where the current directory has been deleted: torch cannot be loaded there, nor Hydra work."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError("the current directory is not there any more; fix: change to one that exists") from error


def _escape_what_the_locale_lacks() -> None:
    """Lets stdout and stderr write characters that their encoding lacks as \\u2014, where Python would raise."""
    codecs.register_error("lightning_dl2", _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="lightning_dl2")


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)  # bytes of a file's name come out as they came in
    except UnicodeEncodeError:
        return codecs.lookup_error("backslashreplace")(error)


@contextmanager
def announced(text: str) -> Iterator[None]:
    """Tell on stderr what the block does, if it takes longer than `SILENCE`.

    An error that comes sooner stands alone: bad input is one line.
    """
    timer = Timer(SILENCE, lambda: print(f"{text} ...\n", end="", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Losable:
    """Standard error as a stream that never fails: what a full disk or a closed pipe does not take is dropped.

    Else a message that nobody can read would end a training, or change the exit code of what it tells.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _drop(self) -> None:
        _to_nowhere(self._stream)


def _to_nowhere(stream: TextIO) -> None:
    """Drop what is still to be written to `stream`; Python would fail at it once more when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)


def console(*, stderr: bool = False) -> "Console":
    """A console that never breaks a line of a file or a pipe in the middle."""
    from rich.console import Console

    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=200)
