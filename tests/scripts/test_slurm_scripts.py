"""Test the scripts of scripts/slurm/ with a made-up srun that prints its arguments."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TRAIN = "-m lightning_dl2.train"


@pytest.fixture
def script(tmp_path):
    """Return a function that runs a script as SLURM would; srun prints its arguments and exits with a chosen code."""

    def run(name: str, *words: str, ends: int = 0, **variables: str) -> subprocess.CompletedProcess:
        for tool, code in (("srun", f'echo "srun $*"; env; exit {ends}'), ("python", 'echo "python $*"; echo RUN')):
            (tmp_path / tool).write_text(f"#!/bin/sh\n{code}\n")
            (tmp_path / tool).chmod(0o755)
        (tmp_path / "scontrol").write_text("#!/bin/sh\nprintf 'a3\\nb1\\n'\n")
        (tmp_path / "scontrol").chmod(0o755)
        job = {"SLURM_JOB_ID": "40123", "SLURM_JOB_NODELIST": "a3,b1", "SLURM_JOB_NUM_NODES": "1"}
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": "python"} | job | variables
        command = ["bash", f"scripts/slurm/{name}.sbatch", *words]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    return run


def started(done: subprocess.CompletedProcess) -> str:
    """Return the arguments of `srun`."""
    assert done.returncode == 0, done.stderr
    return next(line for line in done.stdout.splitlines() if line.startswith("srun ")).removeprefix("srun ")


def test_one_task_is_the_command_as_typed(script):
    done = script("train", "experiment=text", "seed=1")
    assert started(done) == (
        f"--ntasks=1 --ntasks-per-node=1 --cpus-per-task=1 --kill-on-bad-exit=1 python {TRAIN} experiment=text seed=1"
    )
    for line in ("MASTER_ADDR=a3", "MASTER_PORT=10123", "OMP_NUM_THREADS=1", "WANDB_MODE=offline"):
        assert line in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("variables", "typed", "words"),
    [
        ({"SLURM_NTASKS_PER_NODE": "2"}, "", "trainer.devices=2 trainer.num_nodes=1 trainer.strategy=ddp"),
        ({"SLURM_JOB_NUM_NODES": "2"}, "", "trainer.devices=1 trainer.num_nodes=2 trainer.strategy=ddp"),
        ({"SLURM_GPUS_ON_NODE": "1"}, "", "trainer.accelerator=gpu"),
        (
            {"SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS_PER_NODE": "4", "SLURM_GPUS_ON_NODE": "4", "SLURM_NTASKS": "8"},
            "",
            "trainer.accelerator=gpu trainer.devices=4 trainer.num_nodes=2 trainer.strategy=ddp",
        ),
        (
            {"SLURM_NTASKS_PER_NODE": "2", "SLURM_GPUS_ON_NODE": "2"},
            "trainer.accelerator=cpu trainer.devices=1",
            "trainer.num_nodes=1 trainer.strategy=ddp trainer.accelerator=cpu trainer.devices=1",
        ),
    ],
)
def test_the_trainer_follows_the_allocation_unless_told_otherwise(script, variables, typed, words):
    done = script("train", *typed.split(), "seed=1", **variables)
    assert started(done).endswith(f"{TRAIN} {words} seed=1")
    tasks = int(variables.get("SLURM_NTASKS_PER_NODE", 1))
    number = tasks * int(variables.get("SLURM_JOB_NUM_NODES", 1))
    assert started(done).startswith(f"--ntasks={number} --ntasks-per-node={tasks} ")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"SLURM_NTASKS": "4"}, "--ntasks=4: is not nodes x tasks per node; fix: give --nodes and"),
        ({"SLURM_GPUS_ON_NODE": "4"}, "--ntasks-per-node=1: a node of this job has 4 GPU(s); allowed: 4"),
    ],
)
def test_an_allocation_that_does_not_fit_starts_nothing(script, variables, says):
    done = script("train", **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says) and done.stderr.count("\n") == 1


@pytest.mark.parametrize("code", [1, 2, 75, 143])
def test_the_exit_code_is_that_of_training(script, code):
    done = script("train", "logger=wandb", ends=code)
    assert done.returncode == code and "sync" not in done.stdout


def test_an_offline_run_is_sent_on_request(script):
    words, variables = ("logger=wandb", "seed=1"), {"WANDB_SYNC": "1"}
    assert script("train", *words).stdout.splitlines()[-1].startswith("to upload the run to W&B: python -m wandb")
    sent = script("train", *words, **variables).stdout.splitlines()
    assert sent[-2:] == ["python -m wandb sync RUN/wandb", "RUN"]
    assert "sync" not in script("train", *words, WANDB_MODE="online").stdout
    assert "sync" not in script("train", "seed=1", **variables).stdout


def test_an_array_trains_seeds(script):
    assert started(script("array", "experiment=text", SLURM_ARRAY_TASK_ID="3")).endswith(
        f"{TRAIN} experiment=text seed=3"
    )


def test_an_array_trains_the_lines_of_a_file(script, tmp_path):
    """Lines of a file are split like in a shell, including quotes."""
    (tmp_path / "jobs").write_text("task.cell=lstm seed=3\n\ndata.path='a b' \"data.x=[1, 2]\"\n")
    jobs = {"JOBS": str(tmp_path / "jobs")}
    assert started(script("array", "a=1", SLURM_ARRAY_TASK_ID="1", **jobs)).endswith(
        f"{TRAIN} a=1 task.cell=lstm seed=3"
    )
    assert started(script("array", SLURM_ARRAY_TASK_ID="3", **jobs)).endswith(f"{TRAIN} data.path=a b data.x=[1, 2]")
    for line in ("2", "4"):
        done = script("array", SLURM_ARRAY_TASK_ID=line, **jobs)
        assert (done.returncode, done.stderr) == (2, f"JOBS={tmp_path}/jobs: line {line} is missing or empty\n")
