"""Test on a real SLURM of two nodes that a job resumes after any end and equals an undisturbed run.

The tests run if sinfo knows the nodes n1 and n2, and take some minutes. With -s they print what happened.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from lightning_dl2 import compose, train
from lightning_dl2.run.directory import Run
from tests.comparison import checkpoint_differences, has_reached, metrics_differences
from tests.conftest import TINY, TINY_GRAPH, TINY_TEXT

ROOT = Path(__file__).parents[2]
START = time.monotonic()
# Options of sbatch, and the overrides that train.sbatch derives from them.
ONE_NODE = "--nodes=1 --ntasks-per-node=2", ["trainer.devices=2", "trainer.num_nodes=1", "trainer.strategy=ddp"]
TWO_NODES = "--nodes=2 --ntasks-per-node=1", ["trainer.devices=1", "trainer.num_nodes=2", "trainer.strategy=ddp"]
STEPS = 500  # long enough to interrupt
LONG = [f"trainer.max_steps={STEPS}", "trainer.val_check_interval=20", "callbacks.checkpoint.every_n_steps=50"]
PALINDROME = ["experiment=palindrome", *TINY, *LONG, "callbacks.solved.enabled=false"]


def answer(*command: str) -> str:
    """Return the output of a SLURM command."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def nodes() -> list[str]:
    try:
        return answer("sinfo", "-h", "-N", "-o", "%N").split()
    except (OSError, subprocess.SubprocessError):
        return []


pytestmark = [
    pytest.mark.skipif(nodes() != ["n1", "n2"], reason="sinfo does not answer with the nodes n1 and n2"),
    pytest.mark.slow,
]


def diary(text: str) -> None:
    print(f"{time.monotonic() - START:6.0f} s  {text}", flush=True)


