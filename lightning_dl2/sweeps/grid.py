"""List every combination of the values typed, the last key changing fastest."""

import math
from itertools import product
from pathlib import Path

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.progress import progress
from lightning_dl2.config import schema
from lightning_dl2.sweeps.jobs import Job, Plan, check_inactive
from lightning_dl2.sweeps.overrides import MOST_JOBS, SweepOverrides


class Grid(Plan):
    """The jobs of a grid, all known from the start.

    Args:
        extra: further overrides of each job.

    Raises:
        UserError: an interval has no grid, or the overrides of a job are no valid configuration.
    """

    def __init__(self, overrides: SweepOverrides, extra: list[str], rules: schema.Grid) -> None:
        for swept in overrides.swept:
            if not swept.values:
                raise UserError(f"{swept.key}=interval(..): has no grid; fix: use sweep=random or sweep=tpe")
        number = math.prod(len(swept.values) for swept in overrides.swept)
        if number > MOST_JOBS:
            keys = ", ".join(swept.name for swept in overrides.swept)
            raise UserError(f"{keys}: {number:,} combinations; allowed: at most {MOST_JOBS:,} jobs a sweep")
        self.rules = rules
        jobs: list[Job] = []
        with progress("jobs composed", number, items=True) as advance:
            for values in product(*(swept.values for swept in overrides.swept)):
                varies = {swept.name: value for swept, value in zip(overrides.swept, values, strict=True)}
                jobs.append(Job(len(jobs) + 1, varies, [*overrides.with_values(varies), *extra]))
                advance(1)
        self.notes = check_inactive(jobs)
        first: dict[Path, Job] = {}
        for job in jobs:  # two names of one run, such as 1 and 1.0, are one job
            first.setdefault(job.run.path, job)
        self.jobs = list(first.values())
        for number, job in enumerate(self.jobs, start=1):
            job.number = number
        self.examples = [job.config for job in self.jobs]
        self._queue = iter(self.jobs)

    def to_come(self) -> list[str]:
        failed = sum(job.state == "failed" for job in self.jobs)
        if not failed or self.rules.retry_failed:
            return []
        return [f"{failed} failed before and will not be tried again; sweep.retry_failed=true tries again"]

    def next(self) -> Job | None:
        skipped = ("completed",) if self.rules.retry_failed else ("completed", "failed")
        return next((job for job in self._queue if job.state not in skipped), None)
