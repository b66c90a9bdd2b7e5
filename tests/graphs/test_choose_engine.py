"""Test the choice between DGL and torch, and its messages."""

import logging

import pytest

from lightning_dl2.graphs import choose_engine, resolve_engine
from tests.graphs.examples import needs_dgl


@pytest.fixture
def dgl(monkeypatch):
    """Return `dgl(available, cuda)`, which makes up the state of DGL."""

    def pretend(available: bool, cuda: bool = False) -> None:
        monkeypatch.setattr(choose_engine, "dgl_available", lambda: available)
        monkeypatch.setattr(choose_engine, "dgl_has_cuda", lambda: cuda)
        monkeypatch.setattr(choose_engine, "why_no_dgl", lambda: "" if available else "dgl is not installed (no wheel)")
        choose_engine._log_choice.cache_clear()

    yield pretend
    choose_engine._log_choice.cache_clear()


@pytest.mark.parametrize(
    ("available", "cuda", "device", "chosen"),
    [
        (True, False, "cpu", "dgl"),
        (True, False, "cuda:0", "torch"),
        (True, True, "cuda:0", "dgl"),
        (True, True, "mps", "torch"),
        (False, False, "cpu", "torch"),
    ],
)
def test_auto_takes_dgl_where_it_can_be_had(dgl, available, cuda, device, chosen):
    dgl(available, cuda)
    assert resolve_engine("auto", device) == chosen
    assert resolve_engine("torch", device) == "torch"


def test_the_choice_of_auto_is_logged_once(dgl, caplog):
    dgl(True)
    with caplog.at_level(logging.INFO, logger=choose_engine.__name__):
        for device in ("cpu", "cpu", "cuda", "cuda:0"):
            resolve_engine("auto", device)
        resolve_engine("torch", "cpu")
    assert [record.getMessage() for record in caplog.records] == [
        "graphs on cpu: engine dgl",
        "graphs on cuda: engine torch (the installed dgl has no support for cuda)",
    ]


def test_a_dgl_that_cannot_be_had_is_one_line_with_the_way_out(dgl):
    dgl(False)
    with pytest.raises(ValueError, match=r"^engine=dgl: dgl is not installed \(no wheel\); allowed: auto, torch$"):
        resolve_engine("dgl", "cpu")
    dgl(True)
    with pytest.raises(ValueError, match="^engine=dgl: the installed dgl has no support for cuda; allowed: auto, tor"):
        resolve_engine("dgl", "cuda")


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="^engine=pyg; allowed: auto, dgl, torch$"):
        resolve_engine("pyg", "cpu")


@needs_dgl
def test_here_auto_is_dgl_on_the_cpu():
    assert resolve_engine("auto", "cpu") == resolve_engine("dgl", "cpu") == "dgl"
