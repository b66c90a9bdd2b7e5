"""A laboratory for recurrent and graph networks on PyTorch Lightning.

    from lightning_dl2 import compose, train, evaluate
    result, objects = train(compose("experiment=palindrome", "task.cell=gru"))

Everything is imported when it is first asked for, so that a command answers before torch is loaded.
"""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names for editors and type checkers
    from lightning_dl2.common.errors import UserError as UserError
    from lightning_dl2.config.compose import compose as compose
    from lightning_dl2.data import EdgeDataModule as EdgeDataModule
    from lightning_dl2.data import GraphSetDataModule as GraphSetDataModule
    from lightning_dl2.data import LabelledSequenceDataModule as LabelledSequenceDataModule
    from lightning_dl2.data import LinkDataModule as LinkDataModule
    from lightning_dl2.data import NodeDataModule as NodeDataModule
    from lightning_dl2.data import SequenceDataModule as SequenceDataModule
    from lightning_dl2.data import SequenceTask as SequenceTask
    from lightning_dl2.data import TextDataModule as TextDataModule
    from lightning_dl2.graphs import Graph as Graph
    from lightning_dl2.inference.evaluate import evaluate as evaluate
    from lightning_dl2.inference.generate import generate as generate
    from lightning_dl2.inference.predict import predict as predict
    from lightning_dl2.nets import Cell as Cell
    from lightning_dl2.nets import GraphNetwork as GraphNetwork
    from lightning_dl2.nets import LanguageModel as LanguageModel
    from lightning_dl2.nets import Recurrent as Recurrent
    from lightning_dl2.nets import RecurrentClassifier as RecurrentClassifier
    from lightning_dl2.nets import RecurrentRegressor as RecurrentRegressor
    from lightning_dl2.nets import RecurrentTransducer as RecurrentTransducer
    from lightning_dl2.resume.checkpoint_io import VerifiedCheckpointIO as VerifiedCheckpointIO
    from lightning_dl2.resume.data import MapStyleDataModule as MapStyleDataModule
    from lightning_dl2.resume.data.adapt import adapt as adapt
    from lightning_dl2.resume.exact_resume import ExactResume as ExactResume
    from lightning_dl2.resume.keep_checkpoints import KeepCheckpoints as KeepCheckpoints
    from lightning_dl2.tasks import GraphNet as GraphNet
    from lightning_dl2.tasks import SequenceClassifier as SequenceClassifier
    from lightning_dl2.tasks import SequenceRegressor as SequenceRegressor
    from lightning_dl2.tasks import SequenceTransducer as SequenceTransducer
    from lightning_dl2.tasks import TextGenerator as TextGenerator
    from lightning_dl2.training.from_objects import fit as fit
    from lightning_dl2.training.open_run import load as load
    from lightning_dl2.training.start import train as train

if os.name != "posix":  # signals, flock and fork are not there
    print("error: lightning_dl2 runs on Linux and macOS alone; fix: on Windows use it in WSL", file=sys.stderr)
    raise SystemExit(2)

# Before torch is imported. Its threads wait for each other many times a step. Those that spin for long take the core
# from the one they wait for: beside a busy neighbour a step took twenty times as long. Those that sleep at once are
# woken too late: on quiet cores a small LSTM took 1.6 times as long. A short spin before sleep is good for both.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}  # the second is GNU's; others know the first


class _DGLFinder:
    """Finds DGL for `import dgl`, also in a user's module; without preparation its import fails on a newer torch."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        return import_module("lightning_dl2.graphs.import_dgl").find_prepared() if name == "dgl" else None


sys.meta_path.insert(0, _DGLFinder)

__version__ = "0.1.0"

_HOME = {
    name: home
    for home, names in {
        "common.errors": "UserError",
        "config.compose": "compose",
        "training.start": "train",
        "training.from_objects": "fit",
        "training.open_run": "load",
        "inference.evaluate": "evaluate",
        "inference.generate": "generate",
        "inference.predict": "predict",
        "tasks": "SequenceClassifier SequenceRegressor SequenceTransducer TextGenerator GraphNet",
        "data": "SequenceDataModule SequenceTask LabelledSequenceDataModule TextDataModule NodeDataModule"
        " GraphSetDataModule LinkDataModule EdgeDataModule",
        "resume.data": "MapStyleDataModule",
        "resume.data.adapt": "adapt",
        "resume.exact_resume": "ExactResume",
        "resume.keep_checkpoints": "KeepCheckpoints",
        "resume.checkpoint_io": "VerifiedCheckpointIO",
        "graphs": "Graph",
        "nets": "Cell GraphNetwork LanguageModel Recurrent RecurrentClassifier RecurrentRegressor RecurrentTransducer",
    }.items()
    for name in names.split()
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lightning_dl2' has no attribute {name!r}")
    return getattr(import_module(f"lightning_dl2.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


class _Package(ModuleType):
    """Keeps the functions, such as `train`, in sight when modules of these names are imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
