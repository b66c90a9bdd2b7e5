"""What a run sets on the CPU and gives back after it: how many threads compute, and what subnormal numbers are to them.

A gradient that vanishes over time ends in subnormal numbers, below 1.2e-38 in single precision. An x86 core computes
with those many times slower than with others: where nothing is left to learn from, a step takes several times as long.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Settings(Protocol):
    """Name what a run sets, as conf/trainer/ does: threads (None: as torch decides), and subnormal numbers as zero."""

    @property
    def num_threads(self) -> int | None: ...

    @property
    def flush_denormal(self) -> bool: ...


@contextmanager
def configured(settings: Settings) -> Iterator[None]:
    """Within the block `num_threads` and `flush_denormal` hold; whoever trains twice in one process has his own again.

    Nothing here concerns a GPU, where subnormal numbers cost nothing.
    """
    import torch

    threads, flushed = torch.get_num_threads(), flushes_denormal()
    set_num_threads(settings.num_threads)
    set_flush_denormal(settings.flush_denormal)
    try:
        yield
    finally:
        set_flush_denormal(flushed)  # first, while the threads are those that were told
        set_num_threads(None if settings.num_threads is None else threads)


def set_num_threads(number: int | None) -> None:
    """Threads of torch and DGL on the CPU; None: as they decide."""
    if number is None:
        return
    import torch

    torch.set_num_threads(number)
    if "dgl" in sys.modules:
        sys.modules["dgl"].utils.set_num_threads(number)


def flushes_denormal() -> bool:
    """Whether this thread takes subnormal numbers for zero; torch does not tell."""
    import torch

    return (torch.tensor(torch.finfo(torch.float64).tiny, dtype=torch.float64) / 2).item() == 0


def set_flush_denormal(on: bool) -> None:
    """`torch.set_flush_denormal` in all threads that compute: torch asks only the one that calls.

    A thread inherits the setting of the one that starts it. Those that have computed before must be told, or a half of
    each tensor would keep what the other loses; OpenMP of GCC, torch's on Linux, lets each run the same function.
    """
    import torch

    if not torch.set_flush_denormal(on) or torch.get_num_threads() == 1:
        return
    try:
        parallel = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):  # not Linux, say: only threads that start later follow
        return
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: torch.set_flush_denormal(on))
    parallel(function, None, torch.get_num_threads(), 0)
