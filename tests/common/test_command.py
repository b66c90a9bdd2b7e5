"""Test that a user error is one line with exit code 2, and that a pipe closed early is no error."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from io import BytesIO, TextIOWrapper

import pytest

from lightning_dl2.common.command import announced, command
from lightning_dl2.common.errors import UserError, nearest


def test_user_error_is_one_line(capsys):
    def wrong(words):
        raise UserError(f"{words[0]}:\n  is   wrong")

    assert command(wrong, ["a=1"]) == 2
    assert capsys.readouterr() == ("", "error: a=1: is wrong\n")


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("latin-1", b"\xe9 \\u2014 r\xfcns\n"),
        ("ascii", b"\\xe9 \\u2014 r\xfcns\n"),
        ("utf-8", b"\xc3\xa9 \xe2\x80\x94 r\xfcns\n"),
    ],
)
def test_what_the_locale_lacks_is_escaped(monkeypatch, encoding, written):
    r"""Characters that the locale lacks are escaped; undecodable bytes of a file name, \udcfc, are kept."""
    stream = TextIOWrapper(BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert command(lambda words: print("\xe9 \u2014 r\udcfcns") or 0, []) == 0
    assert stream.buffer.getvalue() == written


def test_other_errors_are_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        command(lambda words: 1 // 0, [])


def test_code_is_passed_on():
    assert command(lambda words: len(words), ["a", "b", "c"]) == 3


def test_nearest_comes_first():
    assert nearest("lst", ["gru", "lstm"]) == "did you mean lstm? allowed: gru, lstm"
    assert nearest("xyz", ["gru", "lstm"]) == "allowed: gru, lstm"


PRINTS_MUCH = (
    "import sys; from lightning_dl2.common.command import command;"
    " sys.exit(command(lambda w: print('x' * 10**6) or 0, []))"
)


def test_closed_pipe_is_quiet():
    with subprocess.Popen(
        [sys.executable, "-c", PRINTS_MUCH], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.slow
def test_a_full_output_is_one_line():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([sys.executable, "-c", PRINTS_MUCH], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: [Errno 28] No space left on device\n")


def test_no_output_at_all_is_no_error(monkeypatch):
    """Closed output is no error, as after >&- or under pythonw."""
    monkeypatch.setattr(sys, "stdout", None)
    assert command(lambda words: 0, []) == 0


def test_an_interrupt_is_one_line(capsys):
    def interrupted(words):
        raise KeyboardInterrupt

    assert command(interrupted, []) == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize("reader", ["full", "gone"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("raise UserError('a=1: is wrong')", 2),
        ("raise KeyboardInterrupt", 130),
        ("logging.warning('a'); return 75", 75),
    ],
)
def test_a_message_that_cannot_be_written_changes_no_exit_code(reader, body, code):
    program = (
        "import logging, sys\nfrom lightning_dl2.common.command import command\n"
        "from lightning_dl2.common.errors import UserError\n"
        f"def function(words):\n print('note', file=sys.stderr)\n {body}\nsys.exit(command(function, []))"
    )
    with open("/dev/full", "w", encoding="utf-8") as full:
        stderr = full if reader == "full" else subprocess.PIPE
        with subprocess.Popen([sys.executable, "-c", program], stderr=stderr) as process:
            if reader == "gone":
                process.stderr.close()
    assert process.returncode == code


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_is_heard_but_not_behind_nohup(ignored):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        code = "from lightning_dl2.common.command import SIGNALS; print(*SIGNALS)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (str(int(signal.SIGHUP)) in done.stdout.split()) is not ignored


def test_a_current_directory_that_is_gone_is_told(tmp_path, monkeypatch, capsys):
    """A deleted current directory is reported in one line, before torch and Hydra fail in it."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert command(lambda words: 0, []) == 2
    assert capsys.readouterr().err == (
        "error: the current directory does not exist any more; fix: change to one that exists\n"
    )
    assert command(lambda words: 0, ["--help"]) == 0


def test_a_command_draws_into_files_whatever_the_backend_is_called(monkeypatch):
    """An unknown matplotlib backend does not fail a command; a call from Python keeps the backend."""
    monkeypatch.setenv("MPLBACKEND", "junk")
    monkeypatch.setattr(sys, "argv", ["train"])
    found = []
    for argv in ([], None):
        assert command(lambda words: found.append(os.environ["MPLBACKEND"]) or 0, argv) == 0
    assert found == ["junk", "agg"]


@pytest.mark.slow
def test_help_without_docstrings():
    code = """
import sys
from importlib import import_module
for name in ("train", "evaluate", "generate", "predict", "report", "analyze"):
    module = import_module("lightning_dl2." + name)
    if module.__doc__ or module.main(["--help"]):
        sys.exit(name + " has no help")
if module.main(["bptt", "--help"]):
    sys.exit("bptt has no help")
"""
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("Train: start a run", "Evaluate", "Generate: continue", "Predict", "Report", "Analyze"):
        assert word.lower()[:7] in done.stdout.lower()


def test_what_takes_long_is_announced(monkeypatch, capsys):
    monkeypatch.setattr("lightning_dl2.common.command.SILENCE", 0.0)
    with announced("waiting"):
        while not (told := capsys.readouterr().err):
            time.sleep(0.01)
    assert told == "waiting ...\n"


def test_what_ends_at_once_is_not_announced(monkeypatch, capsys):
    monkeypatch.setattr("lightning_dl2.common.command.SILENCE", 0.1)
    with suppress(UserError), announced("waiting"):
        raise UserError("key=value: is wrong")
    time.sleep(0.2)
    assert capsys.readouterr().err == ""
