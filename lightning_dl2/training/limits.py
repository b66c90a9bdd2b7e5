"""Refuse sizes that do not fit in this machine's memory, before minutes are lost.

The schemas of data and task say what they need at least: a size that is refused cannot fit, another may be too large.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.overrides import flatten, format_override
from lightning_dl2.config.schema import Config, Demand

CGROUP = Path("/sys/fs/cgroup/memory.max")  # of a container or a job


def machine_memory() -> int:
    """Return the bytes of memory that this process may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # the file does not exist, or says max
        memory = min(memory, int(CGROUP.read_text("utf-8")))
    return memory


def check_data(config: Config, on_gpu: bool) -> None:
    """Raise UserError, before data are made or read, where they, or the states of one batch, cannot fit.

    Args:
        on_gpu: whether the batches are on a GPU, which has a memory of its own.
    """
    for demand in config.data.demands(config, on_gpu):
        _refuse(config, demand)


def check_net(config: Config, spec: dict[str, Any], on_gpu: bool) -> None:
    """Raise UserError where the net and its gradients cannot fit.

    Args:
        spec: `datamodule.spec`.
    """
    for demand in config.task.demands(config, spec, on_gpu):
        _refuse(config, demand)


def _refuse(config: Config, demand: Demand) -> None:
    memory = machine_memory()
    if demand.size <= memory:
        return
    values = flatten(config.model_dump())
    shown = ", ".join(f"{key}={format_override(values[key])}" for key in demand.keys.split() if key in values)
    needs = f"{demand.what} would take {_gigabytes(demand.size)} or more, this machine has {_gigabytes(memory)}"
    raise UserError(f"{shown}: {needs}; fix: use smaller numbers")


def _gigabytes(size: float) -> str:
    return f"{size / 2**30:,.3g} GiB" if size < 2**40 else f"{size / 2**40:,.3g} TiB"
