"""Report the progress of a sweep: a line when a job starts or ends, the best job so far, tables, jobs.csv."""

import csv
import sys
import time
from contextlib import nullcontext, suppress
from io import TextIOWrapper
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from lightning_dl2.common.command import console
from lightning_dl2.common.files import WriteError, csv_text, open_regular, write_text
from lightning_dl2.common.statistics import MeanStd, in_split
from lightning_dl2.sweeps.estimate import Estimate, duration, estimate
from lightning_dl2.sweeps.jobs import Job, Objective, Plan, shorten

ELAPSED = "elapsed"  # the last column of jobs.csv
MISSING = ("missing", "interrupted", "held")  # states of jobs that are still to be trained


class ProgressReport:
    """Report the progress of a plan; within `with`, show a bar where stderr is a terminal."""

    def __init__(
        self, plan: Plan, objective: Objective, directory: Path, at_a_time: int = 1, max_time: str | None = None
    ) -> None:
        self.plan, self.objective, self.directory = plan, objective, directory
        self.at_a_time, self.max_time = at_a_time, max_time
        self.metric, self.test_metric = objective.metric, in_split(objective.metric, "test")
        self._began: dict[Job, float] = {}  # when the running jobs started
        self._best: Job | None = None
        self._elapsed = self._read_elapsed()  # seconds of the jobs' processes, over all calls
        self._lines: dict[Job, list[str | float | None]] = {}  # of jobs.csv; reading all runs at each event takes long
        screen = console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self._progress = Progress(*columns, console=screen, disable=not screen.is_terminal)
        self._bar = self._progress.add_task("sweep", total=plan.total)

    def __enter__(self) -> "ProgressReport":
        self._progress.start()
        completed = [job for job in self.plan.jobs if job.finished and job.metric(self.metric) is not None]
        self._best = next(iter(best_first(completed, self.objective)), None)  # of an earlier call
        self._refresh()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()
        with suppress(WriteError) if error else nullcontext():  # a second error would hide the first
            self._refresh(*self.plan.jobs)

    def tell(self, job: Job, event: str) -> None:
        """Print a line on stderr and rewrite jobs.csv."""
        if event == "started":
            self._began[job] = time.monotonic()
        else:
            seconds = time.monotonic() - self._began.pop(job)
            self._elapsed[job] = self._elapsed.get(job, 0.0) + seconds
            self._lines[job] = self._results(job)
            if event == "ended":
                event = self._describe_end(job, seconds)
        self._progress.console.print(f"job {job.number} ({job.description}): {event}", markup=False, highlight=False)
        self._refresh()

    def _describe_end(self, job: Job, seconds: float) -> str:
        state, value, *_ = self._lines[job]
        end = f"{state} after {seconds:.0f} s"
        if state == "completed" and value is not None:
            best = best_first([job, *filter(None, [self._best])], self.objective)[0]
            self._best = best
            done = sum(line[0] == "completed" for line in self._lines.values())
            end += f", {self.metric}={value:.4g}; {done} of {self.plan.total} completed"
            end += f"; best {best.metric(self.metric):.4g} by job {best.number} ({best.description})"
            left = self._left({job: str(line[0]) for job, line in self._lines.items()})
            return end + (f"; about {duration(left.seconds)} left" if left else "")
        if state == "completed":
            return f"{end}, without a finite {self.metric}"
        if job.code not in (0, None):
            log = self.directory / "logs" / f"{job.number}.log"
            return f"{end}, exit code {job.code}: {last_line(log)} ({log})"
        return end

    def _refresh(self, *changed: Job) -> None:
        for job in self.plan.jobs:
            if job in changed or job in self._began or job not in self._lines:
                self._lines[job] = self._results(job)
        best = f", best {self._best.metric(self.metric):.4g}" if self._best else ""
        ended = (line for job, line in self._lines.items() if job not in self._began)
        done = sum(line[0] in ("completed", "pruned", "failed") for line in ended)
        self._progress.update(self._bar, completed=done, description=f"{self.metric}{best}")
        # A line of jobs.csv is as of the last event that concerned the job.
        times = {job: f"{seconds:.1f}" for job, seconds in self._elapsed.items()}
        rows = ([job.number, *job.varies.values(), *self._lines[job], times.get(job, "")] for job in self.plan.jobs)
        write_text(self.directory / "jobs.csv", csv_text([[*self._header(), ELAPSED], *rows]))

    def _read_elapsed(self) -> dict[Job, float]:
        """Return what earlier calls wrote into jobs.csv; older versions did not."""
        try:
            with TextIOWrapper(open_regular(self.directory / "jobs.csv"), encoding="utf-8", newline="") as file:
                known = {row.get("run"): float(row[ELAPSED]) for row in csv.DictReader(file) if row.get(ELAPSED)}
        except (OSError, ValueError, csv.Error):  # nobody depends on it, and it is written anew
            return {}
        return {job: known[str(job.run.path)] for job in self.plan.jobs if str(job.run.path) in known}

    def _left(self, states: dict[Job, str]) -> Estimate | None:
        measured = {job: seconds for job, seconds in self._elapsed.items() if states.get(job) == "completed"}
        return estimate([job for job, state in states.items() if state in MISSING], measured, self.at_a_time)

    def _header(self) -> list[str]:
        varies = list(self.plan.jobs[0].varies) if self.plan.jobs else []
        return ["job", *varies, "state", self.metric, self.test_metric, "seconds", "run"]

    def _results(self, job: Job) -> list[str | float | None]:
        metrics = job.metric(self.metric), job.metric(self.test_metric)
        return [job.state, *metrics, job.seconds(), str(job.run.path)]

    def print_plan(self, out: TextIO) -> None:
        """Print the known jobs and what the plan has in store, before anything is started."""
        if self.plan.jobs:
            self.print_jobs(out, self.plan.jobs)
        for line in self.plan.to_come():
            print(line, file=out)
        states: dict[Job, str] = {job: job.state for job in self.plan.jobs}
        if left := self._left(states):
            print(f"time: {left}, {self.at_a_time} at a time", file=out)
        elif missing := [job for job, state in states.items() if state in MISSING]:
            steps = sorted({job.config.trainer.max_steps for job in missing})
            most = f"at most {' to '.join(f'{each:,}' for each in dict.fromkeys((steps[0], steps[-1])))} steps each"
            most = most if steps[0] > 0 else "some without a limit of steps"
            print(f"time: unknown until a job has ended; {len(missing)} jobs, {most}", file=out)
        if self.max_time:
            print(f"stops after {self.max_time} (DD:HH:MM:SS), and the same command resumes it", file=out)

    def print_jobs(self, out: TextIO, jobs: list[Job]) -> None:
        """Print a table of jobs."""
        table = Table(title=self.directory.name, title_justify="left")
        for name in self._header():
            table.add_column(name.rpartition(".")[2], overflow="fold")
        for job in jobs:
            state, *numbers, seconds, path = self._results(job)
            texts = ["" if number is None else f"{number:.4g}" for number in numbers]
            texts.append("" if seconds is None else f"{seconds:.1f}")
            cells = str(job.number), *map(shorten, job.varies.values()), state, *texts, path
            table.add_row(*(Text(str(cell)) for cell in cells))  # rich reads brackets in a plain string as markup
        console(stderr=out is sys.stderr).print(table)

    def print_seeds(self) -> None:
        """Print a table of mean and standard deviation over the seeds of each choice, the best first."""
        groups: dict[tuple[str, ...], list[Job]] = {}
        each = {job.run.path: job for job in self.plan.jobs}  # a search may draw the same run twice
        for job in each.values():
            if job.state == "completed" and job.metric(self.metric) is not None:
                key = tuple(value for name, value in job.varies.items() if name != "seed")
                groups.setdefault(key, []).append(job)
        names = [name.rpartition(".")[2] for name in self._header()[1:-5] if name != "seed"]
        table = Table(title="mean ± standard deviation over seeds", title_justify="left")
        for name in (*names, "seeds", self.metric, self.test_metric):
            table.add_column(name)
        rows = []
        for key, jobs in groups.items():
            spreads = [MeanStd.of(job.metric(name) for job in jobs) for name in (self.metric, self.test_metric)]
            mean = spreads[0].mean if spreads[0] else None
            rows.append((self.objective.quality(mean), [*key, len(jobs), *(each or "" for each in spreads)]))
        for _, cells in sorted(rows, key=itemgetter(0)):
            table.add_row(*(Text(str(cell)) for cell in cells))
        console().print(table)


def best_first(jobs: list[Job], objective: Objective) -> list[Job]:
    """Sort by the objective; jobs without a value come last, in their order."""
    return sorted(jobs, key=lambda job: objective.quality(job.metric(objective.metric)))


def last_line(log: Path) -> str:
    """Return the last error of a job's log, or its last line."""
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()] if log.exists() else []
    ends = [line for line in lines if line.startswith(("error:", "stopped"))]
    return (ends or lines or ["no output"])[-1]
