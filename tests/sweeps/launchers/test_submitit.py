"""Test jobs that submitit starts on this machine: exit codes, time limit, and stops."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("submitit")

from lightning_dl2.common.errors import UserError  # noqa: E402
from lightning_dl2.config.compose import compose_multirun  # noqa: E402
from lightning_dl2.sweeps.jobs import Job  # noqa: E402
from lightning_dl2.sweeps.launchers import submitit  # noqa: E402
from lightning_dl2.sweeps.launchers.submitit import SubmititLauncher, Submitted  # noqa: E402

LOCAL = ("launcher=submitit", "launcher.cluster=local", "launcher.minutes=3")


def launched(tmp_path, monkeypatch, code: str, *own: str) -> Submitted:
    """Start a job that runs `code` and handles SIGTERM and SIGUSR1 as `train` does."""
    code = f"""
import os, signal, sys, time
from pathlib import Path
received = []
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: received.append(number))
print("started", os.getppid(), flush=True)
{code}
"""
    monkeypatch.setattr(submitit, "command", lambda overrides: [sys.executable, "-c", code, *overrides])
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", "")
    launcher = SubmititLauncher(compose_multirun(*LOCAL, *own).launcher, tmp_path)
    return launcher.start(Job(1, {}, ["seed=3"]), tmp_path / "log")


def ended(handle: Submitted) -> int:
    deadline = time.monotonic() + 120
    while (code := handle.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return code


@pytest.mark.slow
def test_its_exit_code_and_what_it_says(tmp_path, monkeypatch):
    assert ended(launched(tmp_path, monkeypatch, "print(sys.argv[1]); sys.exit(7)")) == 7
    assert (tmp_path / "log").read_text().split()[2:] == ["seed=3"]


def started(log: Path) -> int:
    """Wait for the start; return the process that submitit runs."""
    deadline = time.monotonic() + 120
    while not log.exists() or not log.read_text(encoding="utf-8").endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(log.read_text(encoding="utf-8").split()[1])


@pytest.mark.slow
def test_at_its_signal_it_saves_and_is_started_again(tmp_path, monkeypatch):
    """A job saves at the signal before its time limit, and is started again."""
    state = tmp_path / "state"
    code = f"""
state = Path({str(state)!r})
if state.exists():
    print("resumed")
    sys.exit(0)
while not received:
    time.sleep(0.05)
state.write_text(str(received))
print("saved")
sys.exit(75)
"""
    handle = launched(tmp_path, monkeypatch, code)
    os.kill(started(tmp_path / "log"), signal.SIGUSR1)
    assert ended(handle) == 0
    words = (tmp_path / "log").read_text().split()
    assert [word for word in words if word.isalpha()] == ["started", "saved", "started", "resumed"]
    assert state.read_text() == str([int(signal.SIGUSR1)])


@pytest.mark.slow
def test_it_is_told_to_stop_and_saves(tmp_path, monkeypatch):
    code = """
while not received:
    time.sleep(0.05)
print("saved")
sys.exit(128 + received[0])
"""
    handle = launched(tmp_path, monkeypatch, code)
    started(tmp_path / "log")
    handle.stop(signal.SIGTERM)
    assert ended(handle) == 143
    assert "saved" in (tmp_path / "log").read_text()


def test_what_slurm_is_asked_for(tmp_path, monkeypatch):
    """submitit's batch file has the requested options; a made-up srun makes submitit believe in SLURM."""
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", "")
    own = ("launcher.nodes=2", "launcher.tasks_per_node=4", "launcher.gpus_per_node=4", "launcher.memory_gb=64")
    own += ("launcher.partition=long", "+launcher.parameters.account=me", "launcher.minutes=90")
    found = SubmititLauncher(compose_multirun("launcher=submitit", *own).launcher, tmp_path / "grid-seed-1")
    lines = found._executor._make_submission_file_text("train", "1").splitlines()
    asked = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH --")}
    assert asked >= {
        "nodes=2", "ntasks-per-node=4", "gpus-per-node=4", "mem=64GB", "partition=long", "account=me", "time=90",
        "cpus-per-task=2", "job-name=grid-seed-1", "signal=USR1@120",
    }  # fmt: skip


def test_without_slurm_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="launcher.cluster=slurm: .*allowed here: local"):
        SubmititLauncher(compose_multirun("launcher=submitit").launcher, tmp_path)


def test_several_processes_of_a_job_find_each_other_and_none_asks_for_a_requeue(tmp_path, monkeypatch):
    """Ranks of a job find each other, and leave the requeue to submitit."""
    for key, value in {"SLURM_JOB_ID": "12", "SLURM_PROCID": "1"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    environment = submitit.Train([], tmp_path / "log", tasks=4)._environment()
    assert "SLURM_JOB_ID" not in environment
    assert (environment["SLURM_PROCID"], environment["MASTER_PORT"]) == ("1", "10012")
