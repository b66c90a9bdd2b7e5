"""Prefetch training batches in worker processes.

A batch is a function of its step's number, and torch takes batches from the workers in turn. So the batches and their
order are the same for any number of workers, and a checkpoint holds nothing of the workers.
"""

import copyreg
import io
import logging
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from lightning_dl2.common.command import SIGNALS
from lightning_dl2.common.errors import ProcessError
from lightning_dl2.common.system import die_with

log = logging.getLogger(__name__)

POLL = 1.0  # seconds within which a wait for a batch notices a signal
LATE = 30.0  # seconds without a batch after which a warning is printed
STUCK = 300.0  # seconds without a batch after which the run fails


class _Pickler(pickle.Pickler):
    """Pickle tensors by value. Torch's own pickling for another process needs room in /dev/shm, which may be small.

    A batch that finds no room there is lost without an error, and the training would wait for it.
    """

    dispatch_table = copyreg.dispatch_table.copy()


def _reduce_tensor(tensor: Tensor) -> Any:
    try:
        return _tensor_of, (tensor.numpy(),)
    except (RuntimeError, TypeError):  # NumPy has no such type or layout
        return tensor.__reduce_ex__(pickle.HIGHEST_PROTOCOL)


def _tensor_of(array: Any) -> Tensor:
    return torch.from_numpy(array).clone()  # in torch's memory: aligned as a batch that is made in this process


_Pickler.dispatch_table[Tensor] = _reduce_tensor


def _pickled(batch: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(batch)
    return file.getvalue()


@dataclass(frozen=True)
class Failure:
    """An error that a worker sends in place of the batch that it could not make."""

    pickled: bytes

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        error.add_note(f"In a worker:\n{''.join(traceback.format_exception(error))}")
        return cls(pickle.dumps(error))

    def reraise(self) -> None:
        raise pickle.loads(self.pickled)


class Steps(IterableDataset[bytes]):
    """Make, in worker w of n, the batches of the steps first + w, first + w + n, ... without end."""

    def __init__(self, make: Callable[[int], Any], first: int) -> None:
        self.make, self.first = make, first

    def __iter__(self) -> Iterator[Any]:
        worker: Any = get_worker_info()
        for step in count(self.first + worker.id, worker.num_workers):
            try:
                content = _pickled(self.make(step))
            except Exception as error:  # torch would make one long text of it and its traceback
                content = _pickled(Failure.of(error))
            yield content


class StopRequested(Exception):
    """A batch is late, and a signal asks the training to stop."""


class Prefetcher(_MultiProcessingDataLoaderIter):
    """Iterate over the workers' batches as torch does, but do not wait for ever for a worker that is suspended.

    Args:
        is_asked_to_stop: while it returns True, a batch that is late is made in this process.
    """

    def __init__(
        self, loader: DataLoader[Any], make: Callable[[int], Any], first: int, is_asked_to_stop: Callable[[], bool]
    ) -> None:
        self.make, self.step, self.is_asked_to_stop, self.parent = make, first, is_asked_to_stop, os.getpid()
        self.has_workers = False
        try:
            super().__init__(loader)
        except OSError as error:  # their semaphores are files in /dev/shm
            raise ProcessError(
                f"data.num_workers={loader.num_workers}: the workers cannot be started: {error.strerror or error};"
                " fix: room in /dev/shm, or use data.num_workers=0"
            ) from error
        self.has_workers = True
        # In a thread: a worker that is suspended in the middle of a batch would block its reader.
        self._data_queue, self._ended = queue.Queue(), threading.Event()
        arguments = self._worker_result_queue, self._data_queue, self._ended
        threading.Thread(target=_pass_on, args=arguments, daemon=True).start()

    def __next__(self) -> Any:
        step, self.step = self.step, self.step + 1
        if self._ended.is_set():
            return self.make(step)
        try:
            return pickle.loads(super().__next__())
        except StopRequested:
            self._shutdown_workers()
            return self.make(step)

    def _get_data(self) -> Any:
        began, has_warned = time.monotonic(), False
        while True:
            came, data = self._try_get_data(POLL)
            if came:
                return data
            if self.is_asked_to_stop():
                raise StopRequested
            waited = time.monotonic() - began
            if waited > LATE and not has_warned:
                has_warned = True
                text = f"warning: no batch for {waited:.0f} s from {self._worker_names()}"
                log.warning(text)
                print(text, file=sys.stderr)
            if waited > STUCK:
                raise ProcessError(
                    f"data.num_workers={self._num_workers}: no batch for {waited:.0f} s from {self._worker_names()};"
                    " fix: see what stops them, or use data.num_workers=0"
                )

    def _worker_names(self) -> str:
        return f"the workers, process {', '.join(str(worker.pid) for worker in self._workers)}"

    def _shutdown_workers(self) -> None:
        """End the workers as torch does, but first kill suspended ones, which Python would wait for at its end."""
        if os.getpid() != self.parent or not self.has_workers:
            return  # a forked process has inherited this object, and must end no worker
        stopped = [worker for worker in self._workers if not self._shutdown and worker.pid and _is_stopped(worker.pid)]
        if stopped:
            torch._C._remove_worker_pids(id(self))  # torch would raise an error for a killed worker
            self._worker_pids_set = False
            for worker in stopped:
                worker.kill()
        super()._shutdown_workers()
        self._ended.set()


def _is_stopped(pid: int) -> bool:
    """Tell whether a child is suspended, as by SIGSTOP."""
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _pass_on(source: Any, target: queue.Queue[Any], ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            target.put(source.get(timeout=POLL))
        except queue.Empty:
            continue
        except (EOFError, OSError, ValueError):  # the queue is closed
            return


def prefetched(
    make: Callable[[int], Any], first: int, num_workers: int, is_asked_to_stop: Callable[[], bool] = lambda: False
) -> Iterator[Any]:
    """Return an iterator over make(first), make(first + 1), ..., each made in a worker: a batch, or its Failure.

    The workers are forked: they share the data's memory and start within milliseconds. That is safe, since they
    compute on one thread and use no GPU.

    Args:
        num_workers: at least 1.
        is_asked_to_stop: while it returns True, a batch that is late is made in this process.

    Raises (the iterator):
        ProcessError: the workers cannot be started, or no batch came for STUCK seconds.
    """
    loader = DataLoader(
        Steps(make, first),
        batch_size=None,
        num_workers=num_workers,
        generator=torch.Generator(),  # the default would draw its seed from the global generator
        multiprocessing_context="fork",
        worker_init_fn=partial(obey_parent_alone, os.getpid()),
    )
    # The workers inherit the mask: a signal to the whole process group finds none of them unprepared.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        return Prefetcher(loader, make, first, is_asked_to_stop)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def obey_parent_alone(parent: int, worker: int) -> None:
    """Keep a worker alive until its parent ends: a signal to all processes must leave the parent time to save."""

    def wait() -> None:
        while signal.sigwaitinfo(SIGNALS).si_pid != parent:
            pass
        os._exit(0)

    die_with(parent)  # at once, since a worker has inherited the parent's files and sockets
    threading.Thread(target=wait, daemon=True).start()
