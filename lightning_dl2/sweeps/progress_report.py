"""How far a long preparation is: a bar on a terminal, a line now and then elsewhere. On stderr."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lightning_dl2.common.command import console

Each = TypeVar("Each")

DELAY = 2.0  # seconds; what is done sooner is not worth a line
INTERVAL = 0.2, 15.0  # seconds between two looks at the bar, and between two lines


def progressing(values: Iterable[Each], total: int, what: str) -> Iterator[Each]:
    """Yield `values`, and tell how many of `total` are done, as `1,000 of 10,000 jobs composed`."""
    screen = console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True)
    bar = Progress(*columns, console=screen, auto_refresh=False, transient=True, disable=not screen.is_terminal)
    task, due = bar.add_task(what, total=total), time.monotonic() + DELAY
    try:
        for done, value in enumerate(values):
            if time.monotonic() > due:
                due = time.monotonic() + INTERVAL[not screen.is_terminal]
                bar.start()  # once
                bar.update(task, completed=done, refresh=True)
                if not screen.is_terminal:
                    screen.print(f"{done:,} of {total:,} {what}", markup=False, highlight=False)
            yield value
    finally:
        bar.stop()
