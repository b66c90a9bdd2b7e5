"""Test that faults of disks, files, clocks and numbers are reported in one line and do not change the run's end."""

import errno
import math
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import torch

from lightning_dl2 import compose, train
from lightning_dl2.common.files import read_rows
from lightning_dl2.resume.checkpoint_file import is_whole, serialize, sidecar, write
from lightning_dl2.run.directory import Run
from lightning_dl2.train import main
from tests.comparison import contents, differing, metrics_differences
from tests.conftest import TINY
from tests.failing_disk import failing_disk
from tests.test_train import Command, differences


def words(root: Path, *more: str) -> list[str]:
    return [*TINY, f"root={root}", *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    """Return the run without faults."""
    return train(compose(*words(tmp_path_factory.mktemp("whole"))))[1]["run"]


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Path:
    """Return the root of a run with 12 of its 24 steps."""
    root = tmp_path_factory.mktemp("half")
    train(compose(*words(root, "trainer.max_steps=12")))
    return root


@pytest.fixture
def run(half, tmp_path) -> Run:
    """Return a copy of that run, to be damaged."""
    shutil.copytree(half, tmp_path / "runs")
    return Run.of(compose(*words(tmp_path / "runs")))


def go_on(run: Run, capsys) -> tuple[int, str]:
    """Run the same command; return its exit code and stderr."""
    capsys.readouterr()
    code = main(words(run.path.parents[2]))
    return code, capsys.readouterr().err


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def unverified_cut(path: Path) -> None:
    sidecar(path).unlink()
    cut(path)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, cut, empty, unverified_cut])
def test_a_damaged_last_falls_back_to_the_newest(whole, run, capsys, damage):
    """If last.ckpt is damaged, the run resumes from the best of step 10, not the previous of step 8."""
    damage(run.last)
    code, err = go_on(run, capsys)
    assert (code, err) == (0, f"warning: {run.last} is damaged; resuming from best.ckpt\n")
    assert differences(whole, run) == [] and run.result()["metrics"] == whole.result()["metrics"]


@pytest.mark.slow
def test_a_damaged_last_and_best_fall_back_to_the_previous(whole, run, capsys):
    """If last.ckpt and best.ckpt are damaged, the run resumes from previous.ckpt and finds the best again."""
    flip(run.last), empty(run.best)
    code, err = go_on(run, capsys)
    warning, *more = err.splitlines()
    assert (code, warning) == (0, f"warning: {run.last} and {run.best} are damaged; resuming from previous.ckpt")
    assert more in ([], [f"warning: {run.best} is damaged; the best is sought from here on"])
    assert run.result()["steps"] == 24 and metrics_differences(whole, run) == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_of_all_but_trained_the_last_takes_the_place_of_a_lost_best(whole, run, capsys, damage):
    """If best.ckpt is lost after the last step, as by a kill in the final test, the last takes its place."""
    assert go_on(run, capsys)[0] == 0
    run.result_file.unlink(), damage(run.best)
    told = "damaged" if run.best.exists() else "lost"
    assert go_on(run, capsys) == (0, f"warning: {run.best} is {told}; last.ckpt takes its place\n")
    assert run.best.read_bytes() == run.last.read_bytes() and is_whole(run.best)
    result = run.result()
    assert (result["steps"], result["best_step"]) == (24, 24) and math.isfinite(result["metrics"]["val/loss"])
    assert go_on(run, capsys) == (0, "")


@pytest.mark.slow
def test_all_damaged_begins_anew(whole, run, capsys):
    flip(run.last), flip(run.previous), cut(run.best)
    code, err = go_on(run, capsys)
    assert code == 0 and err.endswith("are damaged; starting anew\n") and err.count("\n") == 1
    assert differences(whole, run) == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["last without digest", "digest without last", "damaged previous"])
def test_what_is_no_harm_is_not_spoken_of(whole, run, capsys, what):
    if what == "last without digest":
        sidecar(run.last).unlink()
    elif what == "digest without last":  # the state after a kill between two renames
        run.last.unlink()
    else:
        flip(run.previous)
    assert go_on(run, capsys) == (0, "")
    assert differences(whole, run) == []


@pytest.mark.slow
def test_a_garbage_result_is_told_and_written_anew(whole, run, capsys):
    run.result_file.write_bytes(b"\xff{")
    code, err = go_on(run, capsys)
    assert code == 0 and err.startswith(f"warning: {run.result_file}: ") and err.count("\n") == 1
    assert differences(whole, run) == []


