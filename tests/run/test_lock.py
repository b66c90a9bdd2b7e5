"""Test that one process holds a directory: with real processes, killed ones, and other machines."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.run import lock

# A process that holds a directory until its stdin is closed, with a chosen boot id and kind of flock.
pytestmark = pytest.mark.slow  # the holders are processes

HOLDER = """
import errno, fcntl, sys
from pathlib import Path
from lightning_dl2.run import lock
from lightning_dl2.common.errors import UserError

directory, boot, flock = sys.argv[1:]
lock.BEAT = lock.SETTLING = 0.1
lock.PATIENCE = 10
if boot:
    lock._boot_id = lambda: boot
if flock == "unsupported":
    def unsupported(*args):
        raise OSError(errno.ENOLCK, "No locks available")
    fcntl.flock = unsupported
if flock == "local":  # each machine has its own locks
    fcntl.flock = lambda *args: None
print("ready", flush=True)
sys.stdin.readline()
try:
    with lock.locked(Path(directory)):
        print("held", flush=True)
        sys.stdin.read()
except UserError as error:
    print(f"refused: {error}", flush=True)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.1)
    monkeypatch.setattr(lock, "SETTLING", 0.1)
    monkeypatch.setattr(lock, "PATIENCE", 10)


@pytest.fixture
def impatient(monkeypatch):
    """Let this process soon take a holder for dead, where the holder is: killed, or suspended."""
    monkeypatch.setattr(lock, "PATIENCE", 2)


class Holder:
    def __init__(self, directory, boot="", flock=""):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(directory), boot, flock],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def go(self):
        print(file=self.process.stdin, flush=True)
        return self

    def says(self):
        return self.process.stdout.readline().strip()

    def ends(self, by=None):
        if by:
            self.process.send_signal(by)
        self.process.stdin.close()
        self.process.wait(30)
        return self.process.returncode, self.process.stderr.read()


@pytest.fixture
def holder(tmp_path):
    """Return a function that starts holders of tmp_path, and end the remaining ones after the test."""
    started = []

    def start(**options):
        started.append(Holder(tmp_path, **options))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        each.process.stdout.close()
        each.process.stderr.close()


def unsupported(*args):
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


def taken_at_once(directory, capsys):
    """Return whether the directory is taken without a message about waiting."""
    with lock.locked(directory):
        pass
    return capsys.readouterr().err == ""


def test_held_names_its_holder_and_ends_empty(tmp_path, capsys):
    with lock.locked(tmp_path / "deep" / "er"):
        name = json.loads((tmp_path / "deep" / "er" / ".lock").read_text())
        assert name["boot"] == lock._boot_id() and name["beat"] == 0
    assert (tmp_path / "deep" / "er" / ".lock").read_bytes() == b""
    assert taken_at_once(tmp_path / "deep" / "er", capsys)


def test_a_living_process_of_this_machine_is_named_and_a_killed_one_no_obstacle(tmp_path, holder, capsys):
    other = holder().go()
    assert other.says() == "held"
    with pytest.raises(UserError, match=rf"{tmp_path}: is held by process {other.process.pid} on \S+; fix: wait"):
        taken_at_once(tmp_path, capsys)
    assert other.ends(signal.SIGKILL)[0] == -signal.SIGKILL
    assert (tmp_path / ".lock").read_bytes() != b""
    assert taken_at_once(tmp_path, capsys)


def test_a_suspended_process_of_this_machine_still_holds(tmp_path, holder, capsys, impatient):
    other = holder().go()
    assert other.says() == "held"
    other.process.send_signal(signal.SIGSTOP)
    time.sleep(lock.BEAT * lock.PATIENCE)
    with pytest.raises(UserError, match="is held by"):
        taken_at_once(tmp_path, capsys)


@pytest.mark.parametrize("flock", ["local", "unsupported"])
def test_another_machines_living_process_is_seen_by_its_beat(tmp_path, holder, capsys, flock):
    other = holder(boot="elsewhere", flock=flock).go()
    assert other.says() == "held"
    with pytest.raises(UserError, match=f"is held by process {other.process.pid} on "):
        with lock.locked(tmp_path):
            pass
    err = capsys.readouterr().err
    assert f"process {other.process.pid} on " in err and "waiting" in err and err.count("\n") == 1
    assert other.ends() == (0, "")


