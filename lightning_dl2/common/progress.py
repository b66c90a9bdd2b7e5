"""Tells the user what takes long before training begins. On stderr, in one process only."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning_dl2.common.command import console
from lightning_dl2.common.launcher import is_rank_zero

DELAY = 1.0  # seconds; what is done sooner is not worth a line
INTERVAL = 0.2  # seconds between two drawings of the bar


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes in how many bytes more are done, of `total`.

    From the first second on, a bar on a terminal; elsewhere one line.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    screen = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(compact=True))
    bar = Progress(*columns, console=screen, auto_refresh=False, transient=True)
    bar.add_task(description, total=total)
    due, started = time.monotonic() + DELAY, False

    def advance(number: int) -> None:
        nonlocal due, started
        bar.advance(bar.task_ids[0], number)
        if time.monotonic() < due or not is_rank_zero():
            return
        due = time.monotonic() + INTERVAL
        if screen.is_terminal:
            bar.refresh() if started else bar.start()
        elif not started:
            screen.print(f"{description} ...", markup=False, highlight=False)
        started = True

    try:
        yield advance
    finally:
        if started and screen.is_terminal:
            bar.stop()
