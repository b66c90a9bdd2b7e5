"""A laboratory for recurrent and graph networks on PyTorch Lightning.

    from lightning_dl2 import compose, train, evaluate
    result, objects = train(compose("experiment=palindrome", "task.cell=gru"))

Everything is imported when it is first asked for, so that a command answers before torch is loaded.
"""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

if os.name != "posix":  # signals, flock and fork are not there
    print("error: lightning_dl2 runs on Linux and macOS alone; fix: on Windows use it in WSL", file=sys.stderr)
    raise SystemExit(2)

# Before torch is imported. Its threads wait for each other many times a step. Those that spin for long take the core
# from the one they wait for: beside a busy neighbour a step took twenty times as long. Those that sleep at once are
# woken too late: on quiet cores a small LSTM took 1.6 times as long. A short spin before sleep is good for both.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}  # the second is GNU's; others know the first

__version__ = "0.1.0"

_HOME = {
    "compose": "config.compose",
    "train": "training.start",
    "evaluate": "inference.evaluate",
    "load": "training.restore",
    "UserError": "common.errors",
    "generate": "inference.generate",
    "predict": "inference.predict",
    "SequenceClassifier": "tasks",
    "TextGenerator": "tasks",
    "GraphNet": "tasks",
    "SequenceDataModule": "data",
    "TextDataModule": "data",
    "NodeDataModule": "data",
    "GraphSetDataModule": "data",
    "Graph": "graphs",
    "GraphNetwork": "nets",
    "LanguageModel": "nets",
    "Recurrent": "nets",
    "RecurrentClassifier": "nets",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lightning_dl2' has no attribute {name!r}")
    return getattr(import_module(f"lightning_dl2.{_HOME[name]}"), name)


class _Package(ModuleType):
    """Keeps the functions, such as `train`, in sight when modules of these names are imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
