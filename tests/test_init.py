"""Test that the public API is functions and classes, whatever was imported before."""

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_dl2


def test_modules_do_not_hide_the_functions():
    for name in ("train", "evaluate", "generate", "predict"):
        importlib.import_module(f"lightning_dl2.{name}")  # the command of the same name
        assert inspect.isfunction(getattr(lightning_dl2, name))


@pytest.mark.slow
def test_everything_promised_is_there():
    for name in lightning_dl2.__all__:
        assert callable(getattr(lightning_dl2, name))


def test_dir_shows_what_is_promised():
    shown = {name for name in dir(lightning_dl2) if not name.startswith("_")}
    assert shown == set(lightning_dl2.__all__)


def test_type_checkers_are_told_of_the_same_names():
    tree = ast.parse(Path(lightning_dl2.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    told = {alias.asname: f"{node.module}.{alias.name}" for node in block.body for alias in node.names}
    assert told == {name: f"lightning_dl2.{home}.{name}" for name, home in lightning_dl2._HOME.items()}


def test_unknown_name():
    with pytest.raises(AttributeError, match="tarin"):
        lightning_dl2.tarin  # noqa: B018


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the threads of torch are GNU's on Linux")
@pytest.mark.parametrize(
    ("own", "policy", "spins"),
    [
        ({}, "PASSIVE", "1000"),
        ({"OMP_WAIT_POLICY": "active"}, "ACTIVE", "30000000000"),
        ({"OMP_WAIT_POLICY": "passive"}, "PASSIVE", "0"),
        ({"GOMP_SPINCOUNT": "5"}, "PASSIVE", "5"),
    ],
)
def test_threads_that_wait_soon_sleep_unless_the_user_wants_something_else(own, policy, spins):
    waiting = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    variables = {key: value for key, value in os.environ.items() if key not in waiting} | own
    # Loading torch takes seconds; the library with its threads does not.
    library = next((Path(importlib.util.find_spec("torch").origin).parent / "lib").glob("libgomp*.so*"))
    load = f"import ctypes; ctypes.CDLL({str(library)!r})" if own else "import torch"
    done = subprocess.run(
        [sys.executable, "-c", f"import lightning_dl2; {load}"],
        env=variables | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
    )
    # as libgomp reports it
    assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr and f"GOMP_SPINCOUNT = '{spins}'" in done.stderr


def test_another_system_is_told_in_one_line(monkeypatch, capsys):
    """Windows, which has no SIGUSR1, flock and fork, is refused in one line."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        try:
            importlib.reload(lightning_dl2)
            code = None
        except SystemExit as stopped:
            code = stopped.code
    assert code == 2
    assert capsys.readouterr() == (
        "",
        "error: lightning_dl2 runs on Linux and macOS alone; fix: on Windows use it in WSL\n",
    )
