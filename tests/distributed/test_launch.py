"""The processes of a run, started as torchrun starts them or by the first one: one directory, one voice, one end."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from lightning_dl2 import compose
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import read_rows
from lightning_dl2.common.launcher import LAUNCH, is_rank_zero, restart_ids
from lightning_dl2.distributed import group, launch, store
from lightning_dl2.distributed.devices import num_devices
from lightning_dl2.distributed.launch import launched, started
from lightning_dl2.run import directory as run_module
from lightning_dl2.run.directory import Run
from lightning_dl2.tasks import SequenceClassifier
from lightning_dl2.train import main
from tests.conftest import TINY, TINY_TEXT
from tests.test_train import PROCESSES, Command, differences

SECONDS = 120  # for all to end on a busy machine; without what is tested here it would be half an hour
DDP = [*TINY, "trainer=ddp_cpu", "trainer.num_threads=1"]
LONG = [*DDP, "trainer.max_steps=160"]
VARIABLES = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT",
    "SLURM_STEP_NUM_TASKS", "SLURM_PROCID",
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _call(words: list[str], out: Path, environment: dict[str, str], prepare: Callable[[], None] | None) -> None:
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.environ.update(environment)
    os.chdir(out)
    if prepare:
        prepare()
    sys.exit(main(words))


class Ranks:
    """The processes that a launcher starts, each in a directory of its own.

    Args:
        words: of each rank.
        out: holds the directories 0, 1, ...
        environment: variables that differ from those of a launcher that does all right.
        prepare: what each calls first.
    """

    def __init__(self, words: list[list[str]], out: Path, prepare=None, **environment: str) -> None:
        self.out, self.processes = out, []
        common = {"WORLD_SIZE": str(len(words)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        for rank, own in enumerate(words):
            directory = out / str(rank)
            directory.mkdir(parents=True, exist_ok=True)
            numbers = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            process = PROCESSES.Process(target=_call, args=(own, directory, common | numbers | environment, prepare))
            process.start()
            self.processes.append(process)

    def kill(self, rank: int) -> None:
        os.kill(self.processes[rank].pid, signal.SIGKILL)

    def ended(self) -> list[int]:
        """The exit codes, when all have ended within seconds of one another."""
        end = time.monotonic() + 2 * SECONDS
        while all(process.is_alive() for process in self.processes):
            assert time.monotonic() < end
            time.sleep(0.05)
        for process in self.processes:
            process.join(SECONDS)
        codes = [process.exitcode for process in self.processes]
        for process in self.processes:
            process.kill()
        return codes

    def errors(self) -> list[tuple[int, str]]:
        """(rank, line) of what was said on stderr."""
        said = [(out / "stderr").read_text().splitlines() for out in sorted(self.out.iterdir()) if out.name.isdigit()]
        return [(rank, line) for rank, lines in enumerate(said) for line in lines if line.startswith("error")]

    def printed(self, rank: int) -> list[str]:
        return (self.out / str(rank) / "stdout").read_text().splitlines()


def reached(run: Run, step: int) -> None:
    end = time.monotonic() + 2 * SECONDS
    while not any(int(row["step"]) >= step for row in read_rows(run.metrics_file)):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for key in VARIABLES:
        monkeypatch.delenv(key, raising=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    """The run that nothing stopped."""
    out = tmp_path_factory.mktemp("whole")
    words = [*LONG, f"root={out}/runs"]
    assert Ranks([words, words], out).ended() == [0, 0]
    return Run.of(compose(*words))


def test_what_starts_a_command_again_has_a_name(monkeypatch):
    for key in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", LAUNCH):
        monkeypatch.delenv(key, raising=False)
    assert restart_ids() == {}
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert restart_ids() == {"SLURM_JOB_ID=7": 0}
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv(LAUNCH, "y")
    assert restart_ids() == {"SLURM_JOB_ID=7": 2, "TORCHELASTIC_RUN_ID=x": 0, f"{LAUNCH}=y": 1}


def test_one_directory_and_one_voice(tmp_path):
    """Trained, found finished, and trained anew in a directory that the others must not look into too early."""
    words = [*DDP, f"root={tmp_path}/runs"]
    run = Run.of(compose(*words))
    first = Ranks([words, words], tmp_path)
    assert first.ended() == [0, 0], first.errors()
    printed = first.printed(0)
    assert printed[-1] == str(run.path) and first.printed(1) == first.errors() == []
    assert run.result()["world_size"] == 2
    again = Ranks([words, words], tmp_path)
    assert again.ended() == [0, 0] and again.printed(0) == printed and again.printed(1) == []
    restarted = Ranks([[*words, "resume=restart"]] * 2, tmp_path)
    assert restarted.ended() == [0, 0], restarted.errors()
    assert differences(Run(run.path.with_name("seed=0.old-1")), run) == []
    refused = Ranks([[*words, "resume=never"]] * 2, tmp_path)
    assert refused.ended() == [2, 2]
    assert refused.errors() == [
        (0, f"error: resume=never: {run.path} holds a run; allowed: auto, restart, or another root or seed")
    ]


def test_wrong_input_is_told_once(tmp_path):
    for words, says in (
        ([*DDP, "data.batch_sise=8"], "error: data.batch_sise=8: there is no key"),
        (
            [*DDP, "trainer.devices=1"],
            "error: trainer.devices=1, trainer.num_nodes=1: the launcher has set WORLD_SIZE=2",
        ),
        ([*DDP, "data.test_size=1"], "error: trainer.devices: 2 processes share the 1 sequences of the test split"),
    ):
        ranks = Ranks([words, words], tmp_path)
        assert ranks.ended() == [2, 2]
        ((rank, line),) = ranks.errors()
        assert rank == 0 and line.startswith(says) and "on rank" not in line
    assert not list(tmp_path.glob("*/runs"))


def test_wrong_input_of_one_ends_all(tmp_path, book):
    """The text is on one machine alone; two have been started with other words."""
    words = [*TINY_TEXT, "trainer=ddp_cpu", "data.path=book.txt", "data.cache_dir=cache"]
    (tmp_path / "0").mkdir()
    (tmp_path / "0/book.txt").write_bytes(book.read_bytes())
    ranks = Ranks([words, words], tmp_path)
    assert ranks.ended() == [2, 2]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and line.startswith("error: data.path=book.txt: ") and line.endswith("(on rank 1)")
    (tmp_path / "1/book.txt").write_bytes(book.read_bytes() * 2)  # there, but another one
    ranks = Ranks([words, words], tmp_path)
    assert ranks.ended() == [2, 2]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and line.startswith("error: data=") and "on rank 1" in line and "on rank 0" in line
    ranks = Ranks([DDP, [*DDP, "trainer.max_steps=25"]], tmp_path)
    assert ranks.ended() == [2, 2]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and line.startswith("error: trainer.max_steps=25: on rank 1, but 24 on rank 0; allowed: the same")
    assert not list(tmp_path.glob("*/runs"))


def hasty() -> None:
    store.ANSWERING = store.MEETING = group.MEETING = run_module.SEEN_LATEST = 1.0


def test_a_directory_that_is_not_shared(tmp_path):
    """Each process has a disk of its own, at first empty; then one holds an older state."""
    ranks = Ranks([DDP, DDP], tmp_path, hasty)
    assert ranks.ended() == [2, 2]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and "is not there, but rank 0 has made it" in line and line.endswith("(on rank 1)")
    assert Ranks([[*DDP, f"root={tmp_path}/both"]] * 2, tmp_path).ended() == [0, 0]
    for name in ("0", "1"):
        shutil.rmtree(tmp_path / name / "runs", ignore_errors=True)
        shutil.copytree(tmp_path / "both", tmp_path / name / "runs")
        next((tmp_path / name).rglob("result.json")).unlink()
    next((tmp_path / "1").rglob("last.ckpt")).unlink()
    ranks = Ranks([DDP, DDP], tmp_path)
    assert ranks.ended() == [2, 2]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and line.startswith("error: step=") and " on rank 1, but 24 on rank 0; allowed: the same" in line


@pytest.mark.parametrize("dead", [0, 1])
def test_a_killed_process_ends_the_others_and_the_run_goes_on(whole, tmp_path, dead):
    words = [*LONG, f"root={tmp_path}/runs"]
    run = Run.of(compose(*words))
    ranks = Ranks([words, words], tmp_path)
    reached(run, 20)
    ranks.kill(dead)
    assert ranks.ended() == ([-9, 1] if dead == 0 else [1, -9])
    assert (run.result() or {}).get("status") == (None if dead == 0 else "failed")
    assert len(ranks.errors()) == dead  # a dead first process says nothing
    ranks = Ranks([words, words], tmp_path)
    assert ranks.ended() == [0, 0], ranks.errors()
    assert differences(whole, run) == []


def breaks(method: str, how: Callable[[], None]) -> None:
    original = getattr(SequenceClassifier, method)

    def broken(self, batch, batch_idx):
        if self.global_rank == 1 and self.global_step == 10:
            how()
        return original(self, batch, batch_idx)

    setattr(SequenceClassifier, method, broken)


def raises() -> None:
    raise ValueError("only here")


def raises_in_training() -> None:
    breaks("training_step", raises)


def leaves_in_training() -> None:
    breaks("training_step", lambda: os._exit(0))


def dies_in_validation() -> None:
    breaks("validation_step", lambda: os.kill(os.getpid(), signal.SIGKILL))


@pytest.mark.parametrize(
    ("prepare", "code", "says"),
    [
        (raises_in_training, 1, "error: rank 1: ValueError: only here (traceback in "),
        (leaves_in_training, 0, "error: RuntimeError: "),
        (dies_in_validation, -9, "error: RuntimeError: "),
    ],
)
def test_a_failure_of_one_is_the_failure_of_all(tmp_path, prepare, code, says):
    words = [*DDP, f"root={tmp_path}/runs"]
    run = Run.of(compose(*words))
    ranks = Ranks([words, words], tmp_path, prepare)
    assert ranks.ended() == [1, code]
    ((rank, line),) = ranks.errors()
    assert rank == 0 and line.startswith(says)
    assert run.result()["status"] == "failed" and run.find_resume_point().path == run.last
    if prepare is raises_in_training:
        assert "in raises\n    raise ValueError" in run.log_file.read_text()


def test_a_port_that_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ranks = Ranks([DDP, DDP], tmp_path, hasty, MASTER_PORT=str(port))
        assert ranks.ended() == [2, 1]  # the second process has found somebody who does not answer
    assert ranks.errors()[0][1].startswith(f"error: MASTER_PORT={port}: cannot be opened on this machine")
    assert not (tmp_path / "0/runs").exists()


@pytest.mark.parametrize(
    ("address", "codes", "says"),
    [
        ("nowhere.invalid", [2, 2], "cannot be resolved: "),
        ("198.51.100.1", [2, 1], "does not lead to this machine, which has rank 0"),  # of no machine, by RFC 5737
    ],
)
def test_a_wrong_address(tmp_path, address, codes, says):
    ranks = Ranks([DDP, DDP], tmp_path, hasty, MASTER_ADDR=address)
    assert ranks.ended() == codes
    assert ranks.errors()[0][1].startswith(f"error: MASTER_ADDR={address}: {says}")
    assert not list(tmp_path.glob("*/runs"))


def test_processes_that_never_come(tmp_path):
    ranks = Ranks([DDP], tmp_path / "first", hasty, WORLD_SIZE="2")
    assert ranks.ended() == [1]
    assert ranks.errors() == [(0, "error: 1 of 2 processes came within 1 s; missing: rank 1")]
    ranks = Ranks([DDP], tmp_path / "second", hasty, WORLD_SIZE="2", RANK="1")
    assert ranks.ended() == [1]
    ((_, line),) = ranks.errors()
    assert line.startswith("error: rank 1 of 2 found no rank 0 at MASTER_ADDR=127.0.0.1, MASTER_PORT=")
    assert not list(tmp_path.glob("*/*/runs"))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def is_gone(pid: int) -> bool:
    """Ended; perhaps nobody has asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


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


