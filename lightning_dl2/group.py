"""The processes of one run get on together or not at all.

They tell each other how they stand through a store of torch's, which needs no process group: before anything is
created, and again when one of them fails.
"""

import json
import logging
import queue
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from lightning_dl2.cli import ProcessError, UserError

if TYPE_CHECKING:
    from torch.distributed import Store

log = logging.getLogger(__name__)

MEETING = 600.0  # seconds for all processes to come: machines do not start at once
WAITING = 1800.0  # seconds for all to prepare, as long as torch waits in a collective
ANSWERING = 30.0  # seconds for an address to be known, or for a store to answer that is there


def connect(
    rank: int, world_size: int, address: str, port: int, *, hosts: bool, seconds: float | None = None
) -> "Store":
    """The store at `address`; this process opens it there, if it `hosts`. Takes at most `seconds`.

    Raises:
        UserError: the address is unknown or another machine's, or the port is taken.
        ProcessError: nobody opened a store there.
    """
    from torch.distributed import DistNetworkError, TCPStore

    addresses = _resolve(address, port)
    seconds, found = seconds or (ANSWERING if hosts else MEETING), queue.SimpleQueue()
    # Lightning's process group opens another one on the same port: both are served by the first.
    options = {"is_master": hosts, "wait_for_workers": False, "multi_tenant": True}
    if hosts and (listening := _loopback(addresses, port)):
        port, options["master_listen_fd"] = listening.getsockname()[1], listening.detach()

    def attempt() -> None:
        try:
            found.put(TCPStore(address, port, world_size, timeout=timedelta(seconds=seconds), **options))
        except DistNetworkError as error:
            found.put(error)

    # In a thread: it would hear no signal, and wait for ever for a server of another kind.
    threading.Thread(target=attempt, daemon=True).start()
    try:
        store = found.get(timeout=seconds + 1)
    except queue.Empty as error:
        store = error
    if not isinstance(store, Exception):
        return store
    if "failed to listen" in str(store):
        why = str(store).rpartition("message: ")[2]
        raise UserError(
            f"MASTER_PORT={port}: cannot be opened on this machine, which has rank 0: {why};"
            " allowed: a free port, the same for every process"
        ) from store
    if hosts:
        raise UserError(
            f"MASTER_ADDR={address}: does not lead to this machine, which has rank 0;"
            " allowed: its name or address, the same for every process"
        ) from store
    raise ProcessError(
        f"rank {rank} of {world_size} found no rank 0 at MASTER_ADDR={address}, MASTER_PORT={port}"
        f" within {seconds:.0f} s"
    ) from store


def connect_by(agent: "Store", rank: int, world_size: int, address: str) -> "Store":
    """The store that rank 0 has opened, which has written its port to `agent`, perhaps over a port long dead.

    Raises:
        ProcessError: there is none.
    """
    end = time.monotonic() + MEETING
    while time.monotonic() < end:
        if agent.check(["port"]):
            with suppress(ProcessError):
                return connect(rank, world_size, address, int(agent.get("port")), hosts=False, seconds=5.0)
        time.sleep(0.1)
    raise ProcessError(f"rank {rank} of {world_size}: rank 0 did not come within {MEETING:.0f} s")


def _loopback(addresses: list[str], port: int) -> socket.socket | None:
    """Open `port` on this machine's loopback address; by itself torch listens on all interfaces, to whoever comes.

    None where the addresses are not all of the loopback interface, or torch is to say why the port cannot be opened.
    """
    if not all(ip_address(own).is_loopback for own in addresses):
        return None
    own = next((own for own in addresses if ip_address(own).version == 4), addresses[0])
    try:
        return socket.create_server(
            (own, port), family=socket.AF_INET if ip_address(own).version == 4 else socket.AF_INET6
        )
    except OSError:
        return None


def _resolve(address: str, port: int) -> list[str]:
    """Return the name's addresses; wait until it is known: in a cluster that may be after the processes have begun."""
    end = time.monotonic() + ANSWERING
    while True:
        try:
            return [found[4][0] for found in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)]
        except OSError as error:
            if time.monotonic() > end:
                raise UserError(
                    f"MASTER_ADDR={address}: cannot be resolved: {error.strerror};"
                    " allowed: the name or address of the machine that has rank 0"
                ) from error
            time.sleep(0.5)


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
        error.told = self.rank > 0
        return error

    @contextmanager
    def agreeing(self) -> Iterator[None]:
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
    def failing_together(self) -> Iterator[None]:
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
            first = json.dumps(mine)
            with suppress(RuntimeError):  # rank 0 has ended, and the store with it
                first = self.store.compare_set(f"{self._rounds}/failure", "", first)
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
