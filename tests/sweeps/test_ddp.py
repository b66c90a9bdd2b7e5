"""Test a sweep of DDP jobs with real processes, killed in the middle and started again."""

import signal
import sys
import time
from pathlib import Path

import pytest

from lightning_dl2.run.directory import Run
from lightning_dl2.train import main
from tests.conftest import TINY
from tests.processes import ForkedProcess, fork_interpreters, redirect
from tests.sweeps.test_sweep import resumed_within

SECONDS = 180.0
WORDS = (*(word for word in TINY if "max_steps" not in word), "trainer=ddp_cpu", "callbacks.solved.enabled=false")


def _sweep(words: list[str], out: Path) -> None:
    redirect(out), fork_interpreters()
    sys.exit(main(words))


def sweep(root: Path, *overrides: str) -> ForkedProcess:
    """Start `train -m`, whose jobs are processes of the local launcher, and whose jobs' ranks are theirs."""
    words, out = ["-m", *WORDS, "seed=0,1", f"root={root}", *overrides], root.parent
    process = ForkedProcess(target=_sweep, args=(words, out), name=str(out))
    process.start()
    return process


def ended(process: ForkedProcess) -> tuple[int, str]:
    """Return the exit code and stderr."""
    process.join(SECONDS)
    return process.exitcode, Path(process.name, "stderr").read_text(encoding="utf-8")


@pytest.mark.slow
def test_killed_in_the_middle_it_trains_what_is_missing(tmp_path):
    """Each job has one directory, the interrupted job resumes, and a third call does nothing."""
    root = tmp_path / "runs"
    first = sweep(root, "trainer.max_steps=100000")
    end = time.monotonic() + SECONDS
    while not list(root.rglob("last.ckpt")):
        assert first.is_alive() and time.monotonic() < end
        time.sleep(0.05)
    first.kill()
    assert ended(first)[0] == -signal.SIGKILL

    (begun,) = (Run(path.parent) for path in root.rglob("config.yaml"))  # one job at a time
    while begun.result() is None:  # the orphaned job saves by itself
        assert time.monotonic() < end
        time.sleep(0.05)
    stopped = begun.result()
    assert (stopped["status"], stopped["world_size"]) == ("interrupted", 2) and stopped["steps"] > 0

    reached = f"trainer.max_steps={stopped['steps'] + 5}"
    code, said = ended(sweep(root, reached))
    assert code == 0, said
    runs = sorted(path.parent for path in root.rglob("config.yaml"))
    assert [path.name for path in runs] == ["seed=0", "seed=1"] and runs[0].parent == runs[1].parent
    results = [Run(path).result() for path in runs]
    assert [(r["status"], r["world_size"], r["steps"]) for r in results] == [("completed", 2, stopped["steps"] + 5)] * 2
    assert resumed_within(begun, stopped["steps"])
    assert len(list(root.rglob("metrics.csv"))) == 2

    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.ckpt")}
    code, said = ended(sweep(root, reached))
    assert code == 0, said
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.ckpt")} == before
