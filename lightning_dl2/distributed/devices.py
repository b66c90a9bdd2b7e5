"""Count the devices of a run, and refuse those that this machine does not have."""

import os
from functools import cached_property

from lightning_dl2.common.errors import UserError
from lightning_dl2.config.schema import Trainer


class Devices:
    """The devices of a run on this machine, resolved when they are first asked for: torch is imported then."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    @cached_property
    def is_gpu(self) -> bool:
        """Tell whether the run computes on a GPU of CUDA, which has a memory of its own."""
        import torch

        accelerator = self._trainer.accelerator
        return accelerator == "gpu" or (accelerator == "auto" and torch.cuda.is_available())

    @cached_property
    def per_machine(self) -> int:
        """Count the processes on each machine."""
        import torch

        if self._trainer.devices != "auto":
            return self._trainer.devices
        return torch.cuda.device_count() if self.is_gpu else 1

    def check(self) -> None:
        """Raise UserError where this machine does not have the devices, or they lack the precision."""
        import torch

        trainer, found = self._trainer, torch.cuda.device_count()
        if trainer.accelerator == "mps" and not torch.backends.mps.is_available():
            raise UserError("trainer.accelerator=mps: torch can use no Apple GPU here; allowed: cpu, gpu, auto")
        if trainer.accelerator == "gpu" and not found:
            raise UserError("trainer.accelerator=gpu: this machine has no GPU that torch can use; allowed: cpu, auto")
        found, kind = (found, "GPU") if self.is_gpu else (os.cpu_count() or 1, "CPU core")
        if trainer.accelerator == "mps":
            found, kind = 1, "Apple GPU"
            if trainer.precision != 32:
                raise UserError(f"trainer.precision={trainer.precision}: allowed with trainer.accelerator=mps: 32")
            if trainer.strategy != "auto":
                raise UserError(f"trainer.strategy={trainer.strategy}: allowed with trainer.accelerator=mps: auto")
        if trainer.devices != "auto" and trainer.devices > found:
            what = f"this machine has {found} {kind}(s)"
            raise UserError(f"trainer.devices={trainer.devices}: {what}; allowed: 1 to {found}")
        if trainer.precision == "16-mixed" and not self.is_gpu:
            raise UserError("trainer.precision=16-mixed: needs a GPU; allowed on a CPU: 32, bf16-mixed, 64")
