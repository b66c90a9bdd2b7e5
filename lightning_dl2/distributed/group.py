"""Let the ranks of a run pass a step together: if one raises, all raise.

The ranks exchange values through a store of torch's, which needs no process group: before anything is created, and
again when one of them fails.
"""

import json
import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.errors import ProcessError, UserError
from lightning_dl2.distributed.store import MEETING

if TYPE_CHECKING:
    from torch.distributed import Store
log = logging.getLogger(__name__)

WAITING = 1800.0  # seconds for all ranks to prepare, as long as torch waits in a collective


class Group:
    """The ranks of a run, as one of them sees the group.

    Args:
        store: shared by the ranks; None where this is the only one.
    """

    def __init__(self, rank: int = 0, world_size: int = 1, store: "Store | None" = None) -> None:
        self.rank, self.world_size, self.store = rank, world_size, store
        self._rounds = 0

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, by rank.

        Args:
            value: of this rank, plain JSON.

        Raises:
            ProcessError: the value of a rank did not come in time.
        """
        if self.store is None:
            return [value]
        self._rounds += 1
        self.store.set(f"{self._rounds}/brings/{self.rank}", json.dumps(value))
        self._wait("brings")
        found = [json.loads(self.store.get(f"{self._rounds}/brings/{rank}")) for rank in range(self.world_size)]
        self.store.set(f"{self._rounds}/has/{self.rank}", "")
        if self.rank == 0:  # it has opened the store, and must not end before all have read
            self._wait("has")
        return found

    def _wait(self, kind: str) -> None:
        assert self.store
        seconds = MEETING if self._rounds == 1 else WAITING
        deadline = time.monotonic() + seconds
        missing = list(range(self.world_size))
        while missing := [rank for rank in missing if not self.store.check([f"{self._rounds}/{kind}/{rank}"])]:
            if time.monotonic() > deadline:
                came = self.world_size - len(missing)
                raise ProcessError(
                    f"{came} of {self.world_size} processes came within {seconds:.0f} s;"
                    f" missing: rank {', '.join(map(str, missing[:10]))}"
                )
            time.sleep(0.02)

    def agree(self, values: dict[str, Any]) -> None:
        """Compare values of all ranks: another machine may see another clone or another disk.

        Raises:
            UserError: a value differs; raised on every rank.
        """
        first, *others = self.gather(values)
        for rank, other in enumerate(others, start=1):
            for key in first | other:
                if other.get(key) != first.get(key):
                    raise self._shared(
                        UserError(
                            f"{key}={other.get(key)}: on rank {rank}, but {first.get(key)} on rank 0;"
                            " allowed: the same command, conf/, data and root for every process"
                        )
                    )

    def _shared(self, error: Exception) -> Exception:
        """Mark an error that all ranks raise: only rank 0 prints it."""
        error.is_reported = self.rank > 0  # type: ignore[attr-defined]  # a command prints those that are not
        return error

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Let all ranks pass the block, or none: an error of one is raised by all.

        Raises:
            UserError: a rank raised it.
            ProcessError: another rank raised another error.
        """
        try:
            yield
        except Exception as error:
            if not isinstance(error, ProcessError):
                self.gather([type(error).__name__, str(error)])
            self._shared(error)
            raise
        for rank, failure in enumerate(self.gather(None)):
            if failure:
                raise self._shared(_error_of(rank, *failure))

    @contextmanager
    def raise_first_failure(self) -> Iterator[None]:
        """Raise on rank 0, instead of the error that its peer is gone, the first error of any rank in the block.

        Raises:
            ProcessError: another rank failed first; its traceback is in the log.
        """
        try:
            yield
        except Exception as error:
            if self.store is None:
                raise
            own = [self.rank, type(error).__name__, str(error), traceback.format_exc()]
            content = json.dumps(own)
            first: str | bytes = content
            with suppress(RuntimeError):  # rank 0 has ended, and the store with it
                first = self.store.compare_set(f"{self._rounds}/failure", "", content)
            rank, kind, text, trace = json.loads(first)
            if [kind, text] == own[1:3]:
                self._shared(error)
                raise
            log.error("rank %d failed first: %s", rank, trace)
            raise self._shared(_error_of(rank, kind, text)) from error


def _error_of(rank: int, kind: str, text: str) -> Exception:
    if kind == UserError.__name__:
        return UserError(f"{text} (on rank {rank})")
    return ProcessError(f"rank {rank}: {kind}: {text}")
