"""Test that a launcher or the first rank of a machine starts the ranks, and that none outlives another."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import torch

from lightning_dl2 import compose
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.launcher import is_rank_zero
from lightning_dl2.distributed import launch
from lightning_dl2.distributed.devices import Devices
from lightning_dl2.distributed.group import Group
from lightning_dl2.distributed.launch import launched, start_ranks
from lightning_dl2.run.directory import Run
from tests.distributed.ranks import LONG, SECONDS, VARIABLES, Ranks, reached
from tests.processes import ForkedProcess, fork_interpreters, redirect
from tests.test_train import Command, differences


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    """Return the uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    words = [*LONG, f"root={out}/runs"]
    assert Ranks([words, words], out).ended() == [0, 0]
    return Run.of(compose(*words))


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 1])
def test_a_killed_process_ends_the_others_and_the_run_goes_on(whole, tmp_path, dead):
    words = [*LONG, f"root={tmp_path}/runs"]
    run = Run.of(compose(*words))
    ranks = Ranks([words, words], tmp_path)
    reached(run, 20)
    ranks.kill(dead)
    assert ranks.ended() == ([-9, 1] if dead == 0 else [1, -9])
    assert (run.result() or {}).get("status") == (None if dead == 0 else "failed")
    assert len(ranks.errors()) == dead  # a dead first process prints nothing
    ranks = Ranks([words, words], tmp_path)
    assert ranks.ended() == [0, 0], ranks.errors()
    assert differences(whole, run) == []


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, even if its exit code was not collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.slow
def test_the_first_starts_the_others_and_none_outlives_another(whole, tmp_path):
    words = [*LONG, f"root={tmp_path}/runs"]
    command = Command(words, tmp_path)
    reached(command.run, 20)
    (other,) = children(command.process.pid)
    assert command.ended(signal.SIGKILL) == -9
    end = time.monotonic() + SECONDS
    while not is_gone(other):
        assert time.monotonic() < end
        time.sleep(0.05)

    step = torch.load(command.run.last, weights_only=True)["global_step"]
    command = Command(words, tmp_path)
    reached(command.run, step + 20)
    (other,) = children(command.process.pid)
    os.kill(other, signal.SIGKILL)
    assert command.ended() == 1
    stdout, stderr = command.told()
    assert stdout == [str(command.run.path)]
    assert [line.partition(":")[0] for line in stderr if "rror" in line] == ["error"]

    command = Command(words, tmp_path)
    command.process.join(2 * SECONDS)
    assert command.ended() == 0
    assert command.told()[0][-1] == str(command.run.path) and command.told()[0].count(str(command.run.path)) == 1
    assert differences(whole, command.run) == []


@pytest.mark.parametrize("over", [False, True])
def test_a_process_that_does_not_notice_is_ended(monkeypatch, capfd, over):
    """A rank that waits in NCCL for a dead one is ended, but not one that has finished its training."""
    codes, event = [], threading.Event()
    monkeypatch.setattr(launch, "NOTICED_LATEST", 0.1)
    monkeypatch.setattr(launch.os, "_exit", codes.append)
    if over:
        event.set()
    launch._watch(subprocess.Popen(["sh", "-c", "exit 3"]), 1, event)
    assert codes == ([] if over else [1])
    assert capfd.readouterr().err == ("" if over else "error: rank 1 ended with exit code 3\n")


def _torchrun(words: list[str], out: Path) -> None:
    from torch.distributed.run import main

    redirect(out), fork_interpreters()
    main(["--standalone", "--max-restarts=3", "--nproc-per-node=2", "-m", "lightning_dl2.train", *words])


@pytest.mark.slow
def test_torchrun_starts_a_killed_process_again(whole, tmp_path):
    words = [*LONG, f"root={tmp_path}/runs"]
    agent = ForkedProcess(target=_torchrun, args=(words, tmp_path))
    agent.start()
    run = Run.of(compose(*words))
    reached(run, 20)
    first, second = children(agent.pid)  # in the order of their ranks
    os.kill(second, signal.SIGKILL)
    agent.join(4 * SECONDS)
    assert agent.exitcode == 0, (tmp_path / "stderr").read_text()
    assert (tmp_path / "stdout").read_text().splitlines()[-1] == str(run.path)
    assert differences(whole, run) == []
    # torchrun names the process that it saw ended first: the killed one, or its peer, which lost the connection.
    assert "failed (exitcode: " in (tmp_path / "stderr").read_text()


