"""Show the progress of a long preparation on stderr: a bar on a terminal, else a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning_dl2.common.command import console
from lightning_dl2.common.launcher import is_rank_zero

DELAY = 2.0  # seconds; a shorter preparation shows nothing
INTERVAL = 0.2, 15.0  # seconds between two drawings of the bar, and between two lines


@contextmanager
def progress(description: str, total: int | None, *, items: bool = False) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of further bytes, or items, that are finished.

    Only rank 0 of a run shows anything. Elsewhere than on a terminal, bytes get one line in all.

    Args:
        description: such as "downloading book.txt", or "jobs composed" for "1,000 of 10,000 jobs composed".
        total: the number of bytes or items; None: unknown.
        items: count items instead of bytes.
    """
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    screen, counter = console(stderr=True), MofNCompleteColumn() if items else DownloadColumn()
    columns = TextColumn("{task.description}"), BarColumn(), counter, TimeRemainingColumn(compact=True)
    bar = Progress(*columns, console=screen, auto_refresh=False, transient=True, disable=not screen.is_terminal)
    task, done, lines, due = bar.add_task(description, total=total), 0, 0, time.monotonic() + DELAY

    def advance(number: int) -> None:
        nonlocal done, lines, due
        done += number
        if time.monotonic() < due or not is_rank_zero():
            return
        due = time.monotonic() + INTERVAL[not screen.is_terminal]
        bar.start()  # once
        bar.update(task, completed=done, refresh=True)
        if not screen.is_terminal and (items or not lines):
            line = f"{done:,} of {total:,} {description}" if items else f"{description} ..."
            screen.print(line, markup=False, highlight=False)
            lines += 1

    try:
        yield advance
    finally:
        bar.stop()