@pytest.mark.parametrize("file", ["config.yaml", "metrics.csv"])
def test_garbage_in_a_file_that_matters_is_told(run, capsys, file):
    (run.path / file).write_bytes(b"\xff\0garbage\n\n: [")
    before = run.last.read_bytes()
    code, err = go_on(run, capsys)
    assert code == 2 and err.startswith(f"error: {run.path / file}: is ") and err.count("\n") == 1
    assert run.last.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "change, says",
    [
        (None, "is no checkpoint of this version: "),
        (lambda state: [state], "is no checkpoint of this version: "),
        (lambda state: state | {"global_step": "12"}, "is no checkpoint of this version: "),
        (lambda state: state | {"hyper_parameters": {"spec": [1]}}, "is no checkpoint of this version: "),
        (lambda state: state | {"optimizer_states": []}, "is no checkpoint of this version: "),
        (lambda state: state | {"optimizer_states": [{}]}, "is no checkpoint of this version: "),
        (lambda state: state | {"loops": {}}, "is no checkpoint of this version: "),
        (lambda state: state | {"pytorch-lightning_version": None}, "is no checkpoint of this version: "),
        (lambda state: state | {"state_dict": [1]}, "is no checkpoint of this version: "),
        (lambda state: {key: value for key, value in state.items() if key != "loops"}, "has no loops; fix: use the"),
        (lambda state: state | {"state_dict": {}}, "is of another net, with another net.embedding"),
        (
            lambda state: state | {"state_dict": {name: value[:1] for name, value in state["state_dict"].items()}},
            "is of another net, with another net.",
        ),
    ],
)
def test_a_whole_file_that_cannot_be_loaded_is_told(run, capsys, change, says):
    state = None if change is None else change(torch.load(run.last, weights_only=True))
    write(run.last, b"a pickle of another age" if change is None else serialize(state))
    code, err = go_on(run, capsys)
    assert code == 2 and err.startswith(f"error: {run.last}: {says}") and err.count("\n") == 1


@pytest.mark.slow
def test_a_clock_set_back_changes_nothing(whole, run, capsys, monkeypatch):
    for age, path in enumerate((run.best, run.previous, run.last)):
        os.utime(path, (1e9 - age, 1e9 - age))
    flip(run.last)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 1e8)
    assert go_on(run, capsys)[0] == 0
    assert differences(whole, run) == []


@pytest.mark.slow
def test_killed_again_and_again_while_it_saves_every_step(tmp_path):
    def each_step(root):
        changed = ("callbacks.checkpoint.every_n_steps", "trainer.max_steps")
        same = (word for word in TINY if not word.startswith(changed))
        return [*same, f"{changed[0]}=1", f"{changed[1]}=100", f"root={root}"]

    whole = train(compose(*each_step(tmp_path / "whole")))[1]["run"]
    chance, step = random.Random(0), 0
    for _ in range(4):
        command = Command(each_step(tmp_path / "runs"), tmp_path).reached(step + 2)
        time.sleep(chance.random() / 4)
        assert command.ended(signal.SIGKILL) in (-signal.SIGKILL, 0)
        there = [path for path in (command.run.last, command.run.previous, command.run.best) if path.exists()]
        assert there and all(is_whole(path) for path in there)
        step = torch.load(there[0], weights_only=True)["global_step"]
    command = Command(each_step(tmp_path / "runs"), tmp_path)
    assert command.ended() == 0
    assert differences(whole, command.run) == []
    assert not list(command.run.path.rglob(".*.tmp"))


@pytest.mark.slow
def test_a_second_process_is_told_and_the_first_goes_on(tmp_path, capsys):
    long = words(tmp_path / "runs", "trainer.max_steps=100000")
    command = Command(long, tmp_path).reached(4)
    assert main(long) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {command.run.path}: is held by process {command.process.pid} on ")
    assert err.count("\n") == 1
    assert command.ended(signal.SIGTERM) == 143


@contextmanager
def small_disk(path: Path):
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.slow
def test_a_full_disk_is_told_and_nothing_is_lost(whole, tmp_path, capsys):
    """A disk full within a checkpoint, a row of metrics.csv or the first files is reported, and nothing is lost."""
    disk = tmp_path / "disk"
    with small_disk(disk):
        assert main(words(disk / "runs", "trainer.max_steps=12")) == 0
        run, ballast = Run.of(compose(*words(disk / "runs"))), disk / "ballast"
        last, codes = run.last.read_bytes(), []
        for room in (0, 4096, 16384, 40960):
            space = os.statvfs(disk)
            ballast.write_bytes(b"0" * (space.f_bavail * space.f_frsize - room))
            code, err = go_on(run, capsys)
            codes.append(code)
            assert "No space left on device" in err and str(run.path) in err and err.count("\n") == 1, err
            assert not list(disk.rglob(".*.tmp"))
            assert any(is_whole(path) for path in (run.last, run.previous))
            result = run.result()  # the result of the 12 steps, if the disk is full from the start
            assert result is None or result["status"] == "failed" or (result["steps"], room < 10000) == (12, True)
            ballast.unlink()
        assert set(codes) == {1, 2}  # 2: not even begun
        assert is_whole(run.last) and len(run.last.read_bytes()) == len(last)
        assert go_on(run, capsys) == (0, "")
        assert differences(whole, run) == []