def watches(over: bool) -> None:
    launch.NOTICED_LATEST, event = 0.1, threading.Event()
    if over:
        event.set()
    launch._watch(subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"]), 1, event)


@pytest.mark.parametrize(("over", "code"), [(False, 1), (True, 0)])
def test_a_process_that_does_not_notice_is_ended(over, code):
    """As one that waits in NCCL for a dead one; but not one that has ended its training."""
    process = PROCESSES.Process(target=watches, args=(over,))
    process.start()
    process.join(SECONDS)
    assert process.exitcode == code


@pytest.mark.slow
def test_torchrun_starts_a_killed_process_again(whole, tmp_path):
    words = [*LONG, f"root={tmp_path}/runs"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=3", "--nproc-per-node=2"]
    with (
        open(tmp_path / "stdout", "w", encoding="utf-8") as stdout,
        open(tmp_path / "stderr", "w", encoding="utf-8") as stderr,
    ):
        agent = subprocess.Popen([*torchrun, "-m", "lightning_dl2.train", *words], stdout=stdout, stderr=stderr)
    run = Run.of(compose(*words))
    reached(run, 20)
    ranks = {dict(_environment(pid))["RANK"]: pid for pid in children(agent.pid)}
    os.kill(ranks["1"], signal.SIGKILL)
    assert agent.wait(4 * SECONDS) == 0, (tmp_path / "stderr").read_text()
    assert (tmp_path / "stdout").read_text().splitlines()[-1] == str(run.path)
    assert differences(whole, run) == []


def _environment(pid: int) -> list[list[str]]:
    return [
        word.split("=", 1)
        for word in Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")
        if "=" in word
    ]


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
    """Its variables become those that torch and Lightning read; rank 0 is on the first node."""
    slurm = {"PROCID": 3, "LOCALID": 1, "NODEID": 1, "STEP_NUM_TASKS": 4, "JOB_ID": 17, "NODELIST": "node[7-8]"}
    for key, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{key}", str(value))
    for key in VARIABLES:  # so that they are taken back
        monkeypatch.setenv(key, os.environ.get(key, ""))
        if not os.environ[key]:
            del os.environ[key]
    joined = []
    monkeypatch.setattr(launch, "_join", lambda *args: joined.append(args))
    launched()
    launch._launched.cache_clear()
    assert joined == [(3, 4, "node7", 15017)]
    assert [os.environ[key] for key in ("RANK", "LOCAL_RANK", "NODE_RANK")] == ["3", "1", "1"] and not is_rank_zero()


def test_several_machines_without_a_launcher(tiny):
    config = tiny("trainer=ddp_cpu", "trainer.num_nodes=2")
    assert num_devices(config) == 2 and num_devices(tiny("trainer.devices=auto")) == 1
    with (
        pytest.raises(UserError, match="trainer.num_nodes=2: NODE_RANK is not set; fix: use torchrun or srun"),
        started(config, []),
    ):
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
    """It would wait ten minutes for the others, or be no rank 0 and write nothing."""
    monkeypatch.setenv("NODE_RANK", node)
    with pytest.raises(UserError, match=f"^{says}"), started(tiny(*words), []):
        pass


def test_a_launcher_of_more_processes_than_devices_on_a_machine(tiny, monkeypatch):
    monkeypatch.setattr(launch, "launched", lambda: group.Group(0, 2))
    for key, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "7"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UserError, match="^LOCAL_RANK=7: allowed with trainer.devices=2: 0 to 1$"):
        with started(tiny("trainer=ddp_cpu"), []):
            pass


@pytest.mark.slow
def test_a_process_that_outlives_its_grace_is_killed(tiny, monkeypatch):
    """As one that waits in a collective for this one."""
    begun, begin = [], subprocess.Popen

    def sleeper(command, **options):
        begun.append(begin(["sleep", "20"], **options))
        return begun[-1]

    monkeypatch.setattr(launch, "GRACE", 0.1)
    monkeypatch.setattr(launch.subprocess, "Popen", sleeper)
    with launch._others(tiny("trainer=ddp_cpu"), [], 0, 2):
        pass
    assert [process.returncode for process in begun] == [-signal.SIGKILL]


@pytest.mark.parametrize(
    ("brings", "says"),
    [
        ([{"a": 1}, {"a": 1, "b": 2}], "b=2: on rank 1, but None on rank 0"),
        ([{"a": 1, "b": 2}, {"a": 1}], "b=None: on rank 1, but 2 on rank 0"),
        ([{"a": 1}, {"a": 2}], "a=2: on rank 1, but 1 on rank 0"),
    ],
)
def test_keys_that_one_rank_lacks_are_compared(brings, says):
    store = torch.distributed.HashStore()

    def agree(rank: int) -> str:
        with pytest.raises(UserError) as error:
            group.Group(rank, 2, store).agree(brings[rank])
        return str(error.value)

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(agree, (0, 1)))
    assert told[0] == told[1] and told[0].startswith(f"{says}; allowed: the same command")


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