def test_another_machines_dead_process_is_waited_for_once(tmp_path, holder, capsys, impatient):
    other = holder(boot="elsewhere", flock="local").go()
    assert other.says() == "held"
    other.ends(signal.SIGKILL)
    assert not taken_at_once(tmp_path, capsys)
    assert taken_at_once(tmp_path, capsys)


def test_who_ends_while_it_is_watched_leaves_the_directory(tmp_path, holder):
    """A holder that ends while it is watched frees the directory well before the patience runs out."""
    other = holder(boot="elsewhere", flock="local").go()
    assert other.says() == "held"
    other.process.send_signal(signal.SIGSTOP)
    timer = threading.Timer(3 * lock.BEAT, lambda: (tmp_path / ".lock").write_bytes(b""))
    timer.start()
    with lock.locked(tmp_path):
        timer.join()


def test_without_flock_the_beat_decides_on_the_same_machine_too(tmp_path, holder, capsys, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", unsupported)
    other = holder(flock="unsupported").go()
    assert other.says() == "held"
    with pytest.raises(UserError, match=f"is held by process {other.process.pid} on "):
        taken_at_once(tmp_path, capsys)
    other.ends(signal.SIGKILL)
    with lock.locked(tmp_path):
        pass
    assert (tmp_path / ".lock").read_bytes() == b""


@pytest.mark.parametrize("flock", ["", "unsupported"])
def test_of_those_who_start_at_the_same_moment_one_holds(holder, flock):
    others = [holder(flock=flock) for _ in range(3)]
    for other in others:
        other.go()
    said = sorted(other.says().partition(":")[0] for other in others)
    assert said == ["held", "refused", "refused"]


def test_two_machines_that_start_at_the_same_moment_end_as_one(holder):
    """Without flock, of two machines that start together only one stays; the other sees its name replaced."""
    others = [holder(boot=name, flock="local") for name in ("one", "two", "three")]
    for other in others:
        other.go()
    deadline = time.monotonic() + 30
    while sum(living := [other.process.poll() is None for other in others]) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(5 * lock.BEAT)
    assert [other.process.poll() is None for other in others] == living and sum(living) == 1
    for lives, other in zip(living, others, strict=True):
        code, err = other.ends()
        if lives:
            assert (code, err) == (0, "")
        else:
            assert "has taken it over" in err if code == 2 else other.says().startswith("refused")


def test_who_was_suspended_and_replaced_ends_at_once(tmp_path, holder, impatient):
    other = holder(boot="elsewhere", flock="local").go()
    assert other.says() == "held"
    other.process.send_signal(signal.SIGSTOP)
    with lock.locked(tmp_path):
        other.process.send_signal(signal.SIGCONT)
        other.process.wait(30)
        code, err = other.ends()
        assert code == 2 and err.startswith(f"error: {tmp_path}: process ") and err.count("\n") == 1
        assert json.loads((tmp_path / ".lock").read_text())["boot"] == lock._boot_id()


def test_who_ends_after_it_was_replaced_leaves_the_others_name(tmp_path, capsys, monkeypatch):
    """A holder that ends without having noticed its replacement keeps the other's name in place."""
    monkeypatch.setattr(lock, "SETTLING", 60.0)
    other = {"process": 1, "host": "elsewhere", "boot": "elsewhere", "id": "other", "beat": 0}
    with lock.locked(tmp_path):
        (tmp_path / ".lock").write_text(json.dumps(other) + "\n")
    assert lock.holder(tmp_path) == "process 1 on elsewhere"


def test_a_forked_child_does_not_hold(tmp_path, capsys):
    """A forked child, such as a loader's worker, does not hold the lock after its parent's death."""
    code = """
import os, sys, time
from pathlib import Path
from lightning_dl2.run import lock
with lock.locked(Path(sys.argv[1])):
    if not os.fork():
        print(os.getpid(), flush=True)
        os.kill(os.getppid(), 9)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        child = int(other.stdout.readline())
        other.wait(30)
        try:
            assert taken_at_once(tmp_path, capsys)
        finally:
            subprocess.run(["kill", "-9", str(child)], check=True)


def test_a_directory_moved_away_while_the_lock_was_opened_is_not_the_one(tmp_path, monkeypatch):
    """A lock opened in a directory that another process then moves away is not taken."""
    directory = tmp_path / "run"
    directory.mkdir()
    flock = fcntl.flock

    def moves(*args):
        if not (tmp_path / "aside").exists():
            directory.rename(tmp_path / "aside")
        flock(*args)

    monkeypatch.setattr(fcntl, "flock", moves)
    with lock.locked(directory):
        assert json.loads((directory / ".lock").read_text())
    assert (tmp_path / "aside" / ".lock").read_bytes() == b""


OTHER = {"process": 1, "host": "elsewhere", "boot": "elsewhere", "id": "other", "beat": 0}


@pytest.mark.parametrize("flock", ["local", "unsupported"])
def test_of_two_that_take_over_from_a_dead_one_the_last_to_write_holds(tmp_path, monkeypatch, flock):
    """If two machines take over from a dead holder without flock, the last to write holds the directory."""
    if flock == "unsupported":
        monkeypatch.setattr(fcntl, "flock", unsupported)
    else:
        (tmp_path / ".lock").write_text(json.dumps(OTHER | {"id": "dead"}) + "\n")
    monkeypatch.setattr(lock, "_watch", lambda *args: None)
    monkeypatch.setattr(lock.time, "sleep", lambda _: (tmp_path / ".lock").write_text(json.dumps(OTHER) + "\n"))
    with pytest.raises(UserError, match="is held by process 1 on elsewhere"):
        with lock.locked(tmp_path):
            pass


def test_a_name_is_on_the_disk_before_the_directory_is_held(tmp_path, monkeypatch):
    """The holder's name is synced before the directory is held, so that other machines see it."""
    flushed, fsync = [], os.fsync

    def flushes(file):
        fsync(file)
        flushed.append((tmp_path / ".lock").read_text())

    monkeypatch.setattr(lock.os, "fsync", flushes)
    with lock.locked(tmp_path):
        assert [json.loads(text)["process"] for text in flushed] == [os.getpid()]


DAMAGED = [
    b"process 12 on elsewhere\n", b"{", b"[]", b"\xff\0", b"[" * 4096, b"0" * 10_000_000,
    *(json.dumps(OTHER | odd).encode() + b"\n" for odd in (
        {"process": "x"}, {"process": True}, {"process": -1}, {"process": 1 << 64}, {"boot": None}, {"id": 7},
        {"host": "a\x1b[2J"}, {"host": ["a"]}, {"beat": "0"}, {"host": "a" * 5000},
    )),
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_lock_file_of_something_else_names_nobody(tmp_path, capsys, text):
    (tmp_path / ".lock").write_bytes(text)
    assert lock.holder(tmp_path) is None
    assert taken_at_once(tmp_path, capsys)
    assert (tmp_path / ".lock").read_bytes() == b""


@pytest.mark.parametrize("kind", ["link", "loop", "lost link", "directory", "fifo", "socket"])
def test_what_is_no_ordinary_file_is_not_touched(tmp_path, monkeypatch, kind):
    path, victim = tmp_path / "run" / ".lock", tmp_path / "victim"
    path.parent.mkdir()
    victim.write_text("kept")
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            monkeypatch.chdir(path.parent)  # a socket's path must be short
            bound.bind(path.name)
    else:
        path.symlink_to({"link": victim, "loop": ".lock", "lost link": tmp_path / "new"}[kind])
    assert lock.holder(path.parent) is None
    with pytest.raises(UserError, match=f"^{path}: is a link, a directory or a device, .*; fix: remove it$"):
        with lock.locked(path.parent):
            pass
    assert victim.read_text() == "kept" and sorted(tmp_path.iterdir()) == [path.parent, victim]


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"root: {tmp_path}/file/run cannot be written: Not a directory"):
        with lock.locked(tmp_path / "file" / "run"):
            pass