SHORT = (
    *("trainer.max_steps=6", "trainer.val_check_interval=3", "callbacks.checkpoint.every_n_steps=2"),
    *("callbacks.curves=true", "callbacks.gradient_flow.enabled=true"),
)
# The file of the run, the operation on it, its number, and the error.
MOMENTS = {
    "log": ("train.log", "open", 1, errno.EACCES),
    "checkpoints": ("checkpoints", "mkdir", 1, errno.ENOSPC),
    "first row": ("metrics.csv", "replace", 1, errno.EACCES),
    "first validation": ("metrics.csv", "replace", 2, errno.ENOSPC),
    "first checkpoint": ("last.ckpt", "replace", 1, errno.ENOSPC),
    "best": ("best.ckpt", "replace", 1, errno.ENOSPC),
    "digest": ("last.ckpt.sha256", "replace", 2, errno.EACCES),
    "curves": ("curves.png", "replace", 1, errno.ENOSPC),
    "final test": ("metrics.csv", "replace", 3, errno.ENOSPC),
    "result": ("result.json", "replace", 1, errno.ENOSPC),
}


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Run:
    """Return a shorter run without faults."""
    return train(compose(*words(tmp_path_factory.mktemp("short"), *SHORT)))[1]["run"]


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_whatever_cannot_be_written_the_run_can_be_completed(short, tmp_path, capsys, moment):
    """The run completes after a disk full for a moment, or after permissions taken away and given back."""
    (name, operation, nth, number), more = MOMENTS[moment], words(tmp_path, *SHORT)
    times = count(1)

    def fails(_: int, what: str, path: Path) -> bool:
        return (what, path.name) == (operation, name) and next(times) == nth

    with failing_disk(tmp_path, fails, number) as disk:
        assert main(more) == 1
    out, err = capsys.readouterr()
    run = Run.of(compose(*more))
    ((_, path),) = disk.failed
    assert err.startswith(f"error: {path} cannot be written: {os.strerror(number)}") and err.count("\n") == 1
    assert err.endswith("; the same command resumes from the last checkpoint\n") and out == f"{run.path}\n"
    assert (run.result() or {"status": "failed"})["status"] == "failed"
    assert main(more) == 0 and capsys.readouterr().err == ""
    for file in ("metrics.csv", "gradient_flow.csv"):
        assert (run.path / file).read_bytes() == (short.path / file).read_bytes()
    assert differing(contents(short), contents(run)) == [] and not list(run.path.rglob(".*.tmp"))


@pytest.mark.slow
def test_a_disk_that_is_read_only_is_told_and_nothing_changes(tmp_path, capsys):
    disk = tmp_path / "disk"
    with small_disk(disk):
        assert main(words(disk / "runs", "trainer.max_steps=4")) == 0
        run = Run.of(compose(*words(disk / "runs")))
        before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        code, err = go_on(run, capsys)
        assert (code, err) == (2, f"error: root: {run.path} cannot be written: Read-only file system\n")
        capsys.readouterr()
        assert main(words(disk / "other")) == 2 and "Read-only file system" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_bad_number_is_told_again_at_the_same_step(tmp_path, capsys):
    """A learning rate of 3e38 gives the same line at each start, and no checkpoint with a non-finite number."""
    bad, told = words(tmp_path / "runs", "optimizer.learning_rate=3e38", "optimizer.name=SGD"), []
    for _ in range(2):
        assert main(bad) == 1
        told.append(capsys.readouterr().err)
    run = Run.of(compose(*bad))
    assert told[0] == told[1] and told[0].startswith("error: NonFiniteError: step ") and told[0].count("\n") == 1
    assert "lower optimizer.learning_rate" in told[0]
    result = run.result()
    assert result["status"] == "failed" and f"error: {result['error']} (traceback in " in told[0]
    for path in run.checkpoints.glob("*.ckpt"):
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(value.isfinite().all() for value in state.values())
    assert {row["step"] for row in read_rows(run.metrics_file)} <= {str(step) for step in range(result["steps"] + 1)}