def until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 300  # the machine may be slow
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def submit(script: str, options: str, words: list[str], out: Path) -> str:
    """Submit a script of scripts/slurm/; return the job's id."""
    out.parent.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHON": sys.executable, "MASTER_ADDR": "127.0.0.1"}
    command = ["sbatch", "--parsable", *options.split(), f"--output={out}", f"scripts/slurm/{script}.sbatch", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    diary(f"job {done.stdout.strip()}: sbatch {options} {script}.sbatch {words[0]} ...")
    return done.stdout.strip()


class Job:
    """A SLURM job and the run that it trains.

    Args:
        id: SLURM's id.
        out: file for the job's output.
        run: the run directory, which may not exist yet.
    """

    def __init__(self, id: str, out: Path, run: Run) -> None:
        self.id, self.out, self.run = id, out, run

    def field(self, key: str) -> str:
        return re.search(rf"\b{key}=(\S+)", answer("scontrol", "show", "job", "-o", self.id))[1]

    def state(self) -> tuple[str, int]:
        """Return SLURM's state of the job, and how often it was restarted."""
        return self.field("JobState"), int(self.field("Restarts"))

    def told(self, *command: str) -> None:
        diary(f"job {self.id}: {' '.join(command)}")
        answer(*command)

    def stands(self) -> str:
        result, last = self.run.result(), self.run.last
        step = torch.load(last, weights_only=True)["global_step"] if last.exists() else 0
        return f"its run is {result['status'] if result else 'without a result'}, last.ckpt of step {step}"

    def reached(self, step: int) -> "Job":
        """Wait until the run can be resumed and metrics.csv has a row of this step or a later one."""

        def there() -> bool:
            assert self.state()[0] in ("PENDING", "RUNNING"), self.out.read_text()
            return has_reached(self.run, step)

        until(there, f"job {self.id} does not get to step {step}")
        return self

    def goes_on(self, restarts: int) -> "Job":
        """Wait until the job is queued again, and let SLURM start it at once, not after two minutes."""
        until(lambda: self.state() == ("PENDING", restarts), f"job {self.id} is not queued again")
        diary(f"job {self.id}: is queued again; {self.stands()}")

        def started() -> bool:
            subprocess.run(["scontrol", "update", f"JobId={self.id}", "StartTime=now"], capture_output=True)
            return self.state() == ("RUNNING", restarts)

        until(started, f"job {self.id} does not start again")
        return self

    def ended(self, state: str = "COMPLETED") -> "Job":
        until(lambda: self.state()[0] not in ("PENDING", "RUNNING", "COMPLETING"), f"job {self.id} does not end")
        hash = f", SHA-256 {sha(self.run)[:16]}" if self.run.last.exists() else ""
        diary(f"job {self.id}: {self.state()[0]}; {self.stands()}{hash}")
        assert self.state()[0] == state, self.out.read_text()
        return self

    def task(self, rank: int, *, listens: bool) -> int:
        """Return the process id of a task that handles SIGUSR1, or, with `listens=False`, of one that does not yet."""
        mine, found = {f"SLURM_JOB_ID={self.id}", f"SLURM_PROCID={rank}"}, []

        def there() -> bool:
            for path in Path("/proc").glob("[0-9]*"):
                try:
                    if mine <= set((path / "environ").read_text().split("\0")):
                        blocked = int(re.search(r"SigBlk:\s*(\w+)", (path / "status").read_text())[1], 16)
                        caught = int(re.search(r"SigCgt:\s*(\w+)", (path / "status").read_text())[1], 16)
                        if (caught if listens else blocked) >> signal.SIGUSR1 - 1 & 1:
                            found.append(int(path.name))
                except OSError:  # the process has ended
                    continue
            return bool(found)

        until(there, f"job {self.id} has no such task")
        return found[0]


def sha(run: Run) -> str:
    """Hash all parameters of last.ckpt."""
    total, state = sha256(), torch.load(run.last, weights_only=True)["state_dict"]
    for name in sorted(state):
        total.update(name.encode() + state[name].numpy().tobytes())
    return total.hexdigest()


def sbatch(words: list[str], layout: tuple[str, list[str]], root: Path, options: str = "") -> Job:
    """Return a function that submits a job of train.sbatch with run and output under `root`."""
    words, out = [*words, f"root={root}/runs"], root / "out"
    id = submit("train", f"{layout[0]} {options}", words, out)
    return Job(id, out, Run.of(compose(*words, *layout[1])))


def check(run: Run, whole: Run) -> None:
    """Check that the run equals `whole`, in one directory with one log and one metrics.csv."""
    assert checkpoint_differences(whole, run) == []
    assert metrics_differences(whole, run) == []
    assert sha(whole) == sha(run)
    for key in ("status", "steps", "metrics"):
        assert run.result()[key] == whole.result()[key]
    for name in ("config.yaml", "*.csv", "*.log"):
        assert len(list(run.path.parents[2].rglob(name))) == 1


@pytest.fixture(scope="module")
def words(book):
    """Return the overrides of each experiment."""
    text = [*TINY_TEXT, *LONG, f"data.path={book}", f"data.cache_dir={book.parent}"]
    return {"palindrome": PALINDROME, "text": text, "graph": [*TINY_GRAPH, *LONG]}


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory):
    """Return the undisturbed run of each experiment, with two tasks on one node."""
    done: dict[str, Run] = {}

    def run(experiment: str) -> Run:
        if experiment not in done:
            done[experiment] = sbatch(words[experiment], ONE_NODE, tmp_path_factory.mktemp("whole")).ended().run
        return done[experiment]

    return run


@pytest.mark.parametrize(
    ("experiment", "layout"),
    [("palindrome", ONE_NODE), ("palindrome", TWO_NODES), ("text", ONE_NODE), ("graph", TWO_NODES)],
    ids=["palindrome-1x2", "palindrome-2x1", "text-1x2", "graph-2x1"],
)
def test_requeued(experiment, layout, words, whole, tmp_path):
    whole = whole(experiment)
    job = sbatch(words[experiment], layout, tmp_path).reached(100)
    job.told("scontrol", "requeue", job.id)
    check(job.goes_on(1).ended().run, whole)
    assert job.out.read_text().count("stopped by SIGTERM") == 1


