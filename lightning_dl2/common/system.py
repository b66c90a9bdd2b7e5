"""Handle processes, versions, device names and seeds."""

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PACKAGE = Path(__file__).parents[1]  # the folder lightning_dl2, in a checkout or among installed packages


def python_path() -> str:
    """Return PYTHONPATH for a child process: it imports this package, whatever directory it starts in."""
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([str(PACKAGE.parent), *filter(None, others)]))


def die_with(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have Linux send this process a signal as soon as its parent process ends, for whatever reason."""
    if sys.platform == "linux":
        import ctypes

        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # the parent has ended already
        os._exit(1)


def seed(number: int) -> None:
    """Seed the generators that draw initial weights."""
    import pytorch_lightning as pl

    pl.seed_everything(number, verbose=False)


def versions() -> dict[str, str]:
    """Return the versions of the packages that determine the results."""
    import platform

    import pytorch_lightning
    import torch

    from lightning_dl2 import __version__

    return {
        "lightning_dl2": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": pytorch_lightning.__version__,
    }


def device_name(device: "torch.device") -> str:
    """Name a device in words. Pass the strategy's: Lightning moves the module back to the CPU at the end."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} thread(s)"
