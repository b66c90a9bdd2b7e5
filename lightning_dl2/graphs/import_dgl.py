"""Import DGL, and prepare every `import dgl`, also of a user's module.

DGL 2.1 runs on every torch that this package takes, if three things are settled before its import. None of them
concerns the parts that this package uses: graphs, `dgl.ops`, samplers, `dgl.nn`. `find_prepared` settles them; the
package's `__init__` puts it into `sys.meta_path`.
- GraphBolt, its sampling library, is compiled for torch 2.0 to 2.2 alone and stops the import elsewhere.
- `dgl.data` imports pandas, which DGL does not declare, for three data sets.
- Without DGLBACKEND it writes a file into the home directory, which may be read-only.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import torch


class _Absent(ModuleType):
    """Placeholder of a missing module, whose attributes raise AttributeError.

    ImportError would break torch.compile, which looks through all modules.
    """

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.__name__}.{name}: {self.__name__} is not there; this is a placeholder for it")


def needs_graphbolt_stub() -> bool:
    """Tell, without an import, whether `import dgl` would fail for lack of GraphBolt."""
    spec = importlib.util.find_spec("dgl")
    if spec is None or not spec.submodule_search_locations:
        return False
    folder = Path(spec.submodule_search_locations[0]) / "graphbolt"
    if not folder.is_dir():  # DGL before 2.0
        return False
    version = torch.__version__.split("+")[0]
    return not any(folder.glob(f"*graphbolt_pytorch_{version}.*")) or not _found("torchdata.datapipes")


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


@contextmanager
def _pandas_or_placeholder() -> Iterator[None]:
    """Provide pandas, or a placeholder during the import only: other libraries test `import pandas`, too."""
    if _found("pandas"):
        yield
        return
    placeholder = _Absent("pandas")
    sys.modules["pandas"] = placeholder
    try:
        yield
    finally:
        if sys.modules.get("pandas") is placeholder:
            del sys.modules["pandas"]


class _Prepared(Loader):
    """The loader of DGL, which settles what its import needs."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:  # from here on it is a module like any other
            module.__spec__.loader = module.__loader__ = self.loader
        os.environ.setdefault("DGLBACKEND", "pytorch")
        if needs_graphbolt_stub():
            sys.modules["dgl.graphbolt"] = _Absent("dgl.graphbolt")
        try:
            with _pandas_or_placeholder():
                self.loader.exec_module(module)
        except BaseException:
            sys.modules.pop("dgl.graphbolt", None)
            raise


def find_prepared() -> ModuleSpec | None:
    """Find DGL as `import dgl` does, with a loader that prepares its import; None: it is not installed."""
    spec = PathFinder.find_spec("dgl")
    if spec is not None and spec.loader is not None:
        spec.loader = _Prepared(spec.loader)
    return spec


@cache
def _load() -> tuple[ModuleType | None, str]:
    """Return DGL or None, and why it is None."""
    if "dgl" not in sys.modules and importlib.util.find_spec("dgl") is None:
        wheels = "" if sys.version_info < (3, 13) else " (there is no wheel for Python 3.13 or newer)"
        return None, f"dgl is not installed{wheels}"
    try:
        dgl = importlib.import_module("dgl")
        # DGL has an OpenMP of its own, which torch.set_num_threads does not reach.
        dgl.utils.set_num_threads(torch.get_num_threads())
        return dgl, ""
    except (ImportError, OSError, AttributeError, RuntimeError) as error:  # a wheel for another system or torch
        return None, f"dgl is installed but cannot be loaded ({type(error).__name__}: {str(error).splitlines()[0]})"


def load_dgl() -> Any:
    """Return the dgl module, or None where it is not installed or cannot be loaded."""
    return _load()[0]


def dgl_available() -> bool:
    return load_dgl() is not None


def why_no_dgl() -> str:
    """Return one clause for messages; empty where DGL is available."""
    return _load()[1]


@cache
def dgl_has_cuda() -> bool:
    """Tell whether this DGL was compiled for CUDA and finds a GPU. PyPI has wheels for CPU alone."""
    dgl = load_dgl()
    # Moving a graph to a missing GPU would raise from C++; this does not.
    return dgl is not None and bool(dgl._ffi.ndarray.context("cuda", 0).exist)