def test_a_launcher_of_other_numbers_on_each_machine(tiny, monkeypatch):
    monkeypatch.setattr(launch, "launched", lambda: group.Group(0, 2))
    for key, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(key, value)
    with (
        pytest.raises(UserError, match="the launcher has set LOCAL_WORLD_SIZE=1"),
        started(tiny("trainer=ddp_cpu"), []),
    ):
        pass


def test_what_a_launcher_leaves_out_follows_from_the_rank(tiny, monkeypatch):
    monkeypatch.setattr(launch, "launched", lambda: group.Group(3, 4))
    for key, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "", "NODE_RANK": ""}.items():
        monkeypatch.setenv(key, value)
    del os.environ["LOCAL_RANK"], os.environ["NODE_RANK"]
    with started(tiny("trainer=ddp_cpu", "trainer.num_nodes=2"), []):
        assert [os.environ[key] for key in ("LOCAL_RANK", "NODE_RANK")] == ["1", "1"]


def test_the_first_of_the_second_machine_is_the_third(monkeypatch):
    monkeypatch.setenv("NODE_RANK", "1")
    before = dict(os.environ)
    with launch._environment(2, 4) as rank:
        assert [os.environ[key] for key in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")] == ["2", "0", "1", "4"]
    assert rank == 2 and dict(os.environ) == before
