"""Record what decides the last bits of a run beside its configuration, and compare it with a checkpoint's."""

from typing import Any

import torch
from pytorch_lightning import LightningModule

from lightning_dl2.common import arithmetic
from lightning_dl2.graphs import ENGINES, resolve_engine

BEFORE = {"sampler": "dgl"}  # facts of older versions that they did not write


def numerics(task: LightningModule, device: torch.device, data: Any = None) -> dict[str, Any]:
    """Return the facts of this process that decide in which order, and with which instructions, numbers are added.

    Args:
        task: its hyperparameters name the engine of a graph net.
        data: the data module of a training; `sampler_name` names what draws its batches from a graph, and None nothing.
    """
    facts: dict[str, Any] = {"torch": str(torch.__version__), "device": device.type}
    if device.type == "cuda":
        facts["device"] = torch.cuda.get_device_name(device)
    else:
        facts["instructions"] = torch.backends.cpu.get_cpu_capability()
        facts |= {"threads": torch.get_num_threads(), "flush_denormal": arithmetic.flushes_denormal()}
    engine = task.hparams.get("engine")
    if isinstance(engine, str) and engine in ENGINES:  # another module's argument may have this name
        facts["engine"] = resolve_engine(engine, device)
    if (sampler := getattr(data, "sampler_name", None)) is not None:
        facts["sampler"] = sampler
    return facts


def numerics_note(name: str, then: dict[str, Any] | None, now: dict[str, Any], result: str) -> str | None:
    """Return one line if `now` differs from what a checkpoint was written with; None if it does not.

    Args:
        name: of the checkpoint.
        then: `numerics` of the checkpoint; None where an older version wrote it.
        now: `numerics` of this process.
        result: the thing that may differ, in words.
    """
    then = {**BEFORE, **(then or {})}
    changed = [key for key in now if then.get(key, now[key]) != now[key]]
    if not changed:
        return None
    before, here = (", ".join(f"{key}={facts[key]}" for key in changed) for facts in (then, now))
    fix = f"; fix: OMP_NUM_THREADS={then['threads']}" if changed == ["threads"] else ""
    told = f"{name} was written with {before}, here {here}: {result}"
    if "sampler" in changed:
        return f"{told} draws other batches than the sampler that it was begun with"
    return f"{told} may differ in the last bits{fix}"
