"""Test that a resume finds the newest complete checkpoint and reads it once."""

import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest
import torch

from lightning_dl2 import evaluate, train
from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.checkpoint_file import serialize, write
from lightning_dl2.resume.find_checkpoint import describe_change
from lightning_dl2.run.directory import Run


def whole(path, step=0):
    """Write a complete checkpoint of a step."""
    write(path, serialize({"global_step": step, "hyper_parameters": {"spec": {}}}))
    return path


def damaged(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def resumes_from(run):
    found = run.find_resume_point()
    return found and found.path


def test_resume_from_the_newest_whole_one(tmp_path, capsys):
    run = Run(tmp_path)
    assert resumes_from(run) is None
    whole(run.best, 4)
    assert resumes_from(run) == run.best
    whole(run.previous, 8)
    assert resumes_from(run) == run.previous and capsys.readouterr().err == ""
    whole(run.last, 12)
    assert resumes_from(run) == run.last
    damaged(run.last)
    assert resumes_from(run) == run.previous
    assert capsys.readouterr().err == f"warning: {run.last} is damaged; resuming from previous.ckpt\n"
    whole(run.best, 9)  # written together with the damaged last.ckpt
    assert resumes_from(run) == run.best
    damaged(run.best)
    assert resumes_from(run) == run.previous
    run.previous.write_bytes(b"")
    capsys.readouterr()
    assert resumes_from(run) is None
    told = " and ".join(map(str, (run.last, run.previous, run.best)))
    assert capsys.readouterr().err == f"warning: {told} are damaged; starting anew\n"


def test_no_clock_decides_which_is_newest(tmp_path):
    run = Run(tmp_path)
    for seconds, (path, step) in enumerate([(run.last, 12), (run.previous, 8), (run.best, 4)]):
        os.utime(whole(path, step), (seconds, seconds))
    assert resumes_from(run) == run.last
    run.last.unlink()
    assert resumes_from(run) == run.previous


@pytest.mark.parametrize("content", ["other", "code"])
def test_a_whole_file_that_is_no_checkpoint_is_not_passed_over(tmp_path, content):
    """A complete file that is no checkpoint is an error, not a reason to resume an older state."""
    run = Run(tmp_path)
    whole(run.best)
    write(run.last, serialize({"other": 1} if content == "other" else {"global_step": print}))
    for load in (run.find_resume_point, lambda: run.load(run.last)):
        with pytest.raises(
            UserError, match="last.ckpt: is no checkpoint of this version: .*; fix: use the version"
        ) as told:
            load()
        assert "\n" not in str(told.value)


def test_another_number_of_processes_or_device_is_refused(tmp_path):
    run = Run(tmp_path)
    for checkpoint in ({}, {"world_size": 2, "gpu": False}):
        run.check_same_devices(checkpoint, 2, False)
    with pytest.raises(
        UserError, match=r"trainer.devices: 4 process\(es\) here, 2 when the run was begun; fix: use the"
    ):
        run.check_same_devices({"world_size": 2, "gpu": False}, 4, False)
    for gpu, says in ((True, "a GPU here, none"), (False, "no GPU here, one")):
        with pytest.raises(UserError, match=f"trainer.accelerator: {says} when the run was begun; fix: use the"):
            run.check_same_devices({"world_size": 2, "gpu": not gpu}, 2, gpu)


def opened(run, name):
    with run.open_checkpoint(name) as content:
        return content.name


def test_checkpoint_by_name(tmp_path):
    run = Run(tmp_path)
    with pytest.raises(UserError, match="checkpoint=best: there is no file .*best.ckpt; allowed: best, last or a file"):
        opened(run, "best")
    path = whole(run.best)
    assert opened(run, "best") == opened(run, str(path)) == str(path)
    path.write_bytes(b"damage")
    with pytest.raises(UserError, match="checkpoint=best: .* is damaged"):
        opened(run, "best")


@pytest.fixture
def reads(monkeypatch):
    """Count the files that are hashed and loaded, by name."""
    counts = Counter()

    def count(owner, name):
        original = getattr(owner, name)

        def counted(file, *args, **kwargs):
            if hasattr(file, "name"):  # preflight loads the bytes of an optimiser's state
                counts[name, Path(file.name).name] += 1
            return original(file, *args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    count(hashlib, "file_digest"), count(torch, "load")
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoilt", "source", "hashes", "loads"),
    [
        ((), "last.ckpt", 1, 1),
        (("last", "best"), "previous.ckpt", 1, 1),
        (("last",), "best.ckpt", 3, 2),  # and once more at the end, where it is checked, and loaded to be tested
    ],
)
def test_a_resume_hashes_and_loads_its_checkpoint_once(tiny, reads, spoilt, source, hashes, loads):
    run = train(tiny("trainer.max_steps=12"))[1]["run"]
    for name in spoilt:
        damaged(run.checkpoints / f"{name}.ckpt")
    reads.clear()
    assert train(tiny("callbacks.checkpoint.every_n_steps=20"))[0]["steps"] == 24
    assert (reads["file_digest", source], reads["load", source]) == (hashes, loads)


@pytest.mark.slow
def test_an_evaluation_hashes_and_loads_its_checkpoint_once(tiny, reads):
    run = train(tiny("trainer.max_steps=12"))[1]["run"]
    reads.clear()
    evaluate(run)
    assert reads == {("file_digest", "best.ckpt"): 1, ("load", "best.ckpt"): 1}


def test_the_memory_of_a_checkpoint_is_given_away(tmp_path):
    run = Run(tmp_path)
    whole(run.last, 12)
    point = run.find_resume_point()
    assert point.take()["global_step"] == point.step == 12 and not point.checkpoint


def test_what_has_changed_of_the_data_is_told_as_far_as_it_is_known():
    now = {"digest": "b", "sizes": {"train": 3}, "share": 0.5, "parts": {"edges": 6, "labels": "x", "ends": "1"}}
    for then, says in (
        ({**now, "digest": "a", "parts": {"edges": 4, "labels": "x", "ends": "2"}}, "(changed: edges 4 -> 6, ends)"),
        ({"digest": "a", "sizes": {"train": 2}}, "(sizes changed; an older version may have read the same files other"),
        ({"digest": "a", "sizes": {"train": 3}}, "(an older version may have read the same files otherwise)"),
    ):
        changed = [key for key in now if key != "parts" and then.get(key) != now[key]]
        assert describe_change(then, now, changed).strip().startswith(says)
    assert describe_change({"digest": "a"}, {"digest": "b"}, ["digest"]) == ""
