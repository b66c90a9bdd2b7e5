"""The public API is functions and classes, whatever was imported before."""

import importlib
import inspect
import os
import subprocess
import sys

import pytest

import lightning_dl2


def test_modules_do_not_hide_the_functions():
    for name in ("train", "evaluate", "generate", "predict"):
        module = importlib.import_module(f"lightning_dl2.{name}")
        assert getattr(lightning_dl2, name) is getattr(module, name)
        assert inspect.isfunction(getattr(lightning_dl2, name))


def test_everything_promised_is_there():
    for name in lightning_dl2.__all__:
        assert callable(getattr(lightning_dl2, name))


def test_unknown_name():
    with pytest.raises(AttributeError, match="tarin"):
        lightning_dl2.tarin  # noqa: B018


@pytest.mark.skipif(sys.platform != "linux", reason="the threads of torch are GNU's on Linux")
@pytest.mark.parametrize(("own", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")])
def test_threads_that_wait_sleep_unless_the_user_wants_them_to_spin(own, policy):
    variables = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"} | own
    done = subprocess.run(
        [sys.executable, "-c", "import lightning_dl2, torch"],
        env=variables | {"OMP_DISPLAY_ENV": "true"},
        capture_output=True,
        text=True,
    )
    assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr  # as the threads' library has understood it
