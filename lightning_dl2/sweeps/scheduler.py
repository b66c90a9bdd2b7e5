"""Run the jobs of a sweep: start missing ones, watch running ones, pass signals on, until all have ended."""

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from lightning_dl2.common.arguments import seconds
from lightning_dl2.common.command import handling_signals
from lightning_dl2.run import lock
from lightning_dl2.sweeps.jobs import Job, Plan
from lightning_dl2.sweeps.launchers.base import Handle, Launcher

POLL = 0.2  # seconds between two checks of the processes
WATCH = 1.0  # seconds between two checks of their logged metrics
RETRY = 60.0  # seconds until a job is tried again although another process seems to hold its directory
GRACE = 10.0  # seconds that jobs have to end after a second SIGINT, before they are killed


class Scheduler:
    """Train a plan's jobs.

    Args:
        logs: the directory for the output of each job.
        tell: called with a job and an event, such as "started", when the state of the job changes.
        max_time: DD:HH:MM:SS from the start of `run`, after which the jobs are stopped by SIGTERM; None: no limit.

    Attributes:
        out_of_time: whether the limit has stopped the sweep.
    """

    def __init__(
        self, plan: Plan, launcher: Launcher, logs: Path, tell: Callable[[Job, str], None], max_time: str | None = None
    ) -> None:
        self.plan, self.launcher, self.logs, self.tell = plan, launcher, logs, tell
        self.received: list[signal.Signals] = []
        self._running: dict[Job, Handle] = {}
        self._waiting: dict[Job, float] = {}  # until when
        self._locked: set[Job] = set()  # another process trains their runs, as reported
        self._refused: set[Job] = set()  # tried again although no process seems to hold their directories
        self._watched = 0.0
        self.max_time, self.out_of_time = max_time, False

    def run(self) -> signal.Signals | None:
        """Train until all jobs have ended; return the signal that stopped the sweep, if any."""
        end = time.monotonic() + seconds(self.max_time) if self.max_time else math.inf
        with handling_signals(self._receive):
            passed = 0
            while True:
                if time.monotonic() > end and not self.received:
                    self.out_of_time = True
                    self.received.append(signal.SIGTERM)
                for number in self.received[passed:]:
                    passed += 1
                    self._pass_on(number)
                self._poll()
                if not self.received:
                    self._fill()
                if not self._running and (self.received or not self._waiting):
                    return self.received[0] if self.received else None
                time.sleep(POLL)

    def _fill(self) -> None:
        """Start jobs while the plan has any and the launcher has room."""
        while len(self._running) < self.launcher.jobs and (job := self._next()):
            busy = any(other.run.path == job.run.path for other in self._running)
            handle = None if busy else self.launcher.start(job, self.logs / f"{job.number}.log")
            if handle is None:
                self._waiting[job] = time.monotonic() + WATCH
                return
            self._running[job] = handle
            self.tell(job, "started")

    def _next(self) -> Job | None:
        now = time.monotonic()
        for job, until in self._waiting.items():
            if until < now or (job in self._locked and not lock.holder(job.run.path)):
                del self._waiting[job]
                return job
        without_room = self._waiting.keys() - self._locked
        return None if without_room else self.plan.next()

    def _poll(self) -> None:
        watching = time.monotonic() > self._watched + WATCH
        for job, handle in list(self._running.items()):
            code = handle.poll()
            if code is not None:
                del self._running[job]
                self._ended(job, code)
            elif watching and not self.received and not job.pruned and self.plan.watch(job):
                handle.stop(signal.SIGTERM)
        if watching:
            self._watched = time.monotonic()

    def _ended(self, job: Job, code: int) -> None:
        done = job.finished  # counts, however the process ended, and whichever process trained the run
        if code == 2 and not done and self._retry_later(job):
            return
        job.code = 0 if done else code
        self.plan.ended(job)
        self.tell(job, "ended")

    def _retry_later(self, job: Job) -> bool:
        """Try a job again later that was refused since another process held its directory; return False if not.

        The other process may be a job of a killed sweep, which still saves, or of another sweep over the same runs.
        """
        if holder := lock.holder(job.run.path):
            if job not in self._locked:
                self.tell(job, f"waits: its directory is held by {holder}")
            self._locked.add(job)
            self._refused.discard(job)
            self._waiting[job] = time.monotonic() + RETRY
            return True
        # The other process may have ended since. A refusal for another reason repeats, or has made no directory.
        if job in self._refused or not job.run.path.exists():
            return False
        self._refused.add(job)
        self.tell(job, "was refused, but no process holds its directory now; it is tried once more")
        self._waiting[job] = 0.0
        return True

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received.append(signal.Signals(number))

    def _pass_on(self, number: signal.Signals) -> None:
        at_once = self.received.count(signal.SIGINT) > 1
        for handle in self._running.values():
            handle.stop(number)
        end = time.monotonic() + GRACE
        while at_once and time.monotonic() < end and any(handle.poll() is None for handle in self._running.values()):
            time.sleep(POLL)
        for handle in self._running.values() if at_once else ():
            handle.kill()
