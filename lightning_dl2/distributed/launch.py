"""Find the ranks of a run that a launcher has started, or start those of this machine.

torchrun, srun, Ray Train and Kubernetes start all ranks and give each its number by environment variables. Without
them, the process that was started by hand starts one more for each further device. (Lightning's launcher would do so
late, kills the first process when another fails, and leaves the others running when the first one dies.)
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from lightning_dl2.common import launcher
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.system import python_path
from lightning_dl2.distributed.group import Group
from lightning_dl2.distributed.store import connect, connect_by

GRACE = 10.0  # seconds in which the other ranks must end when this process has ended the block
NOTICED_LATEST = 30.0  # seconds in which this process must notice that another is dead, and tell W&B, say


def launched() -> Group:
    """Join the ranks that a launcher has started, with this one among them; without a launcher, this process alone.

    Raises:
        UserError: the launcher's variables are incomplete or wrong, or the address or port of rank 0 is.
        ProcessError: rank 0 does not come.
    """
    launcher.check()
    if "RANK" not in os.environ and (launcher.number("SLURM_STEP_NUM_TASKS") or 1) > 1:
        _take_from_slurm()
    launcher.check_alone()
    return _launched(os.environ["RANK"]) if "RANK" in os.environ else Group()


@cache  # one group a process: the ranks count their rounds together, and Lightning removes WORLD_SIZE in the end
def _launched(rank: str) -> Group:
    number, world_size = launcher.required("RANK", "WORLD_SIZE is"), launcher.required("WORLD_SIZE", "RANK is")
    if not number < world_size:
        raise UserError(f"RANK={rank}: allowed with WORLD_SIZE={world_size}: {launcher.allowed_ranks(world_size)}")
    if world_size == 1:
        return Group()
    port = launcher.required("MASTER_PORT", "RANK and WORLD_SIZE are")
    return _join(number, world_size, os.environ.get("MASTER_ADDR", "127.0.0.1"), port)


def _join(rank: int, world_size: int, address: str, port: int) -> Group:
    # Each failed attempt to connect would print a page of C++ frames, unless torch is imported already.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from torch.distributed import PrefixStore

    if os.environ.pop("TORCHELASTIC_USE_AGENT_STORE", None) == "True":
        # torchrun's store survives a restart of the ranks, with the addresses of the dead ones, which torch's process
        # group would try. So torchrun's store only holds the port of another store, of this attempt alone.
        agent = PrefixStore("run", connect(rank, world_size, address, port, hosts=False))
        if rank == 0:
            store = connect(rank, world_size, address, 0, hosts=True)
            agent.set("port", str(store.port))
        else:
            store = connect_by(agent, rank, world_size, address)
    else:
        store = connect(rank, world_size, address, port, hosts=rank == 0)
    os.environ["MASTER_PORT"] = str(store.port)
    return Group(rank, world_size, PrefixStore("run", store))


def _take_from_slurm() -> None:
    from pytorch_lightning.plugins.environments import SLURMEnvironment

    slurm = SLURMEnvironment(auto_requeue=False)
    names = {"RANK": "PROCID", "LOCAL_RANK": "LOCALID", "NODE_RANK": "NODEID", "WORLD_SIZE": "STEP_NUM_TASKS"}
    found = {name: launcher.required(f"SLURM_{key}", "SLURM_STEP_NUM_TASKS is") for name, key in names.items()}
    os.environ.update({name: str(number) for name, number in found.items()})
    os.environ.update(MASTER_ADDR=slurm.main_address, MASTER_PORT=str(slurm.main_port))


@contextmanager
def start_ranks(launched: Group, here: int, machines: int, work: dict[str, Any]) -> Iterator[Group]:
    """Yield all ranks of a run: those of a launcher, or started here and ended with the block.

    Args:
        launched: the ranks that a launcher has started, or this process alone.
        here: ranks on each machine.
        machines: their number.
        work: plain values that a rank started here gets, see `lightning_dl2.training.worker`.

    Raises:
        UserError: a launcher has started another number of ranks, or does not say where rank 0 is.
        ProcessError: a rank did not come.
    """
    from torch.distributed import destroy_process_group, is_initialized

    if "RANK" in os.environ:
        with launched.all_or_none():
            _check_number(here, machines)
        # Lightning computes its rank from these variables, which a launcher may leave out.
        os.environ.setdefault("LOCAL_RANK", str(launched.rank % here))
        os.environ["NODE_RANK"] = str((launched.rank - launcher.required("LOCAL_RANK", "RANK is")) // here)
        yield launched
        return
    launcher.check_node(machines)
    if here * machines == 1:
        yield launched
        return
    for key in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        if machines > 1 and key not in os.environ:
            raise UserError(
                f"trainer.num_nodes={machines}: {key} is not set;"
                " fix: use torchrun or srun, or set NODE_RANK, MASTER_ADDR and MASTER_PORT on every machine"
            )
    with _environment(here, here * machines) as rank:
        group = _join(rank, here * machines, os.environ["MASTER_ADDR"], launcher.number("MASTER_PORT") or 0)
        with _others(work, rank, here):
            yield group
    if is_initialized():
        destroy_process_group()  # a later run of this process has other ranks


def _check_number(here: int, machines: int) -> None:
    counts = {"WORLD_SIZE": here * machines, "LOCAL_WORLD_SIZE": here}
    for key, count in counts.items():
        if launcher.number(key) not in (None, count):
            raise UserError(
                f"trainer.devices={here}, trainer.num_nodes={machines}: the launcher has set {key}={os.environ[key]};"
                " fix: ask for as many devices and nodes as it starts processes for"
            )
    if (launcher.number("LOCAL_RANK") or 0) >= here:
        local_rank = os.environ["LOCAL_RANK"]
        raise UserError(f"LOCAL_RANK={local_rank}: allowed with trainer.devices={here}: {launcher.allowed_ranks(here)}")


@contextmanager
def _environment(here: int, world_size: int) -> Iterator[int]:
    """Set the variables that a launcher sets for the first process of this machine; yield its rank."""
    before, node = dict(os.environ), launcher.number("NODE_RANK") or 0
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    ranks = {"RANK": here * node, "LOCAL_RANK": 0, "NODE_RANK": node, "WORLD_SIZE": world_size}
    os.environ.update({key: str(value) for key, value in ranks.items()})
    try:
        yield here * node
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _others(work: dict[str, Any], rank: int, here: int) -> Iterator[None]:
    """Start the other ranks of this machine, which do what this one does, and end them when the block ends."""
    content = json.dumps(work | {"parent": os.getpid()}).encode()
    others, has_ended = {}, threading.Event()
    try:
        for local_rank in range(1, here):
            own = {"RANK": str(rank + local_rank), "LOCAL_RANK": str(local_rank), "PYTHONPATH": python_path()}
            command = [sys.executable, "-m", "lightning_dl2.training.worker"]
            process = subprocess.Popen(command, env=os.environ | own, stdin=subprocess.PIPE)
            others[rank + local_rank] = process
            threading.Thread(target=_watch, args=(process, rank + local_rank, has_ended), daemon=True).start()
            assert process.stdin
            with process.stdin as pipe:
                pipe.write(content)
        yield
    finally:
        has_ended.set()
        for process in others.values():
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _watch(process: subprocess.Popen[bytes], rank: int, has_ended: threading.Event) -> None:
    """End this process if it does not notice by itself that another is dead, as in a collective of NCCL."""
    if process.wait() != 0 and not has_ended.wait(NOTICED_LATEST):
        print(f"error: rank {rank} ended with exit code {process.returncode}", file=sys.stderr, flush=True)
        os._exit(1)
