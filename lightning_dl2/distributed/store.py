"""Connect the ranks of a run to the store that rank 0 opens."""

import queue
import socket
import threading
import time
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.errors import ProcessError, UserError

if TYPE_CHECKING:
    from torch.distributed import Store, TCPStore
MEETING = 600.0  # seconds for all ranks to come: machines do not start at the same time
ANSWERING = 30.0  # seconds for an address to be resolved, or for an open store to answer


def connect(
    rank: int, world_size: int, address: str, port: int, *, hosts: bool, seconds: float | None = None
) -> "TCPStore":
    """Connect to the store at `address`.

    Args:
        port: 0 where this process may choose one.
        hosts: whether this process opens the store.
        seconds: the longest time that this may take; None: ANSWERING for the host, MEETING for the others.

    Raises:
        UserError: the address is unknown or another machine's, or the port is taken.
        ProcessError: no process opened a store there.
    """
    from torch.distributed import DistNetworkError, TCPStore

    addresses = _resolve(address, port)
    seconds = seconds or (ANSWERING if hosts else MEETING)
    found: queue.SimpleQueue[TCPStore | DistNetworkError] = queue.SimpleQueue()
    # Lightning's process group opens a store on the same port: with multi_tenant, this one serves both.
    options: dict[str, Any] = {"is_master": hosts, "wait_for_workers": False, "multi_tenant": True}
    if hosts and (listening := _loopback(addresses, port)):
        port, options["master_listen_fd"] = listening.getsockname()[1], listening.detach()

    def attempt() -> None:
        try:
            found.put(TCPStore(address, port, world_size, timeout=timedelta(seconds=seconds), **options))
        except DistNetworkError as error:
            found.put(error)

    # In a thread: the constructor handles no signal, and would wait for ever for a server of another kind.
    threading.Thread(target=attempt, daemon=True).start()
    try:
        store: TCPStore | Exception = found.get(timeout=seconds + 1)
    except queue.Empty as error:
        store = error
    if not isinstance(store, Exception):
        return store
    if "failed to listen" in str(store):
        why = str(store).rpartition("message: ")[2]
        raise UserError(
            f"MASTER_PORT={port}: cannot be opened on this host, which has rank 0: {why};"
            " fix: set a free port, the same for every process"
        ) from store
    if hosts:
        raise UserError(
            f"MASTER_ADDR={address}: does not resolve to this host, but this process is rank 0;"
            " fix: set this host's name or address, the same for every process"
        ) from store
    raise ProcessError(
        f"rank {rank} of {world_size} found no rank 0 at MASTER_ADDR={address}, MASTER_PORT={port}"
        f" within {seconds:.0f} s"
    ) from store


def connect_by(agent: "Store", rank: int, world_size: int, address: str) -> "TCPStore":
    """Connect to the store whose port rank 0 writes to `agent`, where a port of an earlier attempt may stand.

    Raises:
        ProcessError: rank 0 did not come.
    """
    deadline = time.monotonic() + MEETING
    while time.monotonic() < deadline:
        if agent.check(["port"]):
            with suppress(ProcessError):
                return connect(rank, world_size, address, int(agent.get("port")), hosts=False, seconds=5.0)
        time.sleep(0.1)
    raise ProcessError(f"rank {rank} of {world_size}: rank 0 did not come within {MEETING:.0f} s")


def _loopback(addresses: list[str], port: int) -> socket.socket | None:
    """Open `port` on the loopback address alone; by itself torch listens on all interfaces, to whoever connects.

    Returns:
        None where some address is not of the loopback interface, or the port cannot be opened: torch then says why.
    """
    if not all(ip_address(own).is_loopback for own in addresses):
        return None
    own = next((own for own in addresses if ip_address(own).version == 4), addresses[0])
    family = socket.AF_INET if ip_address(own).version == 4 else socket.AF_INET6
    try:
        return socket.create_server((own, port), family=family)
    except OSError:
        return None


def _resolve(address: str, port: int) -> list[str]:
    """Return the addresses of a name; wait until it is known: in a cluster that may be after the ranks have begun."""
    deadline = time.monotonic() + ANSWERING
    while True:
        try:
            return [str(found[4][0]) for found in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)]
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"MASTER_ADDR={address}: cannot be resolved: {error.strerror};"
                    " allowed: the name or address of the host that has rank 0"
                ) from error
            time.sleep(0.5)
