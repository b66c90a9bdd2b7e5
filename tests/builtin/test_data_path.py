"""Test that a missing file of data gets the same words in a sweep's plan, before a run and from each reader."""

from pathlib import Path

import pytest

from lightning_dl2 import GraphSetDataModule, NodeDataModule, TextDataModule, UserError
from lightning_dl2.builtin.data_path import FORMAT_OF, FORMATS, check_data_path
from lightning_dl2.builtin.graph_data import GENERATED, GRAPH_SETS, NODE_SETS, PLANETOID
from lightning_dl2.builtin.text_data import TEXTS
from lightning_dl2.builtin.text_files import ALLOWED

NAMES = sorted({*TEXTS, *NODE_SETS, *GRAPH_SETS} - {*GENERATED})


def message(function, *arguments, **named) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def module_of(name: str):
    return TextDataModule if name in TEXTS else NodeDataModule if name in NODE_SETS else GraphSetDataModule


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_path_is_told_in_the_same_words_by_check_and_reader(name, tmp_path):
    nothing = str(tmp_path / "nothing")
    told = message(check_data_path, name, nothing)
    assert told.startswith(f"data.path={nothing}: there is no such file; allowed: a")
    assert told == message(module_of(name), name, path=nothing)


@pytest.mark.parametrize("name", sorted({*FORMATS} - {*FORMAT_OF.values(), "sequence_file"} | {"text"}))
def test_no_path_is_told_in_the_same_words_by_check_and_reader(name):
    told = message(check_data_path, name, None)
    assert told.startswith(f"data.path=null: data.name={name} cannot be downloaded; fix: set data.path to ")
    assert told == message(module_of(name), name)


def test_data_without_a_need_of_a_path_pass(tmp_path):
    for name in ("python_docs", "mutag", "sbm", *PLANETOID):
        check_data_path(name, None)
    for name in ("mutag", "zinc", "tu", "graph_csv", "cora"):
        check_data_path(name, str(tmp_path))


def test_a_folder_that_may_not_be_read_is_told(monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    says = f"data.path=secret/text.txt: cannot be read (Permission denied); allowed: {ALLOWED}"
    assert message(check_data_path, "text", "secret/text.txt") == says
