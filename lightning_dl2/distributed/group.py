"""The processes of one run get on together or not at all.

They tell each other how they stand through a store of torch's, which needs no process group: before anything is
created, and again when one of them fails.
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

WAITING = 1800.0  # seconds for all to prepare, as long as torch waits in a collective


class Group:
    """This process and the others of its run.

    Args:
        rank: the number of this one.
        world_size: how many there are.
        store: what they share; None for a process that is alone.
    """

    def __init__(self, rank: int = 0, world_size: int = 1, store: "Store | None" = None) -> None:
        self.rank, self.world_size, self.store = rank, world_size, store
        self._rounds = 0

    def gather(self, value: Any) -> list[Any]:
        """What every process brings, by rank; plain values of JSON.

        Raises:
            ProcessError: some did not bring anything in time.
        """
        if self.store is None:
            return [value]
        self._rounds += 1
        self.store.set(f"{self._rounds}/brings/{self.rank}", json.dumps(value))
        self._wait("brings")
        found = [json.loads(self.store.get(f"{self._rounds}/brings/{rank}")) for rank in range(self.world_size)]
        self.store.set(f"{self._rounds}/has/{self.rank}", "")
        if self.rank == 0:  # whoever opened the store must not end before all have read
            self._wait("has")
        return found

    def _wait(self, kind: str) -> None:
        assert self.store
        seconds = MEETING if self._rounds == 1 else WAITING
        end = time.monotonic() + seconds
        missing = list(range(self.world_size))
        while missing := [rank for rank in missing if not self.store.check([f"{self._rounds}/{kind}/{rank}"])]:
            if time.monotonic() > end:
                came = self.world_size - len(missing)
                raise ProcessError(
                    f"{came} of {self.world_size} processes came within {seconds:.0f} s;"
                    f" missing: rank {', '.join(map(str, missing[:10]))}"
                )
            time.sleep(0.02)

    def agree(self, brings: dict[str, Any]) -> None:
        """Compares what the processes bring; machines may see another clone or another disk.

        Raises:
            UserError: something differs; on every process.
        """
        first, *others = self.gather(brings)
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
        """Marks an error that all processes raise: it is to be told once."""
        error.told = self.rank > 0  # type: ignore[attr-defined]  # read of those that a command tells
        return error

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """All processes get through the block, or none does: an error of one is raised by all.

        Raises:
            UserError: some process raised it.
            ProcessError: another process raised something else.
        """
        try:
            yield
        except Exception as error:
            if not isinstance(error, ProcessError):
                self.gather([type(error).__name__, str(error)])
            self._shared(error)
            raise
        for rank, told in enumerate(self.gather(None)):
            if told:
                kind, text = told
                raise self._shared(_as_told(rank, kind, text))

    @contextmanager
    def raise_first_failure(self) -> Iterator[None]:
        """Within the block the first error that any process has is what rank 0 raises, not that its peer is gone.

        Raises:
            ProcessError: another process failed first; its traceback is in the log.
        """
        try:
            yield
        except Exception as error:
            if self.store is None:
                raise
            mine = [self.rank, type(error).__name__, str(error), traceback.format_exc()]
            told = json.dumps(mine)
            first: str | bytes = told
            with suppress(RuntimeError):  # rank 0 has ended, and the store with it
                first = self.store.compare_set(f"{self._rounds}/failure", "", told)
            rank, kind, text, trace = json.loads(first)
            if [kind, text] == mine[1:3]:
                self._shared(error)
                raise
            log.error("rank %d failed first: %s", rank, trace)
            raise self._shared(_as_told(rank, kind, text)) from error


def _as_told(rank: int, kind: str, text: str) -> Exception:
    if kind == UserError.__name__:
        return UserError(f"{text} (on rank {rank})")
    return ProcessError(f"rank {rank}: {kind}: {text}")