def test_time_limit(tmp_path):
    """SLURM signals the tasks before the limit, and they requeue the job.

    SLURM checks limits every half minute, so the run lasts until then on any machine.
    """
    words = [*PALINDROME, "trainer.max_steps=1000000"]
    job = sbatch(words, ONE_NODE, tmp_path / "parts", "--signal=USR1@115 --time=60").reached(50)
    hours, minutes, _ = map(int, job.field("RunTime").split(":"))
    job.told("scontrol", "update", f"JobId={job.id}", f"TimeLimit={60 * hours + minutes + 2}")  # in 1 to 2 minutes
    until(lambda: job.state()[1] == 1, f"job {job.id} is not queued again")
    job.told("scontrol", "update", f"JobId={job.id}", "TimeLimit=60")
    job.goes_on(1)
    assert "stopped by SIGUSR1" in job.out.read_text()
    job.reached(job.run.result()["steps"] + 20).told("scancel", job.id)
    steps = job.ended("CANCELLED").run.result()["steps"]
    words[-1] = f"trainer.max_steps={steps + 20}"
    parts = sbatch(words, ONE_NODE, tmp_path / "parts")
    whole = sbatch(words, ONE_NODE, tmp_path / "whole")
    check(parts.ended().run, whole.ended().run)


def test_one_task_is_told(words, whole, tmp_path):
    """Tasks stop together and requeue the job if only one is signalled, while the other is in another step."""
    whole = whole("palindrome")
    job = sbatch(words["palindrome"], TWO_NODES, tmp_path).reached(100)
    job.told("kill", "-USR1", str(job.task(1, listens=True)))
    job.goes_on(1)
    job.told("kill", "-USR1", str(job.task(1, listens=False)))  # the task still imports torch
    job.goes_on(2)
    check(job.ended().run, whole)
    assert job.out.read_text().count("stopped by SIGUSR1") == 2


def test_lost_node(words, whole, tmp_path):
    """The task of a lost node saves nothing, the other task ends, and the job resumes."""
    whole = whole("palindrome")
    job = sbatch(words["palindrome"], TWO_NODES, tmp_path).reached(100)
    lost = job.task(1, listens=True)
    job.told("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=lost")
    job.told("kill", "-KILL", str(lost))
    until(lambda: job.state() == ("PENDING", 1), f"job {job.id} is not queued again")
    if "DOWN" in answer("scontrol", "show", "node", "n2"):  # some clusters bring the node back by themselves
        job.told("scontrol", "update", "NodeName=n2", "State=RESUME")
    check(job.goes_on(1).ended().run, whole)


def test_cancelled_and_submitted_again(words, whole, tmp_path):
    whole = whole("palindrome")
    job = sbatch(words["palindrome"], ONE_NODE, tmp_path).reached(100)
    job.told("scancel", job.id)
    assert job.ended("CANCELLED").run.result()["status"] == "interrupted"
    for _ in range(2):  # the second run does nothing
        check(sbatch(words["palindrome"], ONE_NODE, tmp_path).ended().run, whole)


def test_array_of_seeds(words, tmp_path):
    """Only the signalled task of an array is requeued, here the task whose id is the array's."""
    words = [*words["palindrome"], f"root={tmp_path}/runs"]
    array = submit("array", "--array=0-1", words, tmp_path / "%a.out")
    jobs = [
        Job(f"{array}_{seed}", tmp_path / f"{seed}.out", Run.of(compose(*words, f"seed={seed}"))) for seed in (0, 1)
    ]
    (told,) = [job for job in jobs if job.field("JobId") == array]
    told.reached(100).told("scancel", "--signal=USR1", told.id)
    told.goes_on(1)
    for job in jobs:
        assert job.ended().state()[1] == (job is told)
        _, objects = train(compose(*words, f"seed={jobs.index(job)}", f"root={tmp_path}/whole"))
        assert checkpoint_differences(objects["run"], job.run) == []
        assert metrics_differences(objects["run"], job.run) == []
