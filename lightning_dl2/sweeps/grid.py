"""Every combination of the values typed, the last key changing fastest."""

import math
from itertools import product
from pathlib import Path

from lightning_dl2.common.errors import UserError
from lightning_dl2.config import schema
from lightning_dl2.sweeps.jobs import Job, check_idle
from lightning_dl2.sweeps.overrides import MOST_JOBS, Words
from lightning_dl2.sweeps.progress_report import progressing


class Grid:
    """The jobs of a grid, all known from the start.

    Args:
        words: the command's.
        extra: further words of each job.
        rules: of conf/sweep/.

    Raises:
        UserError: an interval has no grid, or the words of a job are no valid configuration.
    """

    def __init__(self, words: Words, extra: list[str], rules: schema.Grid) -> None:
        for swept in words.swept:
            if not swept.values:
                raise UserError(f"{swept.key}=interval(..): has no grid; allowed with sweep=random or sweep=tpe")
        number = math.prod(len(swept.values) for swept in words.swept)
        if number > MOST_JOBS:
            keys = ", ".join(swept.name for swept in words.swept)
            raise UserError(f"{keys}: {number:,} combinations; allowed: at most {MOST_JOBS:,} jobs a sweep")
        self.rules = rules
        jobs: list[Job] = []
        combinations = product(*(swept.values for swept in words.swept))
        for values in progressing(combinations, number, "jobs composed"):
            varies = {swept.name: value for swept, value in zip(words.swept, values, strict=True)}
            jobs.append(Job(len(jobs) + 1, varies, [*words.filled(varies), *extra]))
        self.notes = check_idle(jobs)
        first: dict[Path, Job] = {}
        for job in jobs:  # two names of one run are one job
            first.setdefault(job.run.path, job)
        self.jobs = list(first.values())
        for number, job in enumerate(self.jobs, start=1):
            job.number = number
        self.total = len(self.jobs)
        self.examples = [job.config for job in self.jobs]
        self._queue = iter(self.jobs)

    def open(self, directory: Path, metric: str, *, dry: bool) -> None:
        """A grid keeps nothing in the sweep's directory."""

    def to_come(self) -> list[str]:
        """What else there will be, in words."""
        failed = sum(job.state == "failed" for job in self.jobs)
        if not failed or self.rules.retry_failed:
            return []
        return [f"{failed} failed before and will not be tried again; sweep.retry_failed=true tries again"]

    def next(self) -> Job | None:
        """The next job that is to be trained; None: there is none."""
        skipped = ("completed",) if self.rules.retry_failed else ("completed", "failed")
        return next((job for job in self._queue if job.state not in skipped), None)

    def watch(self, job: Job) -> bool:
        """Whether to stop a running job."""
        return False

    def ended(self, job: Job) -> None:
        """Is told of each job that has ended."""
