"""Test the exit code of jobs that were refused or completed by another process. Processes are made up."""

from signal import SIGTERM
from types import SimpleNamespace

import pytest

from lightning_dl2.sweeps.scheduler import Scheduler


class Made(SimpleNamespace):
    """A job that can be a key of a dictionary."""

    __hash__ = object.__hash__


class Ended:
    """A handle of a process that has ended."""

    def __init__(self, code: int) -> None:
        self.code = code

    def poll(self) -> int:
        return self.code


def controlled(job: Made, codes: list[int]) -> tuple[list[str], int]:
    """Run `job`, whose processes end with `codes`; return its messages and its final code."""
    told, jobs, codes = [], iter([job]), iter(codes)

    def start(started: Made, log: object) -> Ended:
        code = next(codes)
        job.finished |= code == 0
        return Ended(code)

    plan = SimpleNamespace(next=lambda: next(jobs, None), watch=lambda job: False, ended=lambda job: None)
    launcher = SimpleNamespace(jobs=1, start=start)
    assert Scheduler(plan, launcher, job.run.path, lambda job, what: told.append(what)).run() is None
    return told, job.code


def test_after_the_time_limit_jobs_are_stopped_and_none_is_started(tmp_path, monkeypatch):
    clock, sent = iter(range(0, 1000, 5)), []
    monkeypatch.setattr("lightning_dl2.sweeps.scheduler.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("lightning_dl2.sweeps.scheduler.time.sleep", lambda seconds: None)
    jobs = iter([Made(number=n, run=SimpleNamespace(path=tmp_path), pruned=False, finished=False) for n in range(2)])
    running = SimpleNamespace(poll=lambda: 75 if sent else None, stop=sent.append)
    plan = SimpleNamespace(next=lambda: next(jobs, None), watch=lambda job: False, ended=lambda job: None)
    told = []
    launcher = SimpleNamespace(jobs=1, start=lambda job, log: running)
    scheduler = Scheduler(plan, launcher, tmp_path, lambda job, event: told.append((job.number, event)), "00:00:01:00")
    scheduler.run()
    assert scheduler.out_of_time and sent == [SIGTERM] and told == [(0, "started"), (0, "ended")]
    assert next(clock) >= 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codes", "is_there", "is_finished", "starts", "code"),
    [
        ([2, 0], True, False, 2, 0),  # refused, and free again at the next look
        ([2, 2], True, False, 2, 2),  # refused for another reason
        ([2], False, False, 1, 2),  # refused before there was a directory
        ([2], True, True, 1, 0),  # refused, and completed by its holder
        ([-9], True, True, 1, 0),  # killed while its result was written
        ([1], True, False, 1, 1),
    ],
)
def test_a_refusal_is_tried_again_and_a_completed_job_has_not_crashed(
    tmp_path, codes, is_there, is_finished, starts, code
):
    run = SimpleNamespace(path=tmp_path if is_there else tmp_path / "none")
    job = Made(number=1, run=run, pruned=False, finished=is_finished)
    told, found = controlled(job, codes)
    assert (told.count("started"), told[-1], found) == (starts, "ended", code)
