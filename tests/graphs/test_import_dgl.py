"""Test how DGL is found and started, in separate processes, because an import happens once."""

import importlib.machinery
import multiprocessing
import os
import pickle
import subprocess
import sys
from functools import cache

import pytest
import torch

from lightning_dl2.graphs import dgl_available, import_dgl, load_dgl, spmm
from tests.graphs.examples import needs_dgl, undirected

VERSION = torch.__version__.split("+")[0]


def run(code: str, **environment: str) -> str:
    variables = {**os.environ, **environment}
    variables.pop("DGLBACKEND", None)
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return `installed("file", ...)`, which makes up a DGL with these files in its graphbolt folder, and torchdata."""

    def install(*files: str) -> None:
        (tmp_path / "graphbolt").mkdir()
        for file in files:
            (tmp_path / "graphbolt" / file).touch()
        spec = importlib.machinery.ModuleSpec("dgl", None, is_package=True)
        spec.submodule_search_locations.append(str(tmp_path))
        others = {"torchdata.datapipes": importlib.machinery.ModuleSpec("torchdata.datapipes", None)}
        monkeypatch.setattr(import_dgl.importlib.util, "find_spec", {"dgl": spec, **others}.get)

    return install


def test_no_stub_where_graphbolt_is_compiled_for_this_torch(installed):
    installed("libgraphbolt_pytorch_1.0.0.so", f"libgraphbolt_pytorch_{VERSION}.so")
    assert not import_dgl.needs_graphbolt_stub()


def test_a_stub_where_graphbolt_is_compiled_for_others(installed):
    installed("libgraphbolt_pytorch_1.0.0.so")
    assert import_dgl.needs_graphbolt_stub()


def test_a_stub_where_graphbolt_lacks_torchdata(installed, monkeypatch):
    installed(f"libgraphbolt_pytorch_{VERSION}.so")
    find_spec = import_dgl.importlib.util.find_spec

    def find(name):
        if name.startswith("torchdata"):
            raise ModuleNotFoundError(name)
        return find_spec(name)

    monkeypatch.setattr(import_dgl.importlib.util, "find_spec", find)
    assert import_dgl.needs_graphbolt_stub()


def test_no_stub_for_a_dgl_without_graphbolt(installed, tmp_path):
    installed()
    (tmp_path / "graphbolt").rmdir()
    assert not import_dgl.needs_graphbolt_stub()


@pytest.fixture
def unloaded(monkeypatch):
    """Reset the module as if DGL had not been requested yet."""
    for name in [name for name in sys.modules if name.split(".")[0] == "dgl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(import_dgl, "_load", cache(import_dgl._load.__wrapped__))


def test_without_dgl_there_is_none_and_the_reason_is_said(unloaded, monkeypatch):
    monkeypatch.setattr(import_dgl.importlib.util, "find_spec", lambda name: None)
    assert load_dgl() is None and not dgl_available()
    assert import_dgl.why_no_dgl().startswith("dgl is not installed")
    assert not import_dgl.needs_graphbolt_stub() and "dgl.graphbolt" not in sys.modules
    monkeypatch.setattr(import_dgl.sys, "version_info", (3, 13, 0))
    monkeypatch.setattr(import_dgl, "_load", cache(import_dgl._load.__wrapped__))
    assert import_dgl.why_no_dgl() == "dgl is not installed (there is no wheel for Python 3.13 or newer)"


def test_a_dgl_that_breaks_counts_as_absent(unloaded, installed, monkeypatch):
    def fail(name):
        raise OSError("no libcudart.so\nand more")

    installed()
    monkeypatch.setattr(import_dgl.importlib, "import_module", fail)
    assert load_dgl() is None
    assert import_dgl.why_no_dgl() == "dgl is installed but cannot be loaded (OSError: no libcudart.so)"
    assert "dgl.graphbolt" not in sys.modules and "pandas" not in sys.modules


@pytest.mark.slow
@needs_dgl
def test_dgl_is_imported_when_asked_for_and_needs_no_home_and_leaves_no_placeholder_for_pandas():
    code = (
        "import importlib.util, sys; from lightning_dl2.graphs import load_dgl\n"
        "print('dgl' in sys.modules); dgl = load_dgl(); placed = sys.modules.get('pandas')\n"
        "print(dgl.__name__, importlib.util.find_spec('pandas') is not None or placed is None)"
    )
    assert run(code, HOME="/nonexistent").splitlines() == ["False", "dgl True"]  # DGL prints nothing else


@needs_dgl
def test_the_cpu_wheel_has_no_cuda():
    if torch.cuda.is_available():
        pytest.skip("with a GPU the answer depends on the wheel")
    assert import_dgl.dgl_has_cuda() is False


def _unpickle_and_sum(pickled: bytes, results) -> None:
    graph = pickle.loads(pickled)
    results.put(spmm(graph, torch.arange(6.0).unsqueeze(1)).tolist())


@pytest.mark.slow
@needs_dgl
def test_a_spawned_process_computes_with_dgl():
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    graph = undirected().using("dgl")
    graph.to_dgl()
    process = context.Process(target=_unpickle_and_sum, args=(pickle.dumps(graph), results))
    process.start()
    sums = results.get(timeout=120)
    process.join(timeout=60)
    assert process.exitcode == 0
    assert sums == [[10.0], [3.0], [3.0], [8.0], [0.0], [3.0]]
