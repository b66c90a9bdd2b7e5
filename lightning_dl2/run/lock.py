"""One process at a time in a directory, on one machine or on several that share it.

Among the processes of one machine flock decides, which the kernel frees with its holder, however that ends. A shared
file system may keep flock to each machine, or know none. So the lock file names its holder, too, which rewrites a beat
there while it lives. Who finds the name of another machine's process watches the beat: no two clocks are compared.
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

BEAT = 5.0  # seconds from one beat to the next
PATIENCE = 6  # beats that do not come before a holder counts as dead
NO_FLOCK = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # what a file system without flock answers
NO_FILE = (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)  # what a socket or a device answers to open
SETTLING = 1.0  # seconds in which all who start at the same moment have written their names
LONGEST = 4096  # bytes of a name; whatever is longer was not written here
ORDINARY = os.O_NOFOLLOW | os.O_NONBLOCK  # how a lock file is opened: no link's target is touched, no FIFO waited for
FIELDS = {"process": int, "host": str, "boot": str, "id": str, "beat": int}

_descriptors: set[int] = set()  # of the locks that this process holds


def _leave() -> None:
    """A forked child, such as a loader's worker, is no holder: it may outlive one that was killed."""
    while _descriptors:
        os.close(_descriptors.pop())


os.register_at_fork(after_in_child=_leave)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Makes `directory` where there is none, and holds it within the block: no second process does so.

    A holder that is found to be replaced, since it was suspended for long, ends at once with exit code 2.

    Raises:
        UserError: another process holds it, or it cannot be written.
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
            with suppress(OSError):  # a lost server; who comes next watches in vain
                if (now := _read(path)) is None or now["id"] == name["id"]:  # not the name of who has taken it over
                    os.ftruncate(file, 0)
            _descriptors.remove(file)
            os.close(file)


def holder(directory: Path) -> str | None:
    """Who holds `directory`, in words; None: nobody. Another machine's process is told even if it was killed.

    This does not try to hold it, which could hinder one that just begins to.
    """
    name = _read(directory / ".lock")
    if name is None or (name["boot"] == _boot_id() and not _lives(name["process"])):
        return None
    return _told(name)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        pass
    return True


def _take(path: Path) -> tuple[int, dict[str, Any]]:
    """The open lock file, which is ours, and the name that we have written there."""
    file, decided = _open(path)
    try:
        if (there := _read(path)) and not (decided and there["boot"] == _boot_id()):
            _watch(path, there)
            decided = False  # others may have watched, too
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
    """The open lock file, and whether flock has decided that it is ours among this machine's processes."""
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
        os.close(file)  # the directory has been moved away meanwhile, as resume=restart does


def _open_ordinary(path: Path) -> int:
    """Open the lock file to read and write, and make it where there is none.

    Raises:
        UserError: a link, a directory, a FIFO or the like has its place.
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
    """Read the name in a lock file; None where there is none. Opened anew, or NFS would show what it has cached."""
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
    """Tell whether a holder can have written `value`; a damaged or forged name is nobody's."""
    if not isinstance(value, dict) or any(type(value.get(key)) is not kind for key, kind in FIELDS.items()):
        return False
    return 0 < value["process"] < 1 << 31 and value["host"].isprintable()


def _write(file: int, name: dict[str, Any], beat: int) -> None:
    """In place, never empty in between."""
    text = json.dumps(name | {"beat": beat}).encode() + b"\n"
    os.pwrite(file, text, 0)
    os.ftruncate(file, len(text))
    os.fsync(file)  # to the server, where there is one


def _boot_id() -> str:
    """What tells one kernel's processes from another's."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return socket.gethostname()


def _told(name: dict[str, Any] | None) -> str:
    return f"process {name['process']} on {name['host']}" if name else "another process"


def _is_held(path: Path, name: dict[str, Any] | None) -> UserError:
    return UserError(f"{path.parent}: is held by {_told(name)}; fix: wait until it ends, or use another seed or root")


def _watch(path: Path, name: dict[str, Any]) -> None:
    """Returns when the holder called `name` is dead; raises UserError if it, or another one, lives."""
    print(
        f"{path.parent}: was held by {_told(name)} when last written; waiting {BEAT * PATIENCE:.0f} s for a sign of it",
        file=sys.stderr,
    )
    for _ in range(PATIENCE):
        time.sleep(BEAT)
        now = _read(path)
        if now is None:  # it has ended well
            return
        if now != name:
            raise _is_held(path, now)


def _beat(file: int, path: Path, name: dict[str, Any], ended: threading.Event) -> None:
    beat, interval = 0, SETTLING
    while not ended.wait(interval):
        beat, interval = beat + 1, BEAT
        with suppress(OSError):  # a lost server is the training's to tell
            if (now := _read(path)) and now["id"] != name["id"]:
                print(f"error: {path.parent}: {_told(now)} has taken it over; this process ends", file=sys.stderr)
                sys.stderr.flush()
                os._exit(2)  # not one more byte is to be written there
            _write(file, name, beat)
