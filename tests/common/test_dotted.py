"""Test how a user's own class is found by its dotted path."""

import sys

import pytest

from lightning_dl2.common.dotted import find_callable, find_object, is_dotted, path_of, source_file
from lightning_dl2.common.errors import UserError


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """Return the folder of a package `digits` in the current directory, which no path of Python's holds."""
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "model.py").write_text("class Net:\n    class Inner:\n        pass\n    size = 3\n")
    (folder / "broken.py").write_text("x = 1\nraise RuntimeError('no luck')\n")
    (folder / "lacking.py").write_text("import not_installed_here\n")
    (folder / "typing_error.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "digits"]:
        del sys.modules[name]


def test_a_class_in_the_current_directory_is_found(digits):
    net = find_object("digits.model.Net")
    assert net.size == 3 and path_of(net) == "digits.model.Net" and source_file(net) == digits / "model.py"
    assert find_object(path_of(net.Inner)) is net.Inner
    assert is_dotted("digits.model.Net") and not is_dotted("lstm")


def test_a_folder_without_init_is_a_package(digits):
    (digits / "nets" / "recurrent").mkdir(parents=True)
    (digits / "nets" / "recurrent" / "cells.py").write_text("class Leaky:\n    pass\n")
    assert path_of(find_object("digits.nets.recurrent.cells.Leaky")) == "digits.nets.recurrent.cells.Leaky"


PROBLEMS = {
    "digits": "is no dotted path",
    "digits..Net": "is no dotted path",
    "nowhere.Net": "there is no module nowhere; allowed: modules in the current directory",
    "digits.modle.Net": "digits has no modle; did you mean model?",
    "digits.model.Nett": "digits.model has no Nett; did you mean Net? allowed: Net",
    "digits.model.Net.size": "is a int; allowed: a class or a function",
    "digits.broken.Net": "fails while it is imported",
    "digits.typing_error.Net": "line 1",
    "digits.lacking.Net": "imports not_installed_here, which is not installed",
}


@pytest.mark.parametrize("path", PROBLEMS)
def test_a_path_that_leads_nowhere_is_one_line(digits, path):
    with pytest.raises(UserError) as caught:
        find_callable(path)
    assert PROBLEMS[path] in str(caught.value) and "\n" not in str(caught.value)
    if "broken" in path:
        assert "broken.py, line 2): RuntimeError: no luck" in str(caught.value)
