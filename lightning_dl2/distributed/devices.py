"""Count the devices of a run, and refuse those that this machine does not have."""

import os

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema import Config


def uses_gpu(config: Config) -> bool:
    """Whether the run will be on a GPU."""
    import torch

    return config.trainer.accelerator == "gpu" or (config.trainer.accelerator == "auto" and torch.cuda.is_available())


def num_devices(config: Config) -> int:
    """Processes on each machine."""
    import torch

    if config.trainer.devices != "auto":
        return config.trainer.devices
    return torch.cuda.device_count() if uses_gpu(config) else 1


def check_devices(config: Config) -> None:
    """Raises UserError if the Trainer's devices or precision are not to be had here."""
    import torch

    trainer, there = config.trainer, torch.cuda.device_count()
    if trainer.accelerator == "gpu" and not there:
        raise UserError("trainer.accelerator=gpu: this machine has no GPU that torch can use; allowed: cpu, auto")
    gpu = uses_gpu(config)
    there = there if gpu else os.cpu_count() or 1
    if trainer.devices != "auto" and trainer.devices > there:
        kind = "GPU" if gpu else "CPU core"
        raise UserError(f"trainer.devices={trainer.devices}: this machine has {there} {kind}(s); allowed: 1 to {there}")
    if trainer.precision == "16-mixed" and not gpu:
        raise UserError("trainer.precision=16-mixed: needs a GPU; allowed on a CPU: 32, bf16-mixed, 64")
