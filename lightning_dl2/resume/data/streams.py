"""Read loaders that only run forward: an IterableDataset, or any iterable of batches.

A resumed run goes on by skipping what the epoch has read, or by the stream's own `state_dict`.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

from torch.utils.data import DataLoader

from lightning_dl2.common.command import SIGNALS
from lightning_dl2.common.errors import UserError
from lightning_dl2.resume.random_numbers import generators_within, seed_all, seed_generators, step_seed
from lightning_dl2.resume.workers import obey_parent_alone

log = logging.getLogger(__name__)


class Stream:
    """Give batch k of epoch e of a loader that only runs forward.

    Each epoch begins the stream anew. Before each batch the generators are seeded by (seed, epoch, k). A stream that
    ends before its epoch does begins once more, with a warning.

    Args:
        loader: an iterable of batches.
        numbers: seed and name of the loader.
    """

    def __init__(self, loader: Any, *numbers: int | str) -> None:
        self.loader, self.numbers = loader, numbers
        self.stateful = _stateful(loader)
        self._iterator: Iterator[Any] | None = None
        self._next, self._passes, self._has_warned = (-1, 0), 0, False
        self._before: dict[str, Any] | None = None  # the state before the last batch
        self._loaded: dict[str, Any] | None = None
        self._generators = generators_within(loader)
        if isinstance(loader, DataLoader) and loader.num_workers:
            loader.worker_init_fn = partial(_init_worker, os.getpid(), loader.worker_init_fn)

    @property
    def length(self) -> int | None:
        """Count the batches of the stream; None: it does not know."""
        try:
            return len(self.loader)
        except (TypeError, NotImplementedError):
            return None

    def batch(self, epoch: int, number: int) -> Any:
        """Return a batch of an epoch; the global generators are left changed."""
        if (epoch, number) != self._next:
            self._go_to(epoch, number)
        if self.stateful is not None:
            self._before = self._state(epoch, number)
        batch = self._read(epoch, number)
        self._next = epoch, number + 1
        return batch

    def _go_to(self, epoch: int, number: int) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded and (loaded["epoch"], loaded["batch"]) == (epoch, number):
            self._begin(epoch, loaded["passes"], loaded["state"])
            return
        self._begin(epoch, 0)
        for skipped in range(number):
            self._read(epoch, skipped)

    def _begin(self, epoch: int, passes: int, state: Any = None) -> None:
        self._passes, self._iterator = passes, None
        self._seed(epoch, "pass", passes)
        if state is not None and self.stateful is not None:
            self.stateful.load_state_dict(deepcopy(state))
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # workers inherit the mask
        try:
            self._iterator = iter(self.loader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _read(self, epoch: int, number: int) -> Any:
        assert self._iterator is not None
        self._seed(epoch, number)
        try:
            return next(self._iterator)
        except StopIteration:
            pass
        if not self._has_warned and number:
            self._has_warned = True
            log.warning("the training stream ended after %d batches of its epoch, and begins again", number)
        self._begin(epoch, self._passes + 1)
        self._seed(epoch, number)
        try:
            return next(self._iterator)
        except StopIteration:
            raise UserError("data: the training stream has no batches; allowed: one that has some") from None

    def _seed(self, *numbers: int | str) -> None:
        seed_all(step_seed(*self.numbers, *numbers))
        seed_generators(self._generators, *self.numbers, *numbers)

    def _state(self, epoch: int, number: int) -> dict[str, Any]:
        state = deepcopy(self.stateful.state_dict())
        return {"epoch": epoch, "batch": number, "passes": self._passes, "state": state}

    def state_dict(self, epoch: int, number: int) -> dict[str, Any] | None:
        """Return the state before a batch; None: a resumed run skips up to it."""
        if self.stateful is None:
            return None
        if self._before and (self._before["epoch"], self._before["batch"]) == (epoch, number):
            return self._before
        return self._state(epoch, number) if self._next == (epoch, number) else None

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        self._loaded = state

    def read_all(self) -> Iterator[Any]:
        """Yield one pass of an evaluation, the same each time."""
        self._begin(0, 0)
        assert self._iterator is not None
        number = 0
        while True:
            self._seed(0, number)
            try:
                batch = next(self._iterator)
            except StopIteration:
                self._iterator = None
                return
            number += 1
            yield batch

    def close(self) -> None:
        """End the workers."""
        self._iterator, self._next = None, (-1, 0)


def _stateful(loader: Any) -> Any:
    """Return the object that keeps the place of a stream: the loader, or its dataset in this process; None: neither."""
    dataset = getattr(loader, "dataset", None)
    for owner in (loader, None if getattr(loader, "num_workers", 0) else dataset):
        if callable(getattr(owner, "state_dict", None)) and callable(getattr(owner, "load_state_dict", None)):
            return owner
    return None


def _init_worker(parent: int, init: Callable[[int], None] | None, number: int) -> None:
    obey_parent_alone(parent, number)
    if init is not None:
        init(number)
