"""Run `benchmark.py waiting`: the cost of threads that wait for each other, on idle cores or beside a busy process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from rich.table import Table

from scripts.benchmarks.loops import alternate

RULES = {  # importing lightning_dl2 sets "ours", unless the environment sets another rule
    "ours": {},
    "sleep at once: OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "GNU's own: GOMP_SPINCOUNT=300000": {"GOMP_SPINCOUNT": "300000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
SIZE = (128, 100, 128)  # B, T, H
PASSES = 5  # of each process, after a warm-up
CHILD = f"""
import time
import lightning_dl2, torch
net, x = torch.nn.LSTM({SIZE[2]}, {SIZE[2]}, batch_first=True), torch.randn{SIZE}
times = []
for _ in range({PASSES + 1}):
    start = time.perf_counter()
    net(x)[0].sum().backward()
    times.append(time.perf_counter() - start)
print(sorted(times[1:])[{PASSES // 2}])
"""


def benchmark_waiting(repeats: int) -> Table:
    """Time each rule in a new process, always on the same two cores."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    title = f"Two threads, torch.nn.LSTM {SIZE} forward and backward, on cores {cores}"
    table = Table("the threads' rule", "quiet, ms", "beside a busy process, ms", title=title)
    sides = [partial(measure, variables, cores, busy) for variables in RULES.values() for busy in (False, True)]
    medians, _ = alternate(sides, repeats)
    for rule, (quiet, busy) in zip(RULES, zip(medians[::2], medians[1::2], strict=True), strict=True):
        table.add_row(rule, f"{1e3 * quiet:.0f}", f"{1e3 * busy:.0f}")
    return table


def measure(variables: dict[str, str], cores: list[int], busy: bool) -> float:
    """Return the seconds of a pass in a new process; if `busy`, another process keeps the last core busy."""
    own = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    root = str(Path(__file__).parents[2])
    with neighbour(cores[-1]) if busy else nullcontext():
        done = subprocess.run(
            [sys.executable, "-c", CHILD],
            env=own | {"OMP_NUM_THREADS": "2", "PYTHONPATH": root} | variables,
            preexec_fn=partial(os.sched_setaffinity, 0, cores),
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
    return float(done.stdout)


@contextmanager
def neighbour(core: int) -> Iterator[None]:
    """Keep `core` busy by a process in its own session, like another user's."""
    words, where = [sys.executable, "-c", "while True: pass"], partial(os.sched_setaffinity, 0, [core])
    with subprocess.Popen(words, preexec_fn=where, start_new_session=True) as process:
        try:
            yield
        finally:
            process.kill()
