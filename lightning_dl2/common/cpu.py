"""Set the number of CPU threads and their treatment of subnormal numbers for a run, and restore both after it.

A gradient that vanishes over time ends in subnormal numbers, below 1.2e-38 in single precision. An x86 core computes
with those many times more slowly, so a step whose gradients have vanished takes several times as long.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def configured(num_threads: int | None, flush_denormal: bool) -> Iterator[None]:
    """Apply two keys of conf/trainer/ within the block, and restore the former state after it.

    A GPU is not concerned: subnormal numbers cost it nothing. None leaves the number of threads as it is.
    """
    import torch

    threads, flushed = torch.get_num_threads(), flushes_denormal()
    set_num_threads(num_threads)
    set_flush_denormal(flush_denormal)
    try:
        yield
    finally:
        set_flush_denormal(flushed)  # before the number of threads changes
        set_num_threads(None if num_threads is None else threads)


def set_num_threads(number: int | None) -> None:
    """Set the number of CPU threads of torch and DGL; None: leave it as it is."""
    if number is None:
        return
    import torch

    torch.set_num_threads(number)
    if "dgl" in sys.modules:
        sys.modules["dgl"].utils.set_num_threads(number)


def flushes_denormal() -> bool:
    """Test whether this thread treats subnormal numbers as zero; torch has no getter."""
    import torch

    return (torch.tensor(torch.finfo(torch.float64).tiny, dtype=torch.float64) / 2).item() == 0


def set_flush_denormal(on: bool) -> None:
    """Call `torch.set_flush_denormal` in all computing threads: by itself, torch sets only the calling one.

    A new thread inherits the setting of the thread that starts it. Existing threads must be set one by one, or they
    would keep subnormal numbers that the others flush. GCC's OpenMP, torch's on Linux, runs a function in each.
    """
    import torch

    if not torch.set_flush_denormal(on) or torch.get_num_threads() == 1:
        return
    try:
        parallel = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):  # not on Linux: only later threads follow
        return
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: torch.set_flush_denormal(on))
    parallel(function, None, torch.get_num_threads(), 0)
