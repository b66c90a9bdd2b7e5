"""Estimate the time that the missing jobs of a sweep will take, from that of the completed ones."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lightning_dl2.sweeps.jobs import Job


class Estimate(NamedTuple):
    """The time of the jobs to come."""

    seconds: float  # of all missing jobs, at so many at a time as the sweep has
    measured: int  # completed jobs of which the time is known
    similar: int  # missing jobs of which one with another seed is measured
    missing: int

    def __str__(self) -> str:
        """Say the time, and from what it comes."""
        of = f"{self.missing} jobs to come, {self.similar} of them measured with another seed"
        return f"about {duration(self.seconds)} for {of}; from {self.measured} measured jobs"


def estimate(missing: Sequence[Job], elapsed: Mapping[Job, float], at_a_time: int) -> Estimate | None:
    """Estimate the time of the missing jobs; None: there are none, or nothing is measured.

    A job takes the mean time of the jobs that differ from it in the seed alone. Without one it takes the mean of all,
    times a factor for each of its values: the mean of the measured jobs with this value, over the mean of all.

    Args:
        elapsed: wall-clock seconds of completed jobs.
        at_a_time: number of jobs that run side by side.
    """
    if not elapsed or not missing:
        return None
    kinds: dict[tuple[tuple[str, str], ...], list[float]] = {}
    values: dict[tuple[str, str], list[float]] = {}
    for job, seconds in elapsed.items():
        kinds.setdefault(_kind(job), []).append(seconds)
        for value in _kind(job):
            values.setdefault(value, []).append(seconds)
    mean = statistics.fmean(elapsed.values())
    total, similar = 0.0, 0
    for job in missing:
        if known := kinds.get(_kind(job)):
            similar += 1
            total += statistics.fmean(known)
        else:
            total += mean * math.prod(statistics.fmean(values.get(value, [mean])) / mean for value in _kind(job))
    return Estimate(total / min(at_a_time, len(missing)), len(elapsed), similar, len(missing))


def _kind(job: Job) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in job.varies.items() if key != "seed")


def duration(seconds: float) -> str:
    """Write seconds as hours and minutes, rounded up to minutes."""
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
