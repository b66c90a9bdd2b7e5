"""Test that ranks meet at the store of rank 0, or report in one line why they do not."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_dl2 import compose
from lightning_dl2.common.system import python_path
from lightning_dl2.distributed import store
from tests.distributed.ranks import DDP, SECONDS, Ranks, free_port, hasty


@pytest.mark.slow
def test_a_port_that_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ranks = Ranks([DDP, DDP], tmp_path, hasty, MASTER_PORT=str(port))
        assert ranks.ended() == [2, 1]  # the second process has met a store that does not answer
    assert ranks.errors()[0][1].startswith(f"error: MASTER_PORT={port}: cannot be opened on this host")
    assert not (tmp_path / "0/runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "codes", "says"),
    [
        ("nowhere.invalid", [2, 2], "cannot be resolved: "),
        (
            "198.51.100.1",
            [2, 1],
            "does not resolve to this host, but this process is rank 0",
        ),  # no machine's address, by RFC 5737
    ],
)
def test_a_wrong_address(tmp_path, address, codes, says):
    ranks = Ranks([DDP, DDP], tmp_path, hasty, MASTER_ADDR=address)
    assert ranks.ended() == codes
    assert ranks.errors()[0][1].startswith(f"error: MASTER_ADDR={address}: {says}")
    assert not list(tmp_path.glob("*/runs"))


@pytest.mark.slow
def test_processes_that_never_come(tmp_path):
    ranks = Ranks([DDP], tmp_path / "first", hasty, WORLD_SIZE="2")
    assert ranks.ended() == [1]
    assert ranks.errors() == [(0, "error: 1 of 2 processes came within 1 s; missing: rank 1")]
    ranks = Ranks([DDP], tmp_path / "second", hasty, WORLD_SIZE="2", RANK="1")
    assert ranks.ended() == [1]
    ((_, line),) = ranks.errors()
    assert line.startswith("error: rank 1 of 2 found no rank 0 at MASTER_ADDR=127.0.0.1, MASTER_PORT=")
    assert not list(tmp_path.glob("*/*/runs"))


@pytest.mark.slow
def test_a_worker_that_finds_no_rank_0_says_so(tmp_path):
    """A rank that the first process of its machine has started ends with a line of its own, not in silence."""
    config = compose(*DDP, f"root={tmp_path}/runs")
    work = {"config": config.model_dump(), "overrides": DDP, "parent": os.getpid()}
    variables = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    variables |= {"MASTER_PORT": str(free_port()), "PYTHONPATH": python_path()}
    # The thread that connects takes up to three times as long as it may, and aborts an interpreter that is ending.
    code = """
import os, sys
from lightning_dl2.distributed import store
from lightning_dl2.training.worker import main
store.ANSWERING = store.MEETING = 1.0
code = main()
sys.stdout.flush()
os._exit(code)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(work),
        env=os.environ | variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    port = variables["MASTER_PORT"]
    says = f"error: rank 1 of 2 found no rank 0 at MASTER_ADDR=127.0.0.1, MASTER_PORT={port} within 1 s"
    assert (ended.returncode, ended.stdout) == (1, "")
    lines = ended.stderr.splitlines()  # torch logs its own attempts before
    assert lines[-1] == says and [line for line in lines if line.startswith(("error", "Traceback"))] == [says]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("address", "everywhere"), [("127.0.0.1", False), ("localhost", False), ("127.0.0.2", False), ("hostname", True)]
)
def test_the_store_of_one_machine_listens_there_alone(address, everywhere, monkeypatch):
    if everywhere:  # as of a run on several machines
        monkeypatch.setattr(store, "_resolve", lambda *args: ["192.0.2.1"])
        address = "127.0.0.1"
    opened = store.connect(0, 1, address, 0, hosts=True)
    listening = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text(encoding="utf-8").splitlines()[1:]:
            local, _, state = line.split()[1:4]
            if state == "0A" and int(local.rpartition(":")[2], 16) == opened.port:
                listening.add(local.partition(":")[0])
    assert listening and all(set(host) == {"0"} for host in listening) == everywhere