def test_without_a_launcher_a_process_is_alone(monkeypatch):
    assert (launched().rank, launched().world_size, is_rank_zero()) == (0, 1, True)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert launched().world_size == 1
    assert launched().gather({"a": 1}) == [{"a": 1}]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"RANK": "0"}, "WORLD_SIZE: is not set, but RANK is; fix: "),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "RANK=one: allowed: 0 to 999999"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2: allowed with WORLD_SIZE=2: 0 to 1"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_PORT: is not set, but RANK and WORLD_SIZE are; fix: "),
        ({"SLURM_STEP_NUM_TASKS": "2"}, "SLURM_PROCID: is not set, but SLURM_STEP_NUM_TASKS is; fix: "),
        ({"LOCAL_RANK": "1"}, "LOCAL_RANK=1: RANK and WORLD_SIZE are not set; fix: "),
        ({"SLURM_PROCID": "3"}, "SLURM_PROCID=3: RANK and WORLD_SIZE are not set; fix: "),
    ],
)
def test_a_launcher_that_tells_too_little(monkeypatch, variables, says):
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UserError, match=f"^{says}"):
        launched()


def test_srun_is_a_launcher(monkeypatch):
    """srun's variables become those of torch and Lightning, with rank 0 on the first node."""
    slurm = {"PROCID": 3, "LOCALID": 1, "NODEID": 1, "STEP_NUM_TASKS": 4, "JOB_ID": 17, "NODELIST": "node[7-8]"}
    for key, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{key}", str(value))
    for key in VARIABLES:  # so that monkeypatch restores them
        monkeypatch.setenv(key, os.environ.get(key, ""))
        if not os.environ[key]:
            del os.environ[key]
    joined = []
    monkeypatch.setattr(launch, "_join", lambda *args: joined.append(args))
    launched()
    launch._launched.cache_clear()
    assert joined == [(3, 4, "node7", 15017)]
    assert [os.environ[key] for key in ("RANK", "LOCAL_RANK", "NODE_RANK")] == ["3", "1", "1"] and not is_rank_zero()


def start(config, group=None):
    """Start the ranks of `config` beside those of a launcher."""
    return start_ranks(group or Group(), Devices(config.trainer).per_machine, config.trainer.num_nodes, {})


@pytest.mark.slow
def test_several_machines_without_a_launcher(tiny):
    with pytest.raises(UserError, match="trainer.num_nodes=2: NODE_RANK is not set; fix: use torchrun or srun"):
        with start(tiny("trainer=ddp_cpu", "trainer.num_nodes=2")):
            pass


@pytest.mark.parametrize(
    ("words", "node", "says"),
    [
        (("trainer=ddp_cpu",), "3", "NODE_RANK=3: allowed with trainer.num_nodes=1: 0$"),
        ((), "1", "NODE_RANK=1: allowed with trainer.num_nodes=1: 0$"),
        (("trainer.num_nodes=2",), "2", "NODE_RANK=2: allowed with trainer.num_nodes=2: 0 to 1$"),
    ],
)
def test_a_machine_that_is_none_of_the_runs(tiny, monkeypatch, words, node, says):
    """A machine outside the job is refused: it would wait ten minutes or write nothing."""
    monkeypatch.setenv("NODE_RANK", node)
    with pytest.raises(UserError, match=f"^{says}"), start(tiny(*words)):
        pass


def test_a_launcher_of_more_processes_than_devices_on_a_machine(tiny, monkeypatch):
    for key, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "7"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UserError, match="^LOCAL_RANK=7: allowed with trainer.devices=2: 0 to 1$"):
        with start(tiny("trainer=ddp_cpu"), Group(0, 2)):
            pass


@pytest.mark.slow
def test_a_process_that_outlives_its_grace_is_killed(monkeypatch):
    """A rank that waits in a collective beyond its grace period is killed."""
    begun, begin = [], subprocess.Popen

    def sleeper(command, **options):
        begun.append(begin(["sleep", "20"], **options))
        return begun[-1]

    monkeypatch.setattr(launch, "GRACE", 0.1)
    monkeypatch.setattr(launch.subprocess, "Popen", sleeper)
    with launch._others({}, 0, 2):
        pass
    assert [process.returncode for process in begun] == [-signal.SIGKILL]


def test_a_launcher_of_other_numbers_on_each_machine(tiny, monkeypatch):
    for key, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(key, value)
    with (
        pytest.raises(UserError, match="the launcher has set LOCAL_WORLD_SIZE=1"),
        start(tiny("trainer=ddp_cpu"), Group(0, 2)),
    ):
        pass


def test_what_a_launcher_leaves_out_follows_from_the_rank(tiny, monkeypatch):
    for key, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "", "NODE_RANK": ""}.items():
        monkeypatch.setenv(key, value)
    del os.environ["LOCAL_RANK"], os.environ["NODE_RANK"]
    with start(tiny("trainer=ddp_cpu", "trainer.num_nodes=2"), Group(3, 4)):
        assert [os.environ[key] for key in ("LOCAL_RANK", "NODE_RANK")] == ["1", "1"]


def test_the_first_of_the_second_machine_is_the_third(monkeypatch):
    monkeypatch.setenv("NODE_RANK", "1")
    before = dict(os.environ)
    with launch._environment(2, 4) as rank:
        assert [os.environ[key] for key in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")] == ["2", "0", "1", "4"]
    assert rank == 2 and dict(os.environ) == before
