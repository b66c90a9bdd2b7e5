"""Make the disk fail at chosen operations below a directory."""

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Fails = Callable[[int, str, Path], bool]


class FailingDisk:
    """Record the operations below `root` and fail chosen ones.

    Args:
        root: the directory.
        fails: function of an operation's number, counted from 1, its name (open, write, fsync, replace, mkdir) and its
            path; True if it fails.
        number: the errno of the failure.
    """

    def __init__(self, root: Path, fails: Fails, number: int = errno.ENOSPC) -> None:
        self.root, self.fails, self.number = str(root), fails, number
        self.operations: list[tuple[str, Path]] = []
        self.failed: list[tuple[str, Path]] = []

    def fails_now(self, name: str, path: Path) -> bool:
        """Count an operation; return whether it fails."""
        if not str(path).startswith(self.root):
            return False
        self.operations.append((name, path))
        if fails := self.fails(len(self.operations), name, path):
            self.failed.append((name, path))
        return fails

    def check(self, name: str, path: Any) -> None:
        """Raise OSError if the operation fails."""
        if self.fails_now(name, Path(os.fsdecode(path))):
            raise OSError(self.number, os.strerror(self.number), os.fsdecode(path))


class _File:
    """A file that writes the first half of a write that fails."""

    def __init__(self, file: Any, path: Path, disk: FailingDisk) -> None:
        self._file, self._path, self._disk = file, path, disk

    def write(self, content: Any) -> int:
        if self._disk.fails_now("write", self._path):
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            raise OSError(self._disk.number, os.strerror(self._disk.number))
        return self._file.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *exc: Any) -> None:
        self._file.close()


@contextmanager
def failing_disk(root: Path, fails: Fails, number: int = errno.ENOSPC) -> Iterator[FailingDisk]:
    """Let writes by Python below `root` fail within the block. The arguments are those of FailingDisk."""
    disk = FailingDisk(root, fails, number)
    real = {"open": open, "os.open": os.open, "fsync": os.fsync, "replace": os.replace, "mkdir": os.mkdir}

    def opening(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if not set(mode) & set("wax+"):
            return real["open"](file, mode, *args, **kwargs)
        if isinstance(file, int):  # `opening_descriptor` has counted it
            path = Path(os.readlink(f"/proc/self/fd/{file}"))
        else:
            disk.check("open", path := Path(os.fsdecode(file)))
        return _File(real["open"](file, mode, *args, **kwargs), path, disk)

    def opening_descriptor(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & os.O_CREAT:
            disk.check("open", path)
        return real["os.open"](path, flags, *args, **kwargs)

    def flushing(file: int) -> None:
        disk.check("fsync", os.readlink(f"/proc/self/fd/{file}"))
        real["fsync"](file)

    def replacing(source: Any, target: Any, **kwargs: Any) -> None:
        disk.check("replace", target)
        real["replace"](source, target, **kwargs)

    def making(path: Any, *args: Any, **kwargs: Any) -> None:
        if not os.path.isdir(path):
            disk.check("mkdir", path)
        real["mkdir"](path, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for module in (builtins, io):
            patch.setattr(module, "open", opening)
        patch.setattr(os, "open", opening_descriptor)
        for name, function in (("fsync", flushing), ("replace", replacing), ("mkdir", making)):
            patch.setattr(os, name, function)
        yield disk
