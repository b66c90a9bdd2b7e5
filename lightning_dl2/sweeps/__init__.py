"""Many runs by one command: each a process of its own, in its own run directory, by the words that would train it."""

from lightning_dl2.sweeps.command import sweep

__all__ = ["sweep"]
