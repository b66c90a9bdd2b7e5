"""Go through a list of checks, each in a process that may die, and write down what came out."""

import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROCESSES = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
POLL = 0.1  # seconds


class Broken(Exception):
    """A promise does not hold; the message names it."""


class NotTried(Exception):
    """This machine cannot try the check; the message says why."""


@dataclass(frozen=True)
class Figure:
    """One measured figure: of this package, and of a peer that does the same work."""

    name: str
    case: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str = ""

    @property
    def ratio(self) -> float | None:
        """Return ours / peer."""
        return None if self.peer is None else self.ours / self.peer


@dataclass(frozen=True)
class Passed:
    """Hold what a check found.

    Args:
        detail: in a line.
        figures: what was measured.
        size: of the worst difference, by which the table chooses one line for all cases of a kind.
    """

    detail: str
    figures: tuple[Figure, ...] = ()
    size: float = 0.0


@dataclass(frozen=True)
class Setting:
    """Say where and how thoroughly to check.

    Args:
        device: "cpu" or "cuda".
        short: smaller sizes and fewer repeats, for a machine without a GPU.
        data: directory with the files of cora and zinc; None: there are none.
        folder: for the runs.
    """

    device: str
    short: bool
    data: Path | None
    folder: Path

    @property
    def accelerator(self) -> str:
        """Return the value of `trainer.accelerator` for the device."""
        return "gpu" if self.device == "cuda" else "cpu"


@dataclass(frozen=True)
class Outcome:
    """Hold what is known of a check that was tried."""

    kind: str
    case: str
    status: str  # passed, failed, not tried
    detail: str
    seconds: float = 0.0
    figures: tuple[Figure, ...] = ()
    size: float = 0.0


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        group: of checks that share a process.
        kind: the promise; the table shows all cases of a kind that passed in one row.
        case: what it is tried with.
        function: a function at a module's top level; raises Broken or NotTried.
        arguments: of the function, after the setting.
        limit: seconds after which the check has failed.
    """

    group: str
    kind: str
    case: str
    function: Callable[..., Passed]
    arguments: tuple[Any, ...] = ()
    limit: float = 120.0

    def outcome(self, status: str, detail: str, seconds: float, passed: Passed | None = None) -> Outcome:
        """Return the outcome of this check."""
        figures, size = (passed.figures, passed.size) if passed else ((), 0.0)
        return Outcome(self.kind, self.case, status, detail, seconds, figures, size)


def go_through(checks: Sequence[Check], setting: Setting, minutes: float, log: Path) -> Iterator[Outcome]:
    """Try the checks in order and yield the outcome of each.

    Each group has a process of its own. If the process dies, or a check takes too long, that check has failed, and a
    new process goes on with the next one: an error of CUDA spoils the process in which it occurs.

    Args:
        minutes: after which the rest is not tried.
        log: file that gets what the checks print.
    """
    deadline = time.monotonic() + 60 * minutes
    left = list(checks)
    while left and time.monotonic() < deadline:
        group = [check for check in left if check.group == left[0].group]
        for check, outcome in zip(group, _try_group(group, setting, deadline, log), strict=False):
            left.remove(check)
            yield outcome
    for check in left:
        yield check.outcome("not tried", f"minutes={minutes:g} were over", 0.0)


def _try_group(checks: list[Check], setting: Setting, deadline: float, log: Path) -> Iterator[Outcome]:
    """Yield outcomes until the process of the group has ended or had to be ended."""
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_work, args=(checks, setting, there, log))
    process.start()
    there.close()
    try:
        for check in checks:
            began = time.monotonic()
            until = min(began + check.limit, max(deadline, began + POLL))
            while not (ready := here.poll(POLL)) and process.is_alive() and time.monotonic() < until:
                pass
            seconds = time.monotonic() - began
            try:
                if ready or here.poll(0):
                    yield here.recv()
                    continue
            except EOFError:
                process.join()
            if process.is_alive() and time.monotonic() >= deadline:
                yield check.outcome("not tried", "the time was over before it ended", seconds)
            else:
                how = f"did not end within {check.limit:g} s" if process.is_alive() else _death(process.exitcode)
                yield check.outcome("failed", how, seconds)
            return
    finally:
        if process.is_alive():
            process.kill()
        process.join()


def _death(code: int | None) -> str:
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return f"its process ended with {how}; log.txt has more"


def _work(checks: list[Check], setting: Setting, results: Any, log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
    for check in checks:
        print(f"=== {check.kind}: {check.case}", flush=True)
        results.send(try_check(check, setting))
    results.close()


def try_check(check: Check, setting: Setting) -> Outcome:
    """Try a check in this process."""
    began, passed = time.monotonic(), None
    try:
        passed = check.function(setting, *check.arguments)
        status, detail = "passed", passed.detail
    except NotTried as why:
        status, detail = "not tried", str(why)
    except Broken as error:
        status, detail = "failed", str(error)
    except (Exception, SystemExit) as error:  # whatever a check meets, the others go on
        traceback.print_exc()
        first = next(iter(str(error).strip().splitlines()), "")
        status, detail = "failed", f"{type(error).__name__}: {first}"
    return check.outcome(status, detail, time.monotonic() - began, passed)


HEADER = ("promise", "outcome", "what was found", "cases", "seconds")
FIGURES = ("figure", "case", "unit", "ours", "peer", "ours / peer", "the peer")


def rows_of(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Return the cells of the table with HEADER: a row for all of a kind that passed, one for each other finding."""
    rows: dict[tuple[str, str, str], list[Outcome]] = {}
    for each in outcomes:
        rows.setdefault((each.kind, each.status, "" if each.status == "passed" else each.detail), []).append(each)
    shown = []
    for (kind, status, _), together in rows.items():
        worst = max(together, key=lambda each: each.size)
        cases = "; ".join(each.case for each in together)
        if len(cases) > 60 and status == "passed":
            cases = f"{len(together)}, the worst: {worst.case}"
        shown.append((kind, status, worst.detail, cases, f"{sum(each.seconds for each in together):.1f}"))
    return shown


def figure_rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Return the cells of the table of figures, with FIGURES."""
    return [
        (
            each.name,
            each.case,
            each.unit,
            f"{each.ours:.4g}",
            "" if each.peer is None else f"{each.peer:.4g}",
            "" if each.ratio is None else f"{each.ratio:.3g}",
            each.peer_name,
        )
        for outcome in outcomes
        for each in outcome.figures
    ]


def write_results(folder: Path, facts: dict[str, str], outcomes: Sequence[Outcome]) -> None:
    """Write check_gpu.json, with every case, and check_gpu.md, with both tables, into `folder`.

    Args:
        facts: of the machine and the day.
    """
    values = {"facts": facts, "outcomes": [asdict(each) for each in outcomes]}
    (folder / "check_gpu.json").write_text(json.dumps(values, indent=2) + "\n", "utf-8")
    lines = [", ".join(f"{key} {value}" for key, value in facts.items()), "", *_markdown(HEADER, rows_of(outcomes))]
    if figures := figure_rows(outcomes):
        lines += ["", *_markdown(FIGURES, figures)]
    (folder / "check_gpu.md").write_text("\n".join(lines) + "\n", "utf-8")


def _markdown(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for cells in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
