"""Set how this process computes during a run, and restore the former state after it.

The keys are the number of CPU threads, their treatment of subnormal numbers, and the precision of float32 products.

A gradient that vanishes over time ends in subnormal numbers, below 1.2e-38 in single precision. An x86 core computes
with those many times more slowly, so a step whose gradients have vanished takes several times as long.

NVIDIA GPUs since Ampere can round the factors of a float32 product to 10 bits (TF32), which is faster. By default torch
does so in cuDNN, thus in its recurrent nets, and not in matrix products. Here one key decides for both.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Keys(Protocol):
    """The keys of conf/trainer/ that are applied here."""

    @property
    def num_threads(self) -> int | None: ...
    @property
    def flush_denormal(self) -> bool: ...
    @property
    def float32_matmul_precision(self) -> str: ...


@contextmanager
def configured(keys: Keys) -> Iterator[None]:
    """Apply the keys within the block, and restore the former state after it.

    None leaves the number of threads as it is. Subnormal numbers cost a GPU nothing, so flush_denormal is the CPU's.
    """
    import torch

    threads, flushed = torch.get_num_threads(), flushes_denormal()
    products = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    set_num_threads(keys.num_threads)
    set_flush_denormal(keys.flush_denormal)
    set_products(keys.float32_matmul_precision, keys.float32_matmul_precision != "highest")
    try:
        yield
    finally:
        set_products(*products)
        set_flush_denormal(flushed)  # before the number of threads changes
        set_num_threads(None if keys.num_threads is None else threads)


def set_products(precision: str, tf32_in_cudnn: bool) -> None:
    """Set the precision of float32 products: of matrices as torch names it, and whether cuDNN may use TF32."""
    import torch

    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = tf32_in_cudnn


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
