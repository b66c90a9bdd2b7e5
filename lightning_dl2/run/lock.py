"""Lock a directory for one process, on one machine or on several that share the directory.

Among the processes of one machine flock decides; the kernel frees it when its holder ends, however that ends. A shared
file system may keep flock to each machine, or not have it. So the lock file also names its holder, which writes a
heartbeat there while it lives. A process that finds the name of another machine's holder watches the heartbeat: no two
clocks are compared.
"""

import errno
import fcntl
import json
import os
import secrets
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning_dl2.common.errors import UserError

BEAT = 5.0  # seconds from one heartbeat to the next
PATIENCE = 6  # heartbeats that are missed before a holder counts as dead
NO_FLOCK = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # errors of flock on a file system without it
NO_FILE = (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)  # errors of opening a socket or a device
SETTLING = 1.0  # seconds in which all processes that start at the same moment have written their names
LONGEST = 4096  # bytes of a name; a longer one is not of this module
ORDINARY = os.O_NOFOLLOW | os.O_NONBLOCK  # to open a lock file: touches no link's target, waits for no FIFO
FIELDS = {"process": int, "host": str, "boot": str, "id": str, "beat": int}

_descriptors: set[int] = set()  # of the locks that this process holds


def _leave() -> None:
    """Close the locks in a forked child, such as a loader's worker: it may outlive a holder that was killed."""
    while _descriptors:
        os.close(_descriptors.pop())


os.register_at_fork(after_in_child=_leave)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock `directory` within the block, and make it where it does not exist.

    A holder that was suspended for so long that another process has replaced it ends at once with exit code 2.

    Raises:
        UserError: another process has locked it, or it cannot be written.
    """
    path = directory / ".lock"
    try:
        file, name = _take(path)
    except OSError as error:
        raise UserError(f"root: {directory} cannot be written: {error.strerror}") from error
    _descriptors.add(file)
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(file, path, name, ended), daemon=True)
    beating.start()
    try:
        yield
    finally:
        if file in _descriptors:  # not in a forked child
            ended.set()
            beating.join()
            with suppress(OSError):  # the server is lost; the next process watches for a heartbeat in vain
                if (now := _read(path)) is None or now["id"] == name["id"]:  # not the name of one that replaced it
                    os.ftruncate(file, 0)
            _descriptors.remove(file)
            os.close(file)


def holder(directory: Path) -> str | None:
    """Name the process that has locked `directory`; None: no process. One of another machine may have been killed.

    The lock is not tried, which could hinder a process that is about to take it.
    """
    name = _read(directory / ".lock")
    if name is None or (name["boot"] == _boot_id() and not _is_alive(name["process"])):
        return None
    return _words(name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True


def _take(path: Path) -> tuple[int, dict[str, Any]]:
    """Take the lock; return the open lock file and the name that is written there."""
    file, decided = _open(path)
    try:
        if (other := _read(path)) and not (decided and other["boot"] == _boot_id()):
            _watch(path, other)
            decided = False  # other processes may have watched, too
        name = {"process": os.getpid(), "host": socket.gethostname(), "boot": _boot_id(), "id": secrets.token_hex(8)}
        _write(file, name, 0)
        if not decided:
            time.sleep(SETTLING)
            if (last := _read(path)) and last["id"] != name["id"]:
                raise _is_held(path, last)
        return file, name
    except BaseException:
        os.close(file)
        raise


def _open(path: Path) -> tuple[int, bool]:
    """Open the lock file; tell whether flock has given it to this process, among those of this machine."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _open_ordinary(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            decided = True
        except BlockingIOError as error:
            os.close(file)
            raise _is_held(path, _read(path)) from error
        except OSError as error:
            if error.errno not in NO_FLOCK:
                os.close(file)
                raise
            decided = False
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), os.lstat(path)):
                return file, decided
        os.close(file)  # the directory was moved meanwhile, as resume=restart does


def _open_ordinary(path: Path) -> int:
    """Open the lock file to read and write, and make it where it does not exist.

    Raises:
        UserError: its path is a link, a directory, a FIFO or the like.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | ORDINARY, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, *NO_FILE):
            raise
    else:
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
    raise UserError(f"{path}: is a link, a directory or a device, no ordinary file; fix: remove it")


def _read(path: Path) -> dict[str, Any] | None:
    """Read the name in a lock file; None without one. The file is opened anew: NFS would show what it has cached."""
    try:
        file = os.open(path, os.O_RDONLY | ORDINARY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, *NO_FILE):
            return None
        raise
    try:
        written = os.read(file, LONGEST) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    finally:
        os.close(file)
    try:
        name = json.loads(written.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return None
    return name if _is_name(name) else None


def _is_name(value: Any) -> bool:
    """Tell whether a holder can have written `value`; a damaged or forged name counts as none."""
    if not isinstance(value, dict) or any(type(value.get(key)) is not kind for key, kind in FIELDS.items()):
        return False
    return 0 < value["process"] < 1 << 31 and value["host"].isprintable()


def _write(file: int, name: dict[str, Any], beat: int) -> None:
    """Write the name in place, so that the file is never empty."""
    text = json.dumps(name | {"beat": beat}).encode() + b"\n"
    os.pwrite(file, text, 0)
    os.ftruncate(file, len(text))
    os.fsync(file)  # to the server, where there is one


def _boot_id() -> str:
    """Return an id of the running kernel: a process id means nothing to another one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return socket.gethostname()


def _words(name: dict[str, Any] | None) -> str:
    return f"process {name['process']} on {name['host']}" if name else "another process"


def _is_held(path: Path, name: dict[str, Any] | None) -> UserError:
    return UserError(f"{path.parent}: is held by {_words(name)}; fix: wait until it ends, or use another seed or root")


def _watch(path: Path, name: dict[str, Any]) -> None:
    """Return when the holder called `name` is dead; raise UserError if it, or another one, is alive."""
    held = f"was held by {_words(name)} when last written"
    print(f"{path.parent}: {held}; waiting {BEAT * PATIENCE:.0f} s for a sign of it", file=sys.stderr)
    for _ in range(PATIENCE):
        time.sleep(BEAT)
        now = _read(path)
        if now is None:  # it has ended without a failure
            return
        if now != name:
            raise _is_held(path, now)


def _beat(file: int, path: Path, name: dict[str, Any], ended: threading.Event) -> None:
    beat, interval = 0, SETTLING
    while not ended.wait(interval):
        beat, interval = beat + 1, BEAT
        with suppress(OSError):  # where the server is lost, the training reports it
            if (now := _read(path)) and now["id"] != name["id"]:
                print(f"error: {path.parent}: {_words(now)} has taken it over; this process ends", file=sys.stderr)
                sys.stderr.flush()
                os._exit(2)  # at once: this process must not write there any more
            _write(file, name, beat)
