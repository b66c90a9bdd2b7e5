"""The public API is functions and classes, whatever was imported before."""

import importlib
import inspect

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
