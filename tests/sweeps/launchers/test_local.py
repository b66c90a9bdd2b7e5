"""Test jobs as processes of this machine: their environment, their shares of it, and their end with the sweep."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightning_dl2.config import schema
from lightning_dl2.sweeps.jobs import Job
from lightning_dl2.sweeps.launchers import local
from lightning_dl2.sweeps.launchers.local import LocalLauncher

# Prints its environment; prints a last line at SIGTERM and ends.
SAYS = """
import json, os, signal, sys, time
def last(number, frame):
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, last)
print(json.dumps([sys.argv[1:], dict(os.environ), os.getsid(0) == os.getpid()]), flush=True)
time.sleep(120)
"""


@pytest.fixture
def says(monkeypatch):
    monkeypatch.setattr(local, "command", lambda overrides: [sys.executable, "-c", SAYS, *overrides])


def said(log: Path) -> list:
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text(encoding="utf-8").endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return json.loads(log.read_text(encoding="utf-8").splitlines()[0])


def job(number: int = 1, *overrides: str) -> Job:
    return Job(number, {}, [f"seed={number}", *overrides])


@pytest.mark.slow
def test_a_job_knows_nothing_of_what_we_are_part_of(says, tmp_path, monkeypatch):
    ours = {"RANK": "0", "MASTER_PORT": "1", "SLURM_JOB_ID": "3", "TORCHELASTIC_RUN_ID": "x"}
    ours |= {"OMPI_COMM_WORLD_RANK": "0", "PMI_RANK": "0"}
    for key, value in ours.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    handle = LocalLauncher(schema.Local(name="local", jobs=2)).start(job(1, "trainer=ddp_cpu"), tmp_path / "log")
    overrides, environment, leads = said(tmp_path / "log")
    assert overrides == ["seed=1", "trainer=ddp_cpu"] and leads
    assert not ours.keys() & environment.keys()
    assert (environment["WANDB_MODE"], environment["OMP_NUM_THREADS"]) == ("offline", "2")
    assert handle.poll() is None
    handle.stop(signal.SIGTERM)
    while handle.poll() is None:
        time.sleep(0.05)
    assert handle.poll() == 143 and (tmp_path / "log").read_text().endswith("saved\n")


DEAF = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])  # like a rank or a loader's worker
print(other.pid, flush=True)
time.sleep(120)
"""


def lives(process: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_job_that_is_killed_takes_its_processes_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "command", lambda overrides: [sys.executable, "-c", DEAF])
    handle = LocalLauncher(schema.Local(name="local", jobs=1)).start(job(), tmp_path / "log")
    other = said(tmp_path / "log")
    handle.stop(signal.SIGTERM)
    handle.kill()
    deadline = time.monotonic() + 60
    while handle.poll() is None or lives(other):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert handle.poll() == -signal.SIGKILL


@pytest.mark.slow
def test_jobs_end_saved_when_the_sweep_is_killed(tmp_path):
    code = f"""
import sys, time
from pathlib import Path
from types import SimpleNamespace
from lightning_dl2.config import schema
from lightning_dl2.sweeps.launchers import local
local.command = lambda overrides: [sys.executable, "-c", {SAYS!r}]
config = SimpleNamespace(trainer=SimpleNamespace(accelerator="cpu", devices=1))
launcher = local.LocalLauncher(schema.Local(name="local", jobs=1))
launcher.start(SimpleNamespace(config=config, overrides=[]), Path({str(tmp_path / "log")!r}))
time.sleep(120)
"""
    sweep = subprocess.Popen([sys.executable, "-c", code])
    said(tmp_path / "log")
    sweep.kill()
    sweep.wait()
    deadline = time.monotonic() + 60
    while not (tmp_path / "log").read_text().endswith("saved\n"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_jobs_side_by_side_get_gpus_of_their_own(monkeypatch, tmp_path):
    """Parallel jobs get different GPUs. Processes are made up, because no GPU is at hand."""

    class Made:
        def __init__(self, overrides, log, added):
            self.gpus, self.code = added.get("CUDA_VISIBLE_DEVICES"), None

        def poll(self):
            return self.code

    def wants(devices):
        return SimpleNamespace(
            overrides=[], config=SimpleNamespace(trainer=SimpleNamespace(accelerator="gpu", devices=devices))
        )

    monkeypatch.setattr(local, "Process", Made)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-6,7")
    launcher = LocalLauncher(schema.Local(name="local", jobs=3))
    one, two = launcher.start(wants(1), tmp_path), launcher.start(wants(2), tmp_path)
    assert (one.gpus, two.gpus) == ("4", "5,GPU-6")
    assert launcher.start(wants(2), tmp_path) is None
    one.code = 0
    assert launcher.start(wants(2), tmp_path).gpus == "4,7"
    shared = LocalLauncher(schema.Local(name="local", jobs=2))
    assert [shared.start(wants("auto"), tmp_path).gpus for _ in range(2)] == ["4,5", "GPU-6,7"]
    assert LocalLauncher(schema.Local(name="local", jobs=1)).start(wants("auto"), tmp_path).gpus is None
    assert shared.start(wants(8), tmp_path) is None  # waits for GPUs of other jobs; without any, the job fails
