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

# Before torch is imported. Its threads wait for each other many times a step: those that spin meanwhile take the core
# from the one they wait for, and beside a busy neighbour a step took ten times as long. Sleeping costs a few per cent.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

_HOME = {
    "compose": "config",
    "train": "train",
    "evaluate": "evaluate",
    "UserError": "cli",
    "generate": "generate",
    "predict": "predict",
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
