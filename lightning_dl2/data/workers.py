"""Processes that make training batches ahead of the steps that ask for them.

A batch is a function of its step's number, and torch takes batches from the workers in turn: for any number of
workers the batches and their order are the same, and there is nothing of them to save.
"""

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lightning_dl2.cli import SIGNALS
from lightning_dl2.processes import die_with


@dataclass(frozen=True)
class Failure:
    """What a worker sends in place of a batch that it could not make."""

    pickled: bytes

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        error.add_note(f"In a worker:\n{''.join(traceback.format_exception(error))}")
        return cls(pickle.dumps(error))

    def reraise(self) -> None:
        raise pickle.loads(self.pickled)


class Steps(IterableDataset):
    """Worker w of n makes the batches of the steps first + w, first + w + n, ...; without end."""

    def __init__(self, make: Callable[[int], Any], first: int) -> None:
        self.make, self.first = make, first

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        for step in count(self.first + worker.id, worker.num_workers):
            try:
                batch = self.make(step)
            except Exception as error:  # torch would make one long text of it and its traceback
                batch = Failure.of(error)
            yield batch


def made_ahead(make: Callable[[int], Any], first: int, num_workers: int) -> Iterator[Any]:
    """make(first), make(first + 1), ... from so many processes; a batch, or the Failure to make it.

    The workers are forked: they share the data's memory and begin within milliseconds. They compute on one thread
    and use no GPU, for which a fork is safe.
    """
    loader = DataLoader(
        Steps(make, first),
        batch_size=None,
        num_workers=num_workers,
        generator=torch.Generator(),  # else its seed would be drawn from the global one
        multiprocessing_context="fork",
        worker_init_fn=partial(_obey_parent_alone, os.getpid()),
    )
    # The workers inherit the mask: no signal to the whole group finds one of them unprepared.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _obey_parent_alone(parent: int, worker: int) -> None:
    """A worker lives until its parent ends it, or ends: a signal to all processes must leave it to save first."""

    def wait() -> None:
        while signal.sigwaitinfo(SIGNALS).si_pid != parent:
            pass
        os._exit(0)

    die_with(parent)  # at once, since a worker has inherited the parent's files and sockets
    threading.Thread(target=wait, daemon=True).start()
